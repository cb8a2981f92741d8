//! The conversations of a project.

use std::convert::Infallible;

use super::conversation;
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx};
use crate::types::{Conversation, ConversationId, Stored};

/// A conversation in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedConversation {
    /// What it is.
    pub conversation: Conversation,
    /// How many messages it has.
    pub messages: u64,
}

/// Where a page of conversations ended, to go on from there. It stays valid whatever happens to the
/// conversations meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationCursor {
    /// What the list is ordered by, as the file holds it.
    updated: Stored,
    id: ConversationId,
}

/// A page of conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationPage {
    /// The one that was updated last comes first; of several at once, the younger.
    pub conversations: Vec<ListedConversation>,
    /// Where the next page begins; `None` where this is the last one.
    pub next: Option<ConversationCursor>,
}

/// Lists conversations, those first in which something was said last, with the number of their
/// messages.
#[derive(Debug, Clone)]
pub struct ListConversations {
    /// Of this project alone.
    pub project: Option<String>,
    /// Behind where an earlier page ended.
    pub after: Option<ConversationCursor>,
    /// At most so many are given.
    pub limit: usize,
}

impl ListConversations {
    /// All conversations of a project.
    #[must_use]
    pub fn of(project: impl Into<String>) -> Self {
        Self { project: Some(project.into()), ..Self::all() }
    }

    /// All conversations in the file.
    #[must_use]
    pub const fn all() -> Self {
        Self { project: None, after: None, limit: usize::MAX }
    }
}

impl Command for ListConversations {
    const NAME: &'static str = "list_conversations";
    type Database = Assistant;
    type Access = Read;
    type Output = ConversationPage;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<ConversationPage, Failure<Infallible>> {
        let (after, after_id) = match &self.after {
            Some(cursor) => (&cursor.updated, cursor.id.get()),
            None => (&Stored::Null, 0),
        };
        // One more shows whether there is another page.
        let rows = i64::try_from(self.limit).unwrap_or(i64::MAX).saturating_add(1);
        // The limit comes before the counting, so that only what is shown is counted.
        let mut found = tx.all(
            "SELECT id, project_name, title, created_at, updated_at, place,
                (SELECT count(*) FROM conversation_messages AS message
                 WHERE message.conversation_id = listed.id)
             FROM (
                SELECT *, coalesce(updated_at, '') AS place FROM conversations
                WHERE (?1 IS NULL OR project_name = ?1)
                    AND (?2 IS NULL OR (coalesce(updated_at, ''), id) < (?2, ?3))
                ORDER BY coalesce(updated_at, '') DESC, id DESC LIMIT ?4
             ) AS listed
             ORDER BY place DESC, id DESC",
            (&self.project, after, after_id, rows),
            |row| {
                let conversation = conversation(row)?;
                let cursor = ConversationCursor { updated: row.stored(5)?, id: conversation.id };
                let messages = row.integer(6, 0)?.unsigned_abs();
                Ok((ListedConversation { conversation, messages }, cursor))
            },
        )?;
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(|(_, cursor)| cursor.clone());
        let conversations = found.into_iter().map(|(listed, _)| listed).collect();
        Ok(ConversationPage { conversations, next })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::File;
    use super::*;

    fn page(file: &File, after: Option<ConversationCursor>) -> ConversationPage {
        file.read(&ListConversations { after, limit: 2, project: None }).unwrap()
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended_whatever_the_file_holds_for_a_time() {
        let file = File::new();
        file.0
            .execute_batch(
                "INSERT INTO conversations (id, project_name, updated_at) VALUES
                    (1, 'a', '2026-01-02 00:00:00.000000'), (2, 'a', NULL), (3, 'a', NULL),
                    (4, 'a', x'00'), (5, 'a', 'soon'), (6, 'a', 7), (7, 'a', ''),
                    (8, 'a', '2026-01-02 00:00:00.000000'), (9, 'a', CAST(x'ff' AS TEXT));",
            )
            .unwrap();
        let mut ids = Vec::new();
        let mut after = None;
        for expected in [2, 2, 2, 2, 1] {
            let page = page(&file, after);
            assert_eq!(page.conversations.len(), expected);
            ids.extend(page.conversations.iter().map(|listed| listed.conversation.id.get()));
            after = page.next;
        }
        assert_eq!(after, None);
        assert_eq!(ids, [4, 9, 5, 8, 1, 7, 3, 2, 6]);
    }

    #[test]
    fn only_the_messages_of_what_is_shown_are_counted() {
        let mut file = File::new();
        file.fill(1, 10);
        drop(page(&file, None));
        let few = file.steps(|file| drop(page(file, None)));
        // They are behind the first page, since nothing tells when they were updated.
        for id in -20..=-1 {
            file.fill(id, 500);
        }
        let many = file.steps(|file| drop(page(file, None)));
        assert!(many < few + 5_000, "{few} steps became {many}");
    }
}
