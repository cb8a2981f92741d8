//! Scripts on conversations, in a file without a log.

use autoforge_store::testing::{ConversationOp, ConversationOutcome, Conversations, second};
use autoforge_store::{
    AddMessage, Assistant, Circumstances, Command, ConversationTitle, CreateConversation,
    DeleteConversation, MessageSpan, Moment, NewConversation, NewMessage, RenameConversation, Role,
    StorageError, Store,
};

use crate::session::{Answering, Script, answering};

pub(crate) enum OnConversations {}

/// A command, and the second at which it believes to be called.
type At = (ConversationOp, u32);

impl Script for OnConversations {
    type Database = Assistant;
    type Model = Conversations;
    type Step = At;
    type View = Vec<ConversationOutcome>;
    const FILE: &'static str = "assistant.db";

    fn submit((op, at): &At, store: &Store<Assistant>) -> Answering {
        let title = |title: Option<&str>| title.map(|title| ConversationTitle::new(title).unwrap());
        match op {
            ConversationOp::CreateConversation { project, title: wanted } => {
                let new = NewConversation::new(*project).unwrap();
                let new = match title(*wanted) {
                    Some(title) => new.titled(title),
                    None => new,
                };
                hand_in(store, CreateConversation(new), *at)
            }
            ConversationOp::RenameConversation { id, title: wanted } => {
                let command = RenameConversation { id: (*id).into(), title: title(*wanted) };
                hand_in(store, command, *at)
            }
            ConversationOp::DeleteConversation(id) => {
                hand_in(store, DeleteConversation { id: (*id).into() }, *at)
            }
            ConversationOp::AddMessage { id, role, text } => {
                let message = NewMessage::new(*role, text).unwrap();
                hand_in(store, AddMessage { conversation: (*id).into(), message }, *at)
            }
            _ => panic!("no step of a script: {op:?}"),
        }
    }

    fn apply((op, at): &At, model: &mut Conversations) -> Result<(), &'static str> {
        match model.apply(op, second(*at)) {
            ConversationOutcome::Refused(code) => Err(code),
            _ => Ok(()),
        }
    }

    fn view_of(model: &Conversations) -> Vec<ConversationOutcome> {
        let mut model = model.clone();
        reads().map(|op| model.apply(&op, second(0))).collect()
    }

    fn view(store: &Store<Assistant>) -> Result<Vec<ConversationOutcome>, StorageError> {
        let read = |op: ConversationOp| match op.apply_to(store, second(0)) {
            ConversationOutcome::Failed(fault) => Err(fault),
            outcome => Ok(outcome),
        };
        reads().map(read).collect()
    }
}

fn hand_in<C: Command<Database = Assistant>>(
    store: &Store<Assistant>,
    command: C,
    at: u32,
) -> Answering {
    let moment = Moment { wall: second(at), uptime: None };
    let circumstances = Circumstances::told(moment, []);
    answering(store.submit(command.because("").in_circumstances(circumstances)))
}

/// The scripts begin no more conversations than these read.
fn reads() -> impl Iterator<Item = ConversationOp> {
    let limit = usize::MAX;
    let list = ConversationOp::ListConversations { project: None, limit };
    let span = MessageSpan::Earliest;
    let messages = move |id| ConversationOp::GetMessages { id, span, limit };
    std::iter::once(list).chain((1..=4).map(messages))
}

fn begin(title: Option<&'static str>) -> ConversationOp {
    ConversationOp::CreateConversation { project: "shop", title }
}

fn say(id: i64, role: Role, text: &str) -> ConversationOp {
    ConversationOp::AddMessage { id, role, text: text.to_owned() }
}

/// One command a second.
fn in_time(rounds: Vec<Vec<ConversationOp>>) -> Vec<Vec<At>> {
    let mut at = 0;
    let mut timed = |op| {
        at += 1;
        (op, at)
    };
    rounds.into_iter().map(|round| round.into_iter().map(&mut timed).collect()).collect()
}

/// A few commands of all sorts, in groups.
pub(crate) fn short() -> Vec<Vec<At>> {
    let rename = ConversationOp::RenameConversation { id: 2, title: Some("By hand") };
    in_time(vec![
        vec![begin(None), say(1, Role::User, "How do I begin?"), begin(Some("t"))],
        vec![say(1, Role::Assistant, &"Like this. ".repeat(600)), say(9, Role::User, "?"), rename],
        vec![ConversationOp::DeleteConversation(1), say(2, Role::User, "And now?")],
        vec![begin(None), say(3, Role::User, "Once more.")],
    ])
}

/// Enough for the file to grow and to have pages that are free.
pub(crate) fn long() -> Vec<Vec<At>> {
    let mut rounds = vec![vec![begin(None), begin(Some("t")), begin(None)]];
    for round in 0..14 {
        let id = 1 + round % 3;
        let text = "What was said. ".repeat(40 + 60 * usize::try_from(round % 5).unwrap());
        rounds.push(vec![say(id, Role::User, &text), say(1, Role::Assistant, "Short.")]);
    }
    rounds.push(vec![ConversationOp::DeleteConversation(2), say(1, Role::User, "Still there?")]);
    rounds.push(vec![begin(None), say(4, Role::User, &"Again. ".repeat(1_200))]);
    rounds.push(vec![ConversationOp::DeleteConversation(1)]);
    in_time(rounds)
}
