//! Conversations with a project's assistant: what is stored, beside whom, and what becomes of it when
//! threads, processes and AutoForge's own programs are at work in one file.

mod cache;
mod content;
mod journal;
mod migration;
mod python;

use std::path::{Path, PathBuf};
use std::time::Duration;

use autoforge_store::{
    AddMessage, Assistant, Conversation, ConversationId, CreateConversation, Error, GetMessages,
    Message, MessageSpan, NewConversation, NewMessage, OpenOptions, Role, Store,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{foreign, listen, say};

/// A project with conversations, in a folder of its own.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A project whose file another program has made with these statements.
    fn with_database(sql: &str) -> Self {
        let project = Self::new();
        std::fs::create_dir(project.path().join(".autoforge")).unwrap();
        project.foreign().execute_batch(sql).unwrap();
        project
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn database(&self) -> PathBuf {
        self.path().canonicalize().unwrap().join(".autoforge/assistant.db")
    }

    fn open(&self) -> Store<Assistant> {
        Store::open_assistant(self.path()).unwrap()
    }

    fn open_waiting(&self, lock_wait: Duration) -> Store<Assistant> {
        let options = OpenOptions { lock_wait, ..OpenOptions::default() };
        Store::open_assistant_with(self.path(), &options).unwrap()
    }

    /// Without foreign keys, as AutoForge's programs have it.
    fn foreign(&self) -> Connection {
        let file = foreign(&self.database());
        file.pragma_update(None, "foreign_keys", false).unwrap();
        file
    }
}

/// Begins an untitled conversation.
fn begin(store: &Store<Assistant>) -> ConversationId {
    begun(store).id
}

fn begun(store: &Store<Assistant>) -> Conversation {
    store.call(CreateConversation(NewConversation::new("shop").unwrap())).unwrap()
}

fn message(role: Role, text: &str) -> NewMessage {
    NewMessage::new(role, text).unwrap()
}

fn says(conversation: ConversationId, text: &str) -> AddMessage {
    AddMessage { conversation, message: message(Role::User, text) }
}

fn answers(conversation: ConversationId, text: &str) -> AddMessage {
    AddMessage { conversation, message: message(Role::Assistant, text) }
}

fn messages(store: &Store<Assistant>, conversation: ConversationId) -> Vec<Message> {
    let span = MessageSpan::Earliest;
    store.call(GetMessages { conversation, span, limit: usize::MAX }).unwrap()
}

fn texts(store: &Store<Assistant>, conversation: ConversationId) -> Vec<String> {
    messages(store, conversation).into_iter().map(|message| message.content).collect()
}

/// The roles of child processes; `false` where there is no such role here.
pub(crate) fn play(role: &str, folder: &Path) -> bool {
    match role {
        "assistant_until_killed" => journal::write_until_killed(folder),
        "assistant_full_disk" => journal::fill_disk(folder),
        "assistant_reader" => journal::hold_snapshot(folder),
        "assistant_half_way" => journal::stop_half_way(folder),
        "assistant_stream" => stream(folder),
        _ => return false,
    }
    true
}

/// In a child: says something in the conversation until that is gone, then how often it could.
fn stream(folder: &Path) {
    let store = Store::open_assistant(folder).unwrap();
    let conversation = listen().unwrap().parse::<i64>().unwrap().into();
    let mut added = 0;
    loop {
        match store.call(answers(conversation, "word")) {
            Ok(_) => added += 1,
            Err(Error::Refused(refusal)) => {
                say(&format!("{added} {refusal}"));
                break;
            }
            Err(error) => panic!("{error}"),
        }
        if added == 1 {
            say("streaming");
        }
    }
    listen();
}
