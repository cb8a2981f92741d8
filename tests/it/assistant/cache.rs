//! The cache of engines as the heart of this file: opened and disposed of by many threads at once,
//! while conversations come and go.

use std::path::Path;

use autoforge_store::{
    Assistant, CreateConversation, DeleteConversation, Error, ListConversations, NewConversation,
    OpenError, OpenOptions, StorageError, Store, dispose,
};

use super::migration::AUTOFORGE;
use super::{Project, answers, begin, messages, says};
use crate::support::{Child, FOREVER, eventually, foreign, gate_of, number, together};

const ORPHANS: &str = "SELECT count(*) FROM conversation_messages
    WHERE conversation_id NOT IN (SELECT id FROM conversations)";

/// Whether this process has the file open: looked up among its descriptors, without opening it.
fn is_open_here(path: &Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    descriptors.flatten().any(|entry| entry.path().read_link().is_ok_and(|target| target == path))
}

#[test]
fn of_64_threads_that_use_a_file_for_the_first_time_all_get_one_engine() {
    let project = Project::new();
    let stores = together(64, |_| {
        let store = project.open();
        begin(&store);
        store
    });
    let created = stores.iter().filter(|store| store.opening().created).count();
    assert_eq!(created, 1, "two engines");
    // What ends one of them ends them all.
    stores[17].close();
    let closed = |store: &Store<Assistant>| {
        let answer = store.call(ListConversations::all());
        matches!(answer, Err(Error::Storage(StorageError::Closed { .. })))
    };
    assert!(stores.iter().all(closed));
    let page = project.open().call(ListConversations::all()).unwrap();
    assert_eq!(page.conversations.len(), 64);
}

#[test]
fn of_64_threads_that_migrate_a_file_at_once_one_does() {
    let project = Project::with_database(AUTOFORGE);
    let stores = together(64, |_| project.open());
    assert_eq!(stores.iter().filter(|store| store.opening().migrated).count(), 1);
}

#[test]
fn a_project_that_opens_slowly_keeps_nobody_from_another() {
    let (slow, fast) = (Project::with_database(AUTOFORGE), Project::new());
    let other = slow.foreign();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    std::thread::scope(|scope| {
        let database = slow.database();
        let before = descriptors(&database);
        let options = OpenOptions { lock_wait: FOREVER, ..OpenOptions::default() };
        let opening =
            scope.spawn(move || Store::open_assistant_with(slow.path(), &options).map(|_| ()));
        assert!(eventually(|| descriptors(&database) > before), "it has not begun");
        // It hangs in its opening, and the whole life of another engine passes meanwhile.
        let store = fast.open();
        let id = begin(&store);
        store.call(says(id, "x")).unwrap();
        assert_eq!(store.close().fault, None);
        assert!(dispose(fast.database()).unwrap().is_none());
        assert!(!opening.is_finished());
        other.execute_batch("ROLLBACK").unwrap();
        opening.join().unwrap().unwrap();
    });
}

/// How many descriptors of the file this process has.
fn descriptors(path: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|entry| entry.path().read_link().is_ok_and(|target| target == path)).count()
}

#[test]
fn an_opening_that_fails_spoils_nothing_and_can_be_repeated() {
    let (broken, sound) = (Project::with_database("CREATE TABLE strange (x)"), Project::new());
    let store = sound.open();
    for error in together(16, |_| Store::<Assistant>::open_assistant(broken.path()).unwrap_err()) {
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    }
    assert!(!is_open_here(&broken.database()));
    begin(&store);
    foreign(&broken.database()).execute_batch("DROP TABLE strange").unwrap();
    assert_eq!(together(16, |_| begin(&broken.open())).len(), 16);
}

#[test]
fn dispose_racing_with_use_serves_or_says_closed() {
    let project = Project::new();
    let id = begin(&project.open());
    let added: usize = together(8, |at| {
        let mut added = 0;
        for _ in 0..100 {
            if at < 2 {
                dispose(project.database()).unwrap();
                continue;
            }
            match project.open().call(says(id, "x")) {
                Ok(_) => added += 1,
                Err(Error::Storage(StorageError::Closed { .. })) => {}
                Err(error) => panic!("{error}"),
            }
        }
        added
    })
    .iter()
    .sum();
    assert_eq!(messages(&project.open(), id).len(), added, "each answer is in the file, once");
    assert!(added > 0);
}

#[test]
fn dispose_waits_for_what_is_running_and_leaves_the_file_closed() {
    let project = Project::new();
    let store = project.open();
    let (gate, held) = gate_of::<autoforge_store::Write, Assistant>();
    let reply = store.submit(gate).unwrap();
    held.wait_until_entered();
    std::thread::scope(|scope| {
        let disposing = scope.spawn(|| dispose(project.database()).unwrap());
        // Until it has closed the mailbox, others are let in; afterwards they are told.
        assert!(eventually(|| store
            .try_submit(CreateConversation(NewConversation::new("shop").unwrap()))
            .is_err_and(|fault| matches!(fault, StorageError::Closed { .. }))));
        assert!(!disposing.is_finished() && is_open_here(&project.database()));
        drop(held);
        assert!(disposing.join().unwrap().is_some());
    });
    assert!(!is_open_here(&project.database()));
    reply.wait().unwrap();
}

/// The defect of the program before: a chat went on streaming into a conversation that was deleted
/// under it, and its messages stayed behind for the next conversation of that number.
#[test]
fn a_conversation_that_is_deleted_while_threads_stream_into_it_leaves_no_message() {
    let project = Project::new();
    let store = project.open();
    for _ in 0..10 {
        let id = begin(&store);
        let outcomes = together(4, |at| {
            let own = store.clone();
            if at == 0 {
                assert!(eventually(|| !messages(&own, id).is_empty()));
                own.call(DeleteConversation { id }).unwrap();
                return None;
            }
            loop {
                match own.call(answers(id, "word")) {
                    Ok(_) => {}
                    Err(Error::Refused(refusal)) => return Some(refusal.to_string()),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        // Nobody loses a word without being told.
        let told = format!("conversation {id} does not exist or was deleted; nothing was changed");
        assert_eq!(outcomes[1..], [Some(told.clone()), Some(told.clone()), Some(told)]);
        assert_eq!(number(&project.foreign(), ORPHANS), 0);
        assert!(begin(&store) > id);
    }
}

#[test]
fn a_conversation_that_is_deleted_while_other_processes_stream_into_it_leaves_no_message() {
    let project = Project::new();
    let store = project.open();
    let id = begin(&store);
    let mut streams: Vec<_> =
        (0..3).map(|_| Child::start("assistant_stream", project.path())).collect();
    for stream in &mut streams {
        stream.tell(&id.to_string());
        assert_eq!(stream.hear(), "streaming");
    }
    let deleted = store.call(DeleteConversation { id }).unwrap();
    let next = begin(&store);
    let mut said = 0;
    for stream in &mut streams {
        let (added, told) =
            stream.hear().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(told.contains("was deleted"), "{told}");
        said += added.parse::<u64>().unwrap();
    }
    assert_eq!(deleted.messages, said, "what was answered was there to be deleted");
    assert_eq!((number(&project.foreign(), ORPHANS), messages(&store, next).len()), (0, 0));
}
