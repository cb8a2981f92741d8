//! Saying something in a conversation.

use super::{ConversationRefusal, existing};
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{LenientRow, Tx, Write};
use crate::types::{ConversationId, Message, NewMessage};

/// Adds a message to the end of a conversation, which is updated by it. The first user message of an
/// untitled conversation names it; see [`NewMessage::title_of_conversation`].
///
/// The message has the time of its transaction, but never one before that of the last message: a
/// clock that was set back does not bring an answer before its question.
///
/// # Refuses
/// A conversation that does not exist, or that was deleted while its answer was on the way: then
/// nothing is stored, and the caller still has the text.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{
///     AddMessage, Assistant, CreateConversation, GetConversation, NewConversation, NewMessage, Role,
///     Store,
/// };
///
/// let store = Store::<Assistant>::open_assistant(dir.path())?;
/// let id = store.call(CreateConversation(NewConversation::new("shop")?))?.id;
/// let question = NewMessage::new(Role::User, "Where is the login?")?;
/// store.call(AddMessage { conversation: id, message: question })?;
/// let whole = store.call(GetConversation { id, latest: usize::MAX })?;
/// assert_eq!(whole.conversation.title.as_deref(), Some("Where is the login?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AddMessage {
    /// To which conversation.
    pub conversation: ConversationId,
    /// What is said.
    pub message: NewMessage,
}

impl Command for AddMessage {
    const NAME: &'static str = "add_message";
    type Database = Assistant;
    type Access = Write;
    type Output = Message;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Message, Failure<ConversationRefusal>> {
        let (id, message) = (self.conversation, &self.message);
        let before = existing(tx, id)?;
        let last = tx.first(
            "SELECT timestamp FROM conversation_messages WHERE conversation_id = ?1
             ORDER BY timestamp DESC, id DESC LIMIT 1",
            [id.get()],
            |row| row.time(0),
        )?;
        let now = tx.circumstances().moment().wall;
        let at = last.flatten().map_or(now, |last| last.max(now));
        tx.execute(
            "INSERT INTO conversation_messages (conversation_id, role, content, timestamp)
             VALUES (?1, ?2, ?3, ?4)",
            (id.get(), message.role().as_str(), message.content(), at.to_sqlite_text()),
        )?;
        let added = tx.inserted();
        let title = if before.title.is_none() { message.title_of_conversation() } else { None };
        tx.execute(
            "UPDATE conversations SET updated_at = ?2, title = coalesce(?3, title) WHERE id = ?1",
            (id.get(), now.to_sqlite_text(), title),
        )?;
        Ok(Message {
            id: added.into(),
            conversation: id,
            role: message.role().into(),
            content: message.content().to_owned(),
            at: Some(at),
        })
    }
}
