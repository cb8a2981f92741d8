//! What was said in a conversation.

use rusqlite::Row;

use super::{ConversationRefusal, existing};
use crate::command::Command;
use crate::database::Assistant;
use crate::error::Failure;
use crate::tx::{LenientRow, Read, Tx};
use crate::types::{Conversation, ConversationId, Message, MessageId, StoredRole};

/// A conversation with what was said in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeConversation {
    /// What it is.
    pub conversation: Conversation,
    /// How many messages it has.
    pub count: u64,
    /// The latest of them, in their order.
    pub messages: Vec<Message>,
}

/// A conversation with its messages.
#[derive(Debug, Clone, Copy)]
pub struct GetConversation {
    /// Which one.
    pub id: ConversationId,
    /// So many of its messages at most, the latest; `usize::MAX` for all.
    pub latest: usize,
}

impl Command for GetConversation {
    const NAME: &'static str = "get_conversation";
    type Database = Assistant;
    type Access = Read;
    type Output = WholeConversation;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<WholeConversation, Failure<ConversationRefusal>> {
        let conversation = existing(tx, self.id)?;
        let count = tx.first(
            "SELECT count(*) FROM conversation_messages WHERE conversation_id = ?1",
            [self.id.get()],
            |row| row.integer(0, 0),
        )?;
        let count = count.unwrap_or(0).unsigned_abs();
        let messages = latest(tx, self.id, self.latest)?;
        Ok(WholeConversation { conversation, count, messages })
    }
}

/// Which messages of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageSpan {
    /// Those at its end.
    Latest,
    /// Those at its beginning.
    Earliest,
    /// Those just before a message of it: the page above.
    Before(MessageId),
    /// Those just after a message of it: the page below, or what has been said since.
    After(MessageId),
}

/// Some messages of a conversation, in the order in which they were said: by time, of several at
/// once by id. What it costs depends on how many are given, not on how many there are.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{
///     AddMessage, Assistant, CreateConversation, GetMessages, MessageSpan, NewConversation,
///     NewMessage, Role, Store,
/// };
///
/// let store = Store::<Assistant>::open_assistant(dir.path())?;
/// let conversation = store.call(CreateConversation(NewConversation::new("shop")?))?.id;
/// for text in ["one", "two", "three"] {
///     let message = NewMessage::new(Role::User, text)?;
///     store.call(AddMessage { conversation, message })?;
/// }
/// let latest = GetMessages { conversation, span: MessageSpan::Latest, limit: 2 };
/// let page = store.call(latest)?;
/// assert_eq!((page[0].content.as_str(), page[1].content.as_str()), ("two", "three"));
/// let above = GetMessages { span: MessageSpan::Before(page[0].id), ..latest };
/// assert_eq!(store.call(above)?[0].content, "one");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GetMessages {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Which of them.
    pub span: MessageSpan,
    /// At most so many are given.
    pub limit: usize,
}

impl Command for GetMessages {
    const NAME: &'static str = "get_messages";
    type Database = Assistant;
    type Access = Read;
    type Output = Vec<Message>;
    type Rejection = ConversationRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Message>, Failure<ConversationRefusal>> {
        let Self { conversation, span, limit } = *self;
        existing(tx, conversation)?;
        match span {
            MessageSpan::Latest => Ok(latest(tx, conversation, limit)?),
            MessageSpan::Earliest => Ok(tx.all(
                "SELECT id, role, content, timestamp FROM conversation_messages
                 WHERE conversation_id = ?1 ORDER BY timestamp, id LIMIT ?2",
                (conversation.get(), rows(limit)),
                |row| message(row, conversation),
            )?),
            MessageSpan::Before(id) => {
                let mut found = around(tx, &BEFORE, conversation, id, limit)?;
                found.reverse();
                Ok(found)
            }
            MessageSpan::After(id) => around(tx, &AFTER, conversation, id, limit),
        }
    }
}

fn latest(
    tx: &Tx<'_, Read>,
    conversation: ConversationId,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    let mut found = tx.all(
        "SELECT id, role, content, timestamp FROM conversation_messages
         WHERE conversation_id = ?1 ORDER BY timestamp DESC, id DESC LIMIT ?2",
        (conversation.get(), rows(limit)),
        |row| message(row, conversation),
    )?;
    found.reverse();
    Ok(found)
}

/// What comes on one side of a message, nearest first. One statement would have to compare times and
/// ids together, and then SQLite passes over every message of the same moment.
struct Side {
    /// At the same moment.
    at_once: &'static str,
    /// At other moments, and where no time is known. One of them may find nothing.
    beyond: [&'static str; 2],
}

const BEFORE: Side = Side {
    at_once: "SELECT id, role, content, timestamp FROM conversation_messages
        WHERE conversation_id = ?1 AND timestamp IS ?3 AND id < ?4 ORDER BY id DESC LIMIT ?2",
    beyond: [
        "SELECT id, role, content, timestamp FROM conversation_messages
            WHERE conversation_id = ?1 AND timestamp < ?3
            ORDER BY timestamp DESC, id DESC LIMIT ?2",
        "SELECT id, role, content, timestamp FROM conversation_messages
            WHERE conversation_id = ?1 AND timestamp IS NULL AND ?3 IS NOT NULL
            ORDER BY id DESC LIMIT ?2",
    ],
};

const AFTER: Side = Side {
    at_once: "SELECT id, role, content, timestamp FROM conversation_messages
        WHERE conversation_id = ?1 AND timestamp IS ?3 AND id > ?4 ORDER BY id LIMIT ?2",
    beyond: [
        "SELECT id, role, content, timestamp FROM conversation_messages
            WHERE conversation_id = ?1 AND timestamp > ?3 ORDER BY timestamp, id LIMIT ?2",
        "SELECT id, role, content, timestamp FROM conversation_messages
            WHERE conversation_id = ?1 AND timestamp IS NOT NULL AND ?3 IS NULL
            ORDER BY timestamp, id LIMIT ?2",
    ],
};

fn around(
    tx: &Tx<'_, Read>,
    side: &Side,
    conversation: ConversationId,
    id: MessageId,
    limit: usize,
) -> Result<Vec<Message>, Failure<ConversationRefusal>> {
    let moment = tx.first(
        "SELECT timestamp FROM conversation_messages WHERE id = ?1 AND conversation_id = ?2",
        (id.get(), conversation.get()),
        |row| row.stored(0),
    )?;
    let missing = ConversationRefusal::MessageNotFound { conversation, id };
    let moment = moment.ok_or(Failure::Refused(missing))?;
    let read = |row: &Row<'_>| message(row, conversation);
    let parameters = (conversation.get(), rows(limit), &moment, id.get());
    let mut found = tx.all(side.at_once, parameters, read)?;
    for statement in side.beyond {
        let rest = limit.saturating_sub(found.len());
        if rest > 0 {
            found.extend(tx.all(statement, (conversation.get(), rows(rest), &moment), read)?);
        }
    }
    Ok(found)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads the columns `id, role, content, timestamp`.
fn message(row: &Row<'_>, conversation: ConversationId) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.integer(0, 0)?.into(),
        conversation,
        role: StoredRole::from(row.text(1)?),
        content: row.text(2)?,
        at: row.time(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::File;
    use super::*;

    fn ids(file: &File, span: MessageSpan, limit: usize) -> Vec<i64> {
        let command = GetMessages { conversation: 1.into(), span, limit };
        file.read(&command).unwrap().iter().map(|message| message.id.get()).collect()
    }

    const LATEST: MessageSpan = MessageSpan::Latest;

    #[test]
    fn what_messages_cost_does_not_depend_on_how_many_there_are() {
        let mut file = File::new();
        file.fill(1, 100);
        file.fill(2, 100_000);
        let mut cost = |conversation: i64, span: MessageSpan| {
            let command = GetMessages { conversation: conversation.into(), span, limit: 35 };
            // Preparing a statement has a cost of its own.
            drop(file.read(&command).unwrap());
            file.steps(|file| assert_eq!(file.read(&command).unwrap().len(), 35))
        };
        let spans = |first: i64| {
            let middle = MessageId::from(first + 50);
            [LATEST, MessageSpan::Earliest, MessageSpan::Before(middle), MessageSpan::After(middle)]
        };
        for (few, many) in spans(1).into_iter().zip(spans(50_000)) {
            let (few, many) = (cost(1, few), cost(2, many));
            assert!(many <= few + 10 && many < 1_500, "{few} steps became {many}");
        }
    }

    #[test]
    fn what_was_said_at_one_moment_is_passed_over_at_once() {
        let mut file = File::new();
        file.fill(1, 20_000);
        file.0.execute("UPDATE conversation_messages SET timestamp = '2026-01-01'", []).unwrap();
        for span in [MessageSpan::Before(10_000.into()), MessageSpan::After(10_000.into())] {
            drop(ids(&file, span, 10));
            let steps = file.steps(|file| assert_eq!(ids(file, span, 10).len(), 10));
            assert!(steps < 1_000, "{steps}");
        }
    }

    #[test]
    fn adding_costs_the_same_whatever_was_said_before() {
        use crate::types::{NewMessage, Role};
        let mut file = File::new();
        file.fill(1, 10);
        file.fill(2, 50_000);
        let mut cost = |conversation: i64| {
            let message = NewMessage::new(Role::User, "Hi").unwrap();
            let command = crate::command::AddMessage { conversation: conversation.into(), message };
            drop(file.write(&command).unwrap());
            file.steps(|file| drop(file.write(&command).unwrap()))
        };
        let (few, many) = (cost(1), cost(2));
        assert!(many <= few + 10, "{few} steps became {many}");
    }

    #[test]
    fn messages_come_by_time_then_by_id_whatever_the_file_holds_for_a_time() {
        let file = File::new();
        file.0
            .execute_batch(
                "INSERT INTO conversations (id, project_name) VALUES (1, 'shop'), (2, 'shop');
                INSERT INTO conversation_messages (id, conversation_id, role, content, timestamp)
                VALUES (1, 1, 'user', 'c', '2026-01-01 00:00:02.000000'),
                    (2, 1, 'user', 'a', '2026-01-01 00:00:01.000000'),
                    (3, 2, 'user', 'x', '2026-01-01 00:00:01.000000'),
                    (4, 1, 'user', 'b', '2026-01-01 00:00:01.000000'),
                    (5, 1, 'user', 'first', NULL), (6, 1, 'tool', x'ff', ''),
                    (7, 1, 'user', 'last', 'z'), (8, 1, 'user', 'odd', 7);",
            )
            .unwrap();
        let all = ids(&file, MessageSpan::Earliest, 100);
        assert_eq!(all, [5, 8, 6, 2, 4, 1, 7]);
        assert_eq!(ids(&file, LATEST, 100), all);
        assert_eq!(ids(&file, LATEST, 3), [4, 1, 7]);
        assert_eq!(ids(&file, LATEST, 0), [0; 0]);
        for (at, id) in all.iter().enumerate() {
            let id = MessageId::from(*id);
            assert_eq!(ids(&file, MessageSpan::Before(id), 100), all[..at]);
            assert_eq!(ids(&file, MessageSpan::After(id), 100), all[at + 1..]);
            assert_eq!(ids(&file, MessageSpan::Before(id), 1), all[at.saturating_sub(1)..at]);
        }
    }

    #[test]
    fn a_message_of_another_conversation_is_no_place_to_go_on_from() {
        let file = File::new();
        file.fill(1, 1);
        file.fill(2, 1);
        for span in [MessageSpan::Before(2.into()), MessageSpan::After(2.into())] {
            let command = GetMessages { conversation: 1.into(), span, limit: 1 };
            let refusal = file.read(&command).unwrap_err();
            let expected = "message 2 is not in conversation 1; read its latest messages instead";
            assert!(matches!(refusal, Failure::Refused(it) if it.to_string() == expected));
        }
    }
}
