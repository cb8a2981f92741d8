//! Conversations with a project's assistant: beginning, reading, adding to, naming and deleting them.

mod add_message;
mod create;
mod delete;
mod list;
mod messages;
mod rename;

pub use add_message::AddMessage;
pub use create::CreateConversation;
pub use delete::{DeleteConversation, DeletedConversation};
pub use list::{ConversationCursor, ConversationPage, ListConversations, ListedConversation};
pub use messages::{GetConversation, GetMessages, MessageSpan, WholeConversation};
pub use rename::RenameConversation;
use rusqlite::Row;

use crate::error::{Failure, Refusal};
use crate::tx::{Access, LenientRow, Tx};
use crate::types::{Conversation, ConversationId, MessageId};

/// Why a command on conversations changed or showed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationRefusal {
    /// There is no such conversation. Whoever adds to it must keep the text, or begin another one.
    #[error("conversation {id} does not exist or was deleted; nothing was changed")]
    NotFound {
        /// The id that was asked for.
        id: ConversationId,
    },
    /// There is no such message in the conversation, so nothing comes before or after it.
    #[error("message {id} is not in conversation {conversation}; read its latest messages instead")]
    MessageNotFound {
        /// The conversation.
        conversation: ConversationId,
        /// The id that was asked for.
        id: MessageId,
    },
    /// The highest possible id is taken.
    #[error("the highest possible id of a conversation is taken")]
    Exhausted,
}

impl Refusal for ConversationRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "unknown_conversation",
            Self::MessageNotFound { .. } => "unknown_message",
            Self::Exhausted => "exhausted",
        }
    }
}

/// The conversation, or a refusal that it does not exist.
fn existing<A: Access>(
    tx: &Tx<'_, A>,
    id: ConversationId,
) -> Result<Conversation, Failure<ConversationRefusal>> {
    let found = tx.first(
        "SELECT id, project_name, title, created_at, updated_at FROM conversations WHERE id = ?1",
        [id.get()],
        conversation,
    )?;
    found.ok_or(Failure::Refused(ConversationRefusal::NotFound { id }))
}

/// Reads the columns `id, project_name, title, created_at, updated_at`.
fn conversation(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation {
        id: row.integer(0, 0)?.into(),
        project: row.text(1)?,
        title: row.optional_text(2)?.filter(|title| !title.is_empty()),
        created_at: row.time(3)?,
        updated_at: row.time(4)?,
    })
}

/// The tests of the commands on conversations that need to look at the file itself.
#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rusqlite::Connection;

    use crate::command::Command;
    use crate::database::{Assistant, Database};
    use crate::error::Failure;
    use crate::tx::{Circumstances, Read, Transaction, Tx, Write};

    /// A file in memory.
    pub(super) struct File(pub(super) Connection);

    impl File {
        pub(super) fn new() -> Self {
            let file = Self(Connection::open_in_memory().unwrap());
            file.within(|tx| Assistant::SCHEMA.migrate(tx)).unwrap();
            file
        }

        fn within<T>(&self, work: impl FnOnce(&Tx<'_, Write>) -> T) -> T {
            let circumstances = Circumstances::now();
            work(&Tx::new(Transaction::begun_on(&self.0, &circumstances)))
        }

        pub(super) fn write<C: Command<Access = Write>>(
            &self,
            command: &C,
        ) -> Result<C::Output, Failure<C::Rejection>> {
            self.within(|tx| command.run(tx))
        }

        pub(super) fn read<C: Command<Access = Read>>(
            &self,
            command: &C,
        ) -> Result<C::Output, Failure<C::Rejection>> {
            self.within(|tx| command.run(&tx.as_read()))
        }

        /// How many instructions SQLite's machine carries out meanwhile.
        pub(super) fn steps(&mut self, work: impl FnOnce(&Self)) -> u64 {
            let steps = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&steps);
            let count = move || {
                counted.fetch_add(1, Ordering::Relaxed);
                false
            };
            self.0.progress_handler(1, Some(count)).unwrap();
            work(self);
            self.0.progress_handler(0, None::<fn() -> bool>).unwrap();
            steps.load(Ordering::Relaxed)
        }

        /// A conversation with so many messages, among others.
        pub(super) fn fill(&self, conversation: i64, messages: i64) {
            let sql = "INSERT INTO conversation_messages (conversation_id, role, content, timestamp)
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
                SELECT ?1, 'user', 'text ' || i, strftime('%Y-%m-%d %H:%M:%f000', 1.7e9 + i / 3, 'unixepoch')
                FROM n";
            self.0
                .execute(
                    "INSERT INTO conversations (id, project_name) VALUES (?1, 'shop')",
                    [conversation],
                )
                .unwrap();
            self.0.execute(sql, [conversation, messages]).unwrap();
        }
    }
}
