//! Disks that fill up and get space again, and disks that read what was never written.

use std::sync::Arc;
use std::time::Instant;

use autoforge_store::{OpenError, StorageError};
use faulty_vfs::{Call, Disk, Fault, Plan};

use crate::conversations::{self, OnConversations};
use crate::each_call::check_file;
use crate::features::{self, OnFeatures};
use crate::is_thorough;
use crate::session::{Answer, Script, after, folder, open, together};

/// What came of the disks that were too small.
#[derive(Debug, Default)]
struct Figures {
    disks: usize,
    full_at_opening: usize,
    full_at_commands: usize,
    /// On which no command was told that the disk is full; the end may have been.
    full_at_no_command: usize,
}

/// Runs a session on a disk with so much space; as soon as somebody was told that it is full, it gets
/// more, and the same engine must go on. Whether the space was too little for anything.
fn fill<S: Script>(rounds: &[Vec<S::Step>], bytes: u64, figures: &mut Figures) -> bool {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    disk.limit_space(bytes);
    figures.disks += 1;
    let store = match open::<S>(folder.path()) {
        Ok(store) => store,
        Err(OpenError::Storage(StorageError::DiskFull { .. })) => {
            figures.full_at_opening += 1;
            disk.heal();
            open::<S>(folder.path()).unwrap()
        }
        Err(error) => panic!("{error}"),
    };
    let mut model = S::Model::default();
    let mut marks = 0;
    let mut was_full = false;
    for round in rounds {
        let mut left: Vec<S::Step> = round.clone();
        while !left.is_empty() {
            let answers = together::<S>(&disk, &store, &left, marks);
            marks += left.len();
            let possible = after::<S>(&[model], &left, &answers);
            assert_eq!(possible.len(), 1, "{answers:?} cannot be true, or is not known");
            model = possible.into_iter().next().unwrap();
            assert_eq!(S::view(&store).unwrap(), S::view_of(&model), "reads go on");
            let undone = |answer: &Answer| matches!(answer, Answer::Failed(_));
            let full = answers.iter().filter(|answer| undone(answer)).count();
            if full > 0 {
                let told = |answer: &Answer| matches!(answer.code(), "disk_full" | "group_aborted");
                assert!(answers.iter().filter(|answer| undone(answer)).all(told), "{answers:?}");
                assert!(disk.has_fired() && !was_full && store.is_open());
                was_full = true;
                disk.heal();
            }
            let again = left.into_iter().zip(answers).filter(|(_, answer)| undone(answer));
            left = again.map(|(step, _)| step).collect();
        }
    }
    disk.heal();
    figures.full_at_commands += usize::from(was_full);
    figures.full_at_no_command += usize::from(!was_full);
    assert!(store.close().fault.is_none());
    check_file::<S>(folder.path(), &[model]).unwrap();
    disk.has_fired()
}

/// Disks of growing size, until one is large enough for all.
fn fill_all<S: Script>(rounds: &[Vec<S::Step>]) -> Figures {
    let began = Instant::now();
    let mut figures = Figures::default();
    let step = if is_thorough() { 500 } else { 3_000 };
    let mut sizes = (0..).step_by(step);
    while fill::<S>(rounds, sizes.next().unwrap(), &mut figures) {}
    println!("{}: {figures:?}, {} ms", S::FILE, began.elapsed().as_millis());
    figures
}

#[test]
fn wherever_the_disk_is_full_the_same_engine_goes_on_when_there_is_space() {
    let figures = fill_all::<OnFeatures>(&features::short());
    assert!(figures.full_at_opening > 5 && figures.full_at_commands > 10, "{figures:?}");
}

#[test]
fn without_a_log_wherever_the_disk_is_full_the_same_engine_goes_on_when_there_is_space() {
    let figures = fill_all::<OnConversations>(&conversations::short());
    assert!(figures.full_at_opening > 3 && figures.full_at_commands > 5, "{figures:?}");
}

/// Looks at a file on a disk that reads wrongly once, at each of its reads.
fn read_wrongly<S: Script>(rounds: &[Vec<S::Step>]) {
    let folder = folder();
    let disk = Arc::new(Disk::below(folder.path()).unwrap());
    let store = open::<S>(folder.path()).unwrap();
    let mut model = S::Model::default();
    let mut marks = 0;
    for round in rounds {
        let answers = together::<S>(&disk, &store, round, marks);
        marks += round.len();
        model = after::<S>(&[model], round, &answers).into_iter().next().unwrap();
    }
    store.close();
    let began = Instant::now();
    let (mut reads, mut refused, mut failed, mut wrong) = (0, 0, 0, 0);
    for fault in [Fault::torn(), Fault::garbled()] {
        for nth in 0.. {
            disk.plan(Plan::once(Call::Read, nth, fault));
            match open::<S>(folder.path()) {
                Err(_) => refused += 1,
                Ok(store) => {
                    match S::view(&store) {
                        Err(_) => failed += 1,
                        Ok(view) => wrong += usize::from(view != S::view_of(&model)),
                    }
                    store.close();
                }
            }
            if !disk.has_fired() {
                break;
            }
            reads += 1;
            disk.heal();
            let checked = check_file::<S>(folder.path(), std::slice::from_ref(&model));
            assert!(checked.is_ok(), "read {nth} with {fault:?}: {checked:?}");
        }
    }
    println!(
        "{}: {reads} wrong reads: {refused} refused at opening, {failed} failed, {wrong} believed; {} ms",
        S::FILE,
        began.elapsed().as_millis()
    );
    assert!(reads > 10 && refused + failed > 5);
}

#[test]
fn a_disk_that_reads_wrongly_once_costs_nothing_that_is_in_the_file() {
    read_wrongly::<OnFeatures>(&features::short());
    read_wrongly::<OnConversations>(&conversations::short());
}
