//! Conversations against their reference model, beside another program and across reopening.

use autoforge_store::testing::{
    ConversationNeighbour, ConversationOp, ConversationStep, Conversations, conversation_steps,
    second,
};
use autoforge_store::{Assistant, MessageSpan, Store};
use proptest::prelude::*;
use rusqlite::Connection;

use super::cases;

/// As AutoForge does it.
fn neighbour(file: &Connection, act: &ConversationNeighbour) -> rusqlite::Result<()> {
    match act {
        ConversationNeighbour::Delete(id) => {
            file.execute("DELETE FROM conversation_messages WHERE conversation_id = ?1", [id])?;
            file.execute("DELETE FROM conversations WHERE id = ?1", [id])?;
        }
        ConversationNeighbour::Say { id, at } => {
            file.execute(
                "INSERT INTO conversation_messages (conversation_id, role, content, timestamp)
                 VALUES (?1, 'user', 'theirs', ?2)",
                (id, at.map(|at| second(at).to_sqlite_text())),
            )?;
        }
    }
    Ok(())
}

/// Every reading that there is, of everything.
fn readings() -> Vec<ConversationOp> {
    let list = ConversationOp::ListConversations { project: None, limit: 3 };
    let whole = |id| ConversationOp::GetConversation { id, latest: usize::MAX };
    let span = MessageSpan::Earliest;
    let messages = |id| ConversationOp::GetMessages { id, span, limit: usize::MAX };
    let each = (1..10).flat_map(|id| [whole(id), messages(id)]);
    std::iter::once(list).chain(each).collect()
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn conversations_are_what_the_model_says(steps in conversation_steps(40)) {
        let folder = tempfile::tempdir()?;
        let mut store = Store::<Assistant>::open_assistant(folder.path())?;
        let file = Connection::open(store.path())?;
        file.pragma_update(None, "foreign_keys", false)?;
        let mut model = Conversations::default();
        let mut now = second(0);
        for step in &steps {
            match step {
                ConversationStep::Call(op, at) => {
                    now = second(*at);
                    prop_assert_eq!(op.apply_to(&store, now), model.apply(op, now), "{:?}", op);
                }
                ConversationStep::Neighbour(act) => {
                    neighbour(&file, act)?;
                    model.neighbour(act);
                }
                ConversationStep::Reopen => {
                    prop_assert_eq!(store.close().fault, None);
                    drop(store);
                    store = Store::open_assistant(folder.path())?;
                    prop_assert!(!store.opening().migrated);
                }
            }
            for op in readings() {
                prop_assert_eq!(op.apply_to(&store, now), model.apply(&op, now), "{:?}", op);
            }
        }
    }
}
