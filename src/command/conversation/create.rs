//! Beginning a conversation.

use super::ConversationRefusal;
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{LenientRow, Tx, Write};
use crate::types::{Conversation, NewConversation};

/// Begins a conversation.
///
/// Its id is one that no conversation had before, and that no message names which another program
/// left behind: so nothing that was said elsewhere ever shows up in it.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{Assistant, CreateConversation, NewConversation, Store};
///
/// let store = Store::<Assistant>::open_assistant(dir.path())?;
/// let conversation = store.call(CreateConversation(NewConversation::new("shop")?))?;
/// assert_eq!((conversation.id.get(), conversation.title), (1, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CreateConversation(
    /// Its project, and perhaps its title.
    pub NewConversation,
);

impl Command for CreateConversation {
    const NAME: &'static str = "create_conversation";
    type Database = Assistant;
    type Access = Write;
    type Output = Conversation;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Conversation, Failure<ConversationRefusal>> {
        let Self(new) = self;
        let highest = tx.first(
            "SELECT max(
                coalesce((SELECT max(id) FROM conversations), 0),
                coalesce((SELECT value FROM autoforge_store
                          WHERE fact = 'conversation_id_floor'), 0),
                -- Not max(), since a text that another program put there is above all numbers.
                coalesce((SELECT conversation_id FROM conversation_messages
                          WHERE conversation_id <= 9223372036854775807
                          ORDER BY conversation_id DESC LIMIT 1), 0))",
            [],
            |row| row.integer(0, 0),
        )?;
        let next = highest.unwrap_or(0).checked_add(1);
        let id = next.ok_or(Failure::Refused(ConversationRefusal::Exhausted))?;
        let now = tx.circumstances().moment().wall;
        let at = now.to_sqlite_text();
        tx.execute(
            "INSERT INTO conversations (id, project_name, title, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?4)",
            (id, new.project(), new.title(), at),
        )?;
        Ok(Conversation {
            id: id.into(),
            project: new.project().to_owned(),
            title: new.title().map(str::to_owned),
            created_at: Some(now),
            updated_at: Some(now),
        })
    }
}
