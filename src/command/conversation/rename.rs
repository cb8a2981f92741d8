//! Giving a conversation another title.

use super::{ConversationRefusal, existing};
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{Tx, Write};
use crate::types::{Conversation, ConversationId, ConversationTitle};

/// Gives a conversation another title, or none, so that its next user message names it. Its place
/// among the others stays, since nothing was said.
#[derive(Debug, Clone)]
pub struct RenameConversation {
    /// Which one.
    pub id: ConversationId,
    /// What it is called from then on.
    pub title: Option<ConversationTitle>,
}

impl Command for RenameConversation {
    const NAME: &'static str = "rename_conversation";
    type Database = Assistant;
    type Access = Write;
    type Output = Conversation;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Conversation, Failure<ConversationRefusal>> {
        let conversation = existing(tx, self.id)?;
        let title = self.title.as_ref().map(ConversationTitle::as_str);
        tx.execute("UPDATE conversations SET title = ?2 WHERE id = ?1", (self.id.get(), title))?;
        Ok(Conversation { title: title.map(str::to_owned), ..conversation })
    }
}
