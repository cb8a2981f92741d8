//! Deleting a conversation.

use super::{ConversationRefusal, existing};
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{Conversation, ConversationId};

/// A conversation that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedConversation {
    /// What it was.
    pub conversation: Conversation,
    /// How many messages went with it.
    pub messages: u64,
}

/// Deletes a conversation with all its messages. Whoever adds to it afterwards is refused, so
/// nothing is left that belongs to no conversation. Its id is never given out again.
#[derive(Debug, Clone, Copy)]
pub struct DeleteConversation {
    /// Which one.
    pub id: ConversationId,
}

impl Command for DeleteConversation {
    const NAME: &'static str = "delete_conversation";
    type Database = Assistant;
    type Access = Write;
    type Output = DeletedConversation;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<DeletedConversation, Failure<ConversationRefusal>> {
        let conversation = existing(tx, self.id)?;
        let id = self.id.get();
        let messages =
            tx.execute("DELETE FROM conversation_messages WHERE conversation_id = ?1", [id])?;
        tx.execute("DELETE FROM conversations WHERE id = ?1", [id])?;
        tx.execute(
            "UPDATE autoforge_store SET value = ?1
             WHERE fact = 'conversation_id_floor' AND value < ?1",
            [id],
        )?;
        Ok(DeletedConversation { conversation, messages: messages as u64 })
    }
}
