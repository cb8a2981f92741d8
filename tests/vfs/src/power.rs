//! What a disk may hold after the power went.
//!
//! What was synced is there. Of the rest any part may be: each change alone, and of a write each sector
//! alone, since disks and systems write in the order that suits them. Names are as they were after some
//! of their changes, each name for itself.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;

use crate::log::{Log, Step};

/// The smallest piece that a disk writes wholly or not at all, in bytes.
const SECTOR: usize = 512;

/// Which of the changes that were not synced the disk has all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All: the process died, and the system did not.
    Nothing,
    /// None.
    Everything,
    /// The first ones.
    Later,
    /// Any.
    Some,
    /// Any, and of each write any sectors. What was never written within a file is garbage.
    Torn,
}

/// Goes along a record, and knows at each place what is on disk and what may be.
#[derive(Debug)]
pub struct Replay<'l> {
    log: &'l Log,
    at: usize,
    files: BTreeMap<usize, Held<'l>>,
    names: Names<'l>,
}

/// A file: what is on disk, and what may be.
#[derive(Debug, Default)]
struct Held<'l> {
    durable: Vec<u8>,
    pending: Vec<(usize, &'l Step)>,
}

#[derive(Debug, Default)]
struct Names<'l> {
    durable: BTreeMap<&'l Arc<str>, usize>,
    pending: Vec<(usize, &'l Arc<str>, Option<usize>)>,
}

impl<'l> Replay<'l> {
    /// At the beginning: an empty folder.
    #[must_use]
    pub fn new(log: &'l Log) -> Self {
        Self { log, at: 0, files: BTreeMap::new(), names: Names::default() }
    }

    /// Goes one step on, and gives it.
    pub fn advance(&mut self) -> Option<&'l Step> {
        let (log, at) = (self.log, self.at);
        let step = log.steps().get(at)?;
        self.at += 1;
        match step {
            Step::Link { name, file } => {
                self.files.entry(*file).or_default();
                self.names.pending.push((at, name, Some(*file)));
            }
            Step::Unlink { name } => self.names.pending.push((at, name, None)),
            Step::SyncFolder => {
                for (_, name, file) in std::mem::take(&mut self.names.pending) {
                    set(&mut self.names.durable, name, file);
                }
            }
            Step::Write { file, .. } | Step::Truncate { file, .. } => {
                self.files.entry(*file).or_default().pending.push((at, step));
            }
            Step::Sync { file, .. } => {
                let held = self.files.entry(*file).or_default();
                for (_, step) in std::mem::take(&mut held.pending) {
                    apply(&mut held.durable, step, &mut |_| true, &mut zero);
                }
            }
            Step::Mark(_) => {}
        }
        Some(step)
    }

    /// Whether anything is not on disk yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.names.pending.is_empty() || self.files.values().any(|held| !held.pending.is_empty())
    }

    /// What the disk may hold if the power goes here. The same seed gives the same.
    #[must_use]
    pub fn after(&self, loss: Loss, seed: u64) -> Image {
        let mut rng = Rng::with_seed(seed);
        let oldest = self.oldest_pending();
        let cut = rng.usize(oldest..=self.at);
        // Some cuts lose nearly all, some nearly nothing.
        let chance = [0.1, 0.5, 0.9][rng.usize(..3)];
        let garbage = rng.bool();
        let mut names = self.names.durable.clone();
        for (name, changes) in by_name(&self.names.pending) {
            let count = match loss {
                Loss::Nothing => changes.len(),
                Loss::Everything => 0,
                Loss::Later => changes.iter().filter(|(at, _)| *at < cut).count(),
                Loss::Some | Loss::Torn => rng.usize(..=changes.len()),
            };
            if let Some((_, file)) = changes.get(..count).and_then(<[_]>::last) {
                set(&mut names, name, *file);
            }
        }
        let mut image = Image::default();
        for (name, file) in names {
            let mut bytes = Vec::new();
            if let Some(held) = self.files.get(&file) {
                bytes.clone_from(&held.durable);
                for (at, step) in &held.pending {
                    let whole = match loss {
                        Loss::Nothing => true,
                        Loss::Everything => false,
                        Loss::Later => *at < cut,
                        Loss::Some | Loss::Torn => rng.f64() < chance,
                    };
                    if loss == Loss::Torn {
                        let mut fill = rng.fork();
                        let mut keep = |_: usize| rng.f64() < chance;
                        let mut fresh = |_| if garbage { fill.u8(..) } else { 0 };
                        apply(&mut bytes, step, &mut keep, &mut fresh);
                    } else if whole {
                        apply(&mut bytes, step, &mut |_| true, &mut zero);
                    }
                }
            }
            image.0.insert(Arc::clone(name), bytes);
        }
        image
    }

    fn oldest_pending(&self) -> usize {
        let of_files = self.files.values().filter_map(|held| held.pending.first());
        let of_names = self.names.pending.first().map(|(at, ..)| *at);
        of_files.map(|(at, _)| *at).chain(of_names).min().unwrap_or(self.at)
    }
}

type Changes = Vec<(usize, Option<usize>)>;

fn by_name<'l>(
    pending: &[(usize, &'l Arc<str>, Option<usize>)],
) -> BTreeMap<&'l Arc<str>, Changes> {
    let mut all: BTreeMap<_, Changes> = BTreeMap::new();
    for (at, name, file) in pending {
        all.entry(*name).or_default().push((*at, *file));
    }
    all
}

fn set<'l>(names: &mut BTreeMap<&'l Arc<str>, usize>, name: &'l Arc<str>, file: Option<usize>) {
    match file {
        Some(file) => drop(names.insert(name, file)),
        None => drop(names.remove(name)),
    }
}

fn zero(_: usize) -> u8 {
    0
}

/// Carries out a write or a truncation, of a write only the sectors that are kept.
fn apply(
    bytes: &mut Vec<u8>,
    step: &Step,
    keep: &mut dyn FnMut(usize) -> bool,
    fresh: &mut dyn FnMut(usize) -> u8,
) {
    match step {
        Step::Truncate { size, .. } => bytes.resize(position(*size), 0),
        Step::Write { offset, bytes: new, .. } => {
            let start = position(*offset);
            let end = start + new.len();
            let mut from = start;
            while from < end {
                let sector = from / SECTOR;
                let to = ((sector + 1) * SECTOR).min(end);
                if keep(sector) {
                    let known = bytes.len();
                    if known < to {
                        bytes.extend((known..to).map(&mut *fresh));
                    }
                    bytes[from..to].copy_from_slice(&new[from - start..to - start]);
                }
                from = to;
            }
        }
        _ => {}
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Image(BTreeMap<Arc<str>, Vec<u8>>);

impl Image {
    /// A number that differs, for all that matters, where the files do.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The files' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// Makes the files in a folder, in which nobody may have them open.
    ///
    /// # Errors
    /// The system's.
    #[expect(clippy::disallowed_methods, reason = "new files, which nobody has open")]
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for (name, bytes) in &self.0 {
            std::fs::write(folder.join(&**name), bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, file: usize) -> Step {
        Step::Link { name: name.into(), file }
    }

    fn write(file: usize, offset: u64, byte: u8, length: usize) -> Step {
        Step::Write { file, name: "a".into(), offset, bytes: vec![byte; length].into() }
    }

    fn sync(file: usize) -> Step {
        Step::Sync { file, name: "a".into() }
    }

    const LOSSES: [Loss; 5] =
        [Loss::Nothing, Loss::Everything, Loss::Later, Loss::Some, Loss::Torn];

    /// What may be there in the end.
    fn ends(steps: Vec<Step>, loss: Loss) -> Vec<Image> {
        let log = Log::new(steps);
        let mut replay = Replay::new(&log);
        while replay.advance().is_some() {}
        (0..200).map(|seed| replay.after(loss, seed)).collect()
    }

    fn bytes<'i>(image: &'i Image, name: &str) -> Option<&'i [u8]> {
        image.0.get(name).map(Vec::as_slice)
    }

    #[test]
    fn what_was_synced_is_there_whatever_is_lost() {
        let steps = vec![link("a", 0), write(0, 0, 1, 600), sync(0), Step::SyncFolder];
        for loss in LOSSES {
            assert!(ends(steps.clone(), loss).iter().all(|i| bytes(i, "a") == Some(&[1; 600])));
        }
    }

    #[test]
    fn a_file_that_was_synced_may_have_no_name() {
        let steps = vec![link("a", 0), write(0, 0, 1, 10), sync(0)];
        assert!(ends(steps.clone(), Loss::Everything).iter().all(|i| bytes(i, "a").is_none()));
        let some = ends(steps, Loss::Some);
        assert!(some.iter().any(|i| bytes(i, "a").is_none()));
        assert!(some.iter().any(|i| bytes(i, "a") == Some(&[1; 10])));
    }

    #[test]
    fn a_name_may_be_there_again_with_what_it_led_to() {
        let mut steps = vec![link("a", 0), write(0, 0, 1, 10), sync(0), Step::SyncFolder];
        steps.extend([Step::Unlink { name: "a".into() }, link("a", 1), write(1, 0, 2, 10)]);
        let contents: std::collections::BTreeSet<Option<Vec<u8>>> =
            ends(steps, Loss::Some).iter().map(|i| bytes(i, "a").map(<[u8]>::to_vec)).collect();
        let possible = [None, Some(vec![]), Some(vec![1; 10]), Some(vec![2; 10])];
        assert_eq!(contents, possible.into_iter().collect());
    }

    #[test]
    fn of_a_torn_write_each_sector_is_old_or_new() {
        let mut steps = vec![link("a", 0), write(0, 0, 1, 2_048), sync(0), Step::SyncFolder];
        steps.push(write(0, 256, 2, 1_024));
        let ends = ends(steps, Loss::Torn);
        assert!(ends.iter().any(|i| bytes(i, "a").unwrap()[511..513] == [1, 2]));
        assert!(ends.iter().any(|i| bytes(i, "a").unwrap()[511..513] == [2, 1]));
        for image in &ends {
            let bytes = bytes(image, "a").unwrap();
            assert!(bytes[..256].iter().chain(&bytes[1_280..]).all(|byte| *byte == 1));
            for sector in bytes[512..1_024].chunks(512) {
                assert!(sector.iter().all(|byte| byte == &sector[0]));
            }
        }
    }
}
