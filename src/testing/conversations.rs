//! Conversations, said a second time and naively: the commands as plain data, a model of the file, and
//! sequences of what happens to it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{
    AddMessage, Assistant, Circumstances, Command, Conversation, ConversationId, ConversationPage,
    ConversationTitle, CreateConversation, DeleteConversation, DeletedConversation, Error,
    GetConversation, GetMessages, ListConversations, ListedConversation, Message, MessageId,
    MessageSpan, Moment, NewConversation, NewMessage, Refusal, RenameConversation, Role,
    StorageError, Store, Timestamp, WholeConversation,
};

/// A command on conversations. Each variant is the command of that name, with its fields.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the commands")]
pub enum ConversationOp {
    CreateConversation { project: &'static str, title: Option<&'static str> },
    RenameConversation { id: i64, title: Option<&'static str> },
    DeleteConversation(i64),
    AddMessage { id: i64, role: Role, text: String },
    ListConversations { project: Option<&'static str>, limit: usize },
    GetConversation { id: i64, latest: usize },
    GetMessages { id: i64, span: MessageSpan, limit: usize },
}

/// What became of a [`ConversationOp`].
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each holds the output of the commands that give it")]
pub enum ConversationOutcome {
    Conversation(Conversation),
    Deleted(DeletedConversation),
    Message(Message),
    /// All pages of a list, one after the other.
    Listed(Vec<ListedConversation>),
    Whole(WholeConversation),
    Messages(Vec<Message>),
    Refused(&'static str),
    Failed(StorageError),
}

use ConversationOutcome as Outcome;

impl ConversationOp {
    /// Runs the command on a store, at this moment.
    #[must_use]
    pub fn apply_to(&self, store: &Store<Assistant>, now: Timestamp) -> Outcome {
        match self {
            Self::CreateConversation { project, title } => {
                let Ok(new) = NewConversation::new(*project) else { return INVALID };
                let new = match title.map(ConversationTitle::new) {
                    Some(Err(_)) => return INVALID,
                    Some(Ok(title)) => new.titled(title),
                    None => new,
                };
                told(call(store, CreateConversation(new), now), Outcome::Conversation)
            }
            Self::RenameConversation { id, title } => {
                let Ok(title) = title.map(ConversationTitle::new).transpose() else {
                    return INVALID;
                };
                let command = RenameConversation { id: (*id).into(), title };
                told(call(store, command, now), Outcome::Conversation)
            }
            Self::DeleteConversation(id) => {
                told(call(store, DeleteConversation { id: (*id).into() }, now), Outcome::Deleted)
            }
            Self::AddMessage { id, role, text } => {
                let Ok(message) = NewMessage::new(*role, text) else { return INVALID };
                let command = AddMessage { conversation: (*id).into(), message };
                told(call(store, command, now), Outcome::Message)
            }
            Self::ListConversations { project, limit } => {
                told(all_pages(store, *project, *limit, now), Outcome::Listed)
            }
            Self::GetConversation { id, latest } => {
                let command = GetConversation { id: (*id).into(), latest: *latest };
                told(call(store, command, now), Outcome::Whole)
            }
            Self::GetMessages { id, span, limit } => {
                let conversation = (*id).into();
                let command = GetMessages { conversation, span: *span, limit: *limit };
                told(call(store, command, now), Outcome::Messages)
            }
        }
    }
}

const INVALID: Outcome = Outcome::Refused("invalid");

fn told<T, R: Refusal>(answer: Result<T, Error<R>>, wrap: impl FnOnce(T) -> Outcome) -> Outcome {
    match answer {
        Ok(output) => wrap(output),
        Err(Error::Refused(refusal)) => Outcome::Refused(refusal.code()),
        Err(Error::Storage(fault)) => Outcome::Failed(fault),
    }
}

/// Calls a command that believes it to be that moment.
pub(super) fn call<C: Command>(
    store: &Store<C::Database>,
    command: C,
    now: Timestamp,
) -> Result<C::Output, Error<C::Rejection>> {
    let circumstances = Circumstances::told(Moment { wall: now, uptime: None }, []);
    store.call(command.because("").in_circumstances(circumstances))
}

/// The whole list, turning pages; with a limit of 0 there is but an empty one.
fn all_pages(
    store: &Store<Assistant>,
    project: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<ListedConversation>, Error<std::convert::Infallible>> {
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let project = project.map(str::to_owned);
        let ConversationPage { conversations, next } =
            call(store, ListConversations { project, after, limit }, now)?;
        listed.extend(conversations);
        match next {
            Some(next) => after = Some(next),
            None => return Ok(listed),
        }
    }
}

/// What another program does to the file.
#[derive(Debug, Clone, PartialEq)]
pub enum ConversationNeighbour {
    /// Deletes a conversation and its messages.
    Delete(i64),
    /// Says something in a conversation, whether or not there is one, at a second or at no time.
    Say {
        /// In which.
        id: i64,
        /// When.
        at: Option<u32>,
    },
}

/// The time that this many seconds after the beginning are.
#[must_use]
pub fn second(second: u32) -> Timestamp {
    Timestamp::from_microseconds(i64::from(second) * 1_000_000 + 7).unwrap_or(Timestamp::EPOCH)
}

/// The file, as it should be.
#[derive(Debug, Clone, Default)]
pub struct Conversations {
    by_id: BTreeMap<ConversationId, Conversation>,
    messages: BTreeMap<MessageId, Message>,
    highest: i64,
}

impl Conversations {
    /// What the command should do at this moment.
    pub fn apply(&mut self, op: &ConversationOp, now: Timestamp) -> Outcome {
        self.run(op, now).unwrap_or_else(Outcome::Refused)
    }

    /// What another program does.
    pub fn neighbour(&mut self, act: &ConversationNeighbour) {
        match act {
            ConversationNeighbour::Delete(id) => {
                let id = ConversationId::from(*id);
                if self.by_id.remove(&id).is_some() {
                    self.highest = self.highest.max(id.get());
                }
                self.messages.retain(|_, message| message.conversation != id);
            }
            ConversationNeighbour::Say { id, at } => {
                let id = ConversationId::from(*id);
                self.say(id, Role::User, "theirs", at.map(second));
            }
        }
    }

    fn run(&mut self, op: &ConversationOp, now: Timestamp) -> Result<Outcome, &'static str> {
        let blank = |title: Option<&str>| title.is_some_and(|title| title.trim().is_empty());
        match op {
            ConversationOp::CreateConversation { title, .. } if blank(*title) => Err("invalid"),
            ConversationOp::RenameConversation { title, .. } if blank(*title) => Err("invalid"),
            ConversationOp::CreateConversation { project: "", .. } => Err("invalid"),
            ConversationOp::CreateConversation { project, title } => {
                let (project, title) = ((*project).to_owned(), title.map(str::to_owned));
                let (id, at) = (self.next_id().into(), Some(now));
                let new = Conversation { id, project, title, created_at: at, updated_at: at };
                self.by_id.insert(id, new.clone());
                Ok(Outcome::Conversation(new))
            }
            ConversationOp::RenameConversation { id, title } => {
                let conversation = self.existing(*id)?;
                conversation.title = title.map(str::to_owned);
                Ok(Outcome::Conversation(conversation.clone()))
            }
            ConversationOp::DeleteConversation(id) => {
                let conversation = self.existing(*id)?.clone();
                let messages = self.of(conversation.id).len() as u64;
                self.neighbour(&ConversationNeighbour::Delete(*id));
                Ok(Outcome::Deleted(DeletedConversation { conversation, messages }))
            }
            ConversationOp::AddMessage { id, role, text } => {
                let conversation = self.existing(*id)?;
                conversation.updated_at = Some(now);
                let shown = *role == Role::User && !text.trim().is_empty();
                if shown && conversation.title.is_none() {
                    let mut title: String = text.chars().take(50).collect();
                    if title != *text {
                        title.push_str("...");
                    }
                    conversation.title = Some(title);
                }
                let id = conversation.id;
                let last = self.of(id).last().and_then(|message| message.at);
                let at = last.filter(|last| *last > now).unwrap_or(now);
                Ok(Outcome::Message(self.say(id, *role, text, Some(at))))
            }
            ConversationOp::ListConversations { limit: 0, .. } => Ok(Outcome::Listed(Vec::new())),
            ConversationOp::ListConversations { project, .. } => {
                Ok(Outcome::Listed(self.list(*project)))
            }
            ConversationOp::GetConversation { id, latest } => {
                let conversation = self.existing(*id)?.clone();
                let messages = self.of(conversation.id);
                let count = messages.len() as u64;
                let messages = last(messages, *latest);
                Ok(Outcome::Whole(WholeConversation { conversation, count, messages }))
            }
            ConversationOp::GetMessages { id, span, limit } => {
                let id = self.existing(*id)?.id;
                self.page(id, *span, *limit).map(Outcome::Messages)
            }
        }
    }

    fn page(
        &self,
        id: ConversationId,
        span: MessageSpan,
        limit: usize,
    ) -> Result<Vec<Message>, &'static str> {
        let all = self.of(id);
        let place = |id: MessageId| {
            all.iter().position(|message| message.id == id).ok_or("unknown_message")
        };
        Ok(match span {
            MessageSpan::Latest => last(all, limit),
            MessageSpan::Earliest => all.into_iter().take(limit).collect(),
            MessageSpan::Before(id) => {
                let at = place(id)?;
                last(all.into_iter().take(at).collect(), limit)
            }
            MessageSpan::After(id) => {
                let at = place(id)?;
                all.into_iter().skip(at + 1).take(limit).collect()
            }
        })
    }

    fn existing(&mut self, id: i64) -> Result<&mut Conversation, &'static str> {
        self.by_id.get_mut(&id.into()).ok_or("unknown_conversation")
    }

    /// Above every id that there is, was deleted, or is named by a message.
    fn next_id(&self) -> i64 {
        let ids = self.by_id.keys().map(|id| id.get());
        let named = self.messages.values().map(|message| message.conversation.get());
        ids.chain(named).fold(self.highest, i64::max) + 1
    }

    fn say(
        &mut self,
        conversation: ConversationId,
        role: Role,
        text: &str,
        at: Option<Timestamp>,
    ) -> Message {
        let id = self.messages.keys().last().map_or(1, |id| id.get() + 1).into();
        let content = text.to_owned();
        let message = Message { id, conversation, role: role.into(), content, at };
        self.messages.insert(id, message.clone());
        message
    }

    /// What was said in a conversation, in order.
    fn of(&self, id: ConversationId) -> Vec<Message> {
        let all = self.messages.values().filter(|message| message.conversation == id);
        let mut messages: Vec<Message> = all.cloned().collect();
        messages.sort_by_key(|message| (message.at, message.id));
        messages
    }

    fn list(&self, project: Option<&str>) -> Vec<ListedConversation> {
        let all = self.by_id.values();
        let mut of: Vec<&Conversation> =
            all.filter(|c| project.is_none_or(|project| c.project == project)).collect();
        of.sort_by_key(|conversation| (conversation.updated_at, conversation.id));
        let listed = of.into_iter().rev().map(|conversation| ListedConversation {
            conversation: conversation.clone(),
            messages: self.of(conversation.id).len() as u64,
        });
        listed.collect()
    }
}

fn last(messages: Vec<Message>, count: usize) -> Vec<Message> {
    let skipped = messages.len().saturating_sub(count);
    messages.into_iter().skip(skipped).collect()
}

/// One thing that happens to a file of conversations.
#[derive(Debug, Clone, PartialEq)]
pub enum ConversationStep {
    /// A command is called at a second, which may be before that of the last one.
    Call(ConversationOp, u32),
    /// Another program is at work.
    Neighbour(ConversationNeighbour),
    /// The file is closed and opened again.
    Reopen,
}

/// Sequences of what happens. Ids are small, since they are counted from 1.
pub fn conversation_steps(max: usize) -> impl Strategy<Value = Vec<ConversationStep>> {
    let step = prop_oneof![
        16 => (op(), 0..20_u32).prop_map(|(op, at)| ConversationStep::Call(op, at)),
        1 => (1..6_i64)
            .prop_map(|id| ConversationStep::Neighbour(ConversationNeighbour::Delete(id))),
        2 => (1..7_i64, proptest::option::of(0..20_u32))
            .prop_map(|(id, at)| ConversationStep::Neighbour(ConversationNeighbour::Say { id, at })),
        1 => Just(ConversationStep::Reopen),
    ];
    vec(step, 0..max)
}

fn op() -> impl Strategy<Value = ConversationOp> {
    let id = || 1..6_i64;
    let project = || prop_oneof![6 => Just("shop"), 2 => Just("blog"), 1 => Just("")];
    let title = || {
        let title = prop_oneof![4 => Just("By hand"), 1 => Just(" "), 1 => Just("t")];
        proptest::option::of(title)
    };
    let limit = || prop_oneof![0..5_usize, Just(usize::MAX)];
    let message = || (1..12_i64).prop_map(MessageId::from);
    let span = prop_oneof![
        Just(MessageSpan::Latest),
        Just(MessageSpan::Earliest),
        message().prop_map(MessageSpan::Before),
        message().prop_map(MessageSpan::After),
    ];
    let role = proptest::sample::select(Role::ALL.as_slice());
    let text = prop_oneof![4 => "\\PC{0,8}", 1 => "[é語]{48,53}", 1 => "[ \n]{0,2}"];
    prop_oneof![
        3 => (project(), title())
            .prop_map(|(project, title)| ConversationOp::CreateConversation { project, title }),
        1 => (id(), title())
            .prop_map(|(id, title)| ConversationOp::RenameConversation { id, title }),
        1 => id().prop_map(ConversationOp::DeleteConversation),
        8 => (id(), role, text)
            .prop_map(|(id, role, text)| ConversationOp::AddMessage { id, role, text }),
        2 => (proptest::option::of(project()), limit())
            .prop_map(|(project, limit)| ConversationOp::ListConversations { project, limit }),
        2 => (id(), limit())
            .prop_map(|(id, latest)| ConversationOp::GetConversation { id, latest }),
        4 => (id(), span, limit())
            .prop_map(|(id, span, limit)| ConversationOp::GetMessages { id, span, limit }),
    ]
}
