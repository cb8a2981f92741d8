//! `conversations`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::file::Target;
use crate::cli::form::yes_or_no;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::view::{insert, moment, moment_json};
use crate::{
    Assistant, Conversation, ConversationId, ConversationTitle, DeleteConversation,
    GetConversation, ListConversations, ListedConversation, Message, RenameConversation, Store,
    WholeConversation,
};

const HEAD: &[&str] = &["ID", "Title", "Messages", "Updated (UTC)", "Project"];

/// Options of `conversations`.
#[derive(Debug, Args)]
pub(crate) struct ConversationsArgs {
    #[command(subcommand)]
    what: What,
}

/// What to do with conversations.
#[derive(Debug, Subcommand)]
enum What {
    /// List conversations, the one that was used last on top.
    List(List),
    /// Show what was said in a conversation.
    Show(Show),
    /// Write a conversation as Markdown.
    Export(Export),
    /// Give a conversation another title.
    Rename(Rename),
    /// Delete a conversation with all its messages.
    Delete(Delete),
}

impl Task for ConversationsArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        match &self.what {
            What::List(list) => list.run(session),
            What::Show(show) => show.run(session),
            What::Export(export) => export.run(session),
            What::Rename(rename) => rename.run(session),
            What::Delete(delete) => delete.run(session),
        }
    }
}

fn parse_id(text: &str) -> Result<ConversationId, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse::<i64>();
    number.map(ConversationId::from).map_err(|_| "a conversation has a whole number".to_owned())
}

/// The project's conversations, one of which is asked for.
fn open(session: &mut Session<'_>, id: ConversationId) -> Result<Store<Assistant>, Failed> {
    let none = format!("conversation {id} does not exist: the project has none");
    session.open_assistant()?.ok_or_else(|| Failed::new("unknown_conversation", none))
}

/// Options of `conversations list`.
#[derive(Debug, Args)]
struct List {
    /// Only those about this project; a folder may hold those of several names.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

impl Task for List {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let (project, limit) = (self.project.clone(), self.limit.unwrap_or(usize::MAX));
        let (listed, more) = match session.open_assistant()? {
            Some(store) => {
                let page = store.call(ListConversations { project, after: None, limit })?;
                (page.conversations, page.next.is_some())
            }
            None => (Vec::new(), false),
        };
        let data = json!({
            "conversations": listed.iter().map(listed_json).collect::<Value>(),
            "more": more,
        });
        let mut page = Page::default();
        if !listed.is_empty() {
            page = page.table(HEAD, listed.iter().map(row).collect());
        }
        let more = if more { ", and more" } else { "" };
        let summary = match listed.len() {
            1 => format!("1 conversation{more}"),
            number => format!("{number} conversations{more}"),
        };
        Ok(Answer::new(data, page.ornament([Cell::faint(summary)])))
    }
}

/// Options of `conversations show`.
#[derive(Debug, Args)]
struct Show {
    /// The conversation.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: ConversationId,
    /// Only so many of its messages, the latest.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    last: usize,
    /// All of its messages.
    #[arg(long, conflicts_with = "last")]
    all: bool,
}

impl Task for Show {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = open(session, self.id)?;
        let latest = if self.all { usize::MAX } else { self.last };
        let whole = store.call(GetConversation { id: self.id, latest })?;
        let conversation = &whole.conversation;
        let mut page = Page::default()
            .field("id", Cell::plain(conversation.id))
            .field("title", title_cell(conversation))
            .field("project", Cell::plain(&conversation.project))
            .field("created", Cell::plain(moment(conversation.created_at)))
            .field("updated", Cell::plain(moment(conversation.updated_at)))
            .field("messages", Cell::plain(whole.count));
        let earlier = whole.count.saturating_sub(whole.messages.len() as u64);
        if earlier > 0 {
            session.hint(format!("{earlier} earlier messages are not shown; --all shows them"));
        }
        for message in &whole.messages {
            let role = match message.role.as_str() {
                "user" => Cell::new(Tone::Active, "user"),
                "assistant" => Cell::new(Tone::Good, "assistant"),
                other => Cell::new(Tone::Attention, other),
            };
            let [id, at] = [format!("#{} ", message.id), format!("  {}", moment(message.at))];
            page = page.gap().line([Cell::faint(id), role, Cell::faint(at)]);
            page = page.verbatim(indented(&message.content));
        }
        Ok(Answer::new(whole_json(&whole), page))
    }
}

fn indented(text: &str) -> String {
    render::lines(text).lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

/// Options of `conversations export`.
#[derive(Debug, Args)]
struct Export {
    /// The conversation.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: ConversationId,
    /// The file to write. Default, and `-`: stdout, without what steers a terminal.
    file: Option<PathBuf>,
    /// Replace a file that exists.
    #[arg(long, requires = "file")]
    force: bool,
}

impl Task for Export {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = open(session, self.id)?;
        let target = Target::of(self.file.as_deref(), store.path(), "md", self.force)?;
        let whole = store.call(GetConversation { id: self.id, latest: usize::MAX })?;
        let text = markdown(&whole);
        let Some(target) = target else {
            let page = Page::default().verbatim(render::lines(&text));
            return Ok(Answer::new(whole_json(&whole), page));
        };
        let shown = target.write(text.as_bytes())?;
        let said = Cell::new(Tone::Good, "exported ");
        let rest = Cell::plain(format!("conversation {} to {shown}", self.id));
        let data = json!({"exported": whole.count, "file": shown});
        Ok(Answer::new(data, Page::default().line([said, rest])))
    }
}

/// A conversation as Markdown: what was said is Markdown already, and stays as it is.
fn markdown(whole: &WholeConversation) -> String {
    let conversation = &whole.conversation;
    let mut text = format!(
        "# {}\n\n- Project: {}\n- Created: {} UTC\n- Updated: {} UTC\n",
        render::one_line(&title(conversation)),
        render::one_line(&conversation.project),
        moment(conversation.created_at),
        moment(conversation.updated_at),
    );
    for message in &whole.messages {
        let role = render::one_line(message.role.as_str());
        let mut letters = role.chars();
        let role: String =
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let _ = write!(text, "\n## {role} ({} UTC)\n\n", moment(message.at));
        text.push_str(&message.content);
        if !message.content.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// Options of `conversations rename`.
#[derive(Debug, Args)]
struct Rename {
    /// The conversation.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: ConversationId,
    /// Its title. Without one, the next thing that its user says becomes it.
    title: Option<String>,
}

impl Task for Rename {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let title = self.title.clone().map(ConversationTitle::new).transpose();
        let title = title.map_err(|problem| Failed::new("invalid_conversation", problem))?;
        let store = open(session, self.id)?;
        let renamed = store.call(RenameConversation { id: self.id, title })?;
        let id = Cell::strong(format!("#{} ", renamed.id));
        let page =
            Page::default().line([Cell::new(Tone::Good, "renamed "), id, title_cell(&renamed)]);
        Ok(Answer::new(conversation_json(&renamed), page))
    }
}

/// Options of `conversations delete`.
#[derive(Debug, Args)]
struct Delete {
    /// The conversation.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: ConversationId,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    yes: bool,
}

impl Task for Delete {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let dialogue = match session.output().dialogue() {
            _ if self.yes => None,
            None => {
                let message = "deleting needs --yes where nobody can be asked";
                return Err(Failed::new("usage", message));
            }
            dialogue => dialogue,
        };
        let store = open(session, self.id)?;
        if let Some(mut dialogue) = dialogue {
            self.confirm(&mut dialogue, &store)?;
        }
        let deleted = store.call(DeleteConversation { id: self.id })?;
        let data = json!({
            "deleted": conversation_json(&deleted.conversation),
            "messages": deleted.messages,
        });
        let page = Page::default().line([
            Cell::new(Tone::Bad, "deleted "),
            Cell::strong(format!("#{} ", deleted.conversation.id)),
            Cell::plain(title(&deleted.conversation)),
            Cell::faint(format!(" ({})", messages(deleted.messages))),
        ]);
        Ok(Answer::new(data, page))
    }
}

impl Delete {
    fn confirm(&self, dialogue: &mut Dialogue, store: &Store<Assistant>) -> Result<(), Failed> {
        let whole = store.call(GetConversation { id: self.id, latest: 0 })?;
        let (title, count) = (title(&whole.conversation), messages(whole.count));
        let question = format!("Delete #{} {title} ({count})? [y/N]", self.id);
        match dialogue.ask(&Cell::strong(question))? {
            Some(line) if yes_or_no(&line) == Some(true) => Ok(()),
            _ => Err(Failed::new("not_confirmed", "nothing was deleted")),
        }
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn title(conversation: &Conversation) -> String {
    let untitled = || format!("Conversation {}", conversation.id);
    conversation.title.clone().unwrap_or_else(untitled)
}

fn title_cell(conversation: &Conversation) -> Cell {
    match &conversation.title {
        Some(title) => Cell::plain(title),
        None => Cell::faint("untitled"),
    }
}

fn row(listed: &ListedConversation) -> Vec<Cell> {
    let conversation = &listed.conversation;
    vec![
        Cell::strong(conversation.id),
        title_cell(conversation),
        Cell::plain(listed.messages),
        Cell::plain(moment(conversation.updated_at)),
        Cell::faint(&conversation.project),
    ]
}

fn conversation_json(conversation: &Conversation) -> Value {
    json!({
        "id": conversation.id.get(),
        "project_name": conversation.project,
        "title": conversation.title,
        "created_at": moment_json(conversation.created_at),
        "updated_at": moment_json(conversation.updated_at),
    })
}

fn listed_json(listed: &ListedConversation) -> Value {
    let mut value = conversation_json(&listed.conversation);
    insert(&mut value, "message_count", listed.messages.into());
    value
}

fn whole_json(whole: &WholeConversation) -> Value {
    let message = |message: &Message| {
        json!({
            "id": message.id.get(),
            "role": message.role.as_str(),
            "content": message.content,
            "timestamp": moment_json(message.at),
        })
    };
    let mut value = conversation_json(&whole.conversation);
    insert(&mut value, "message_count", whole.count.into());
    insert(&mut value, "messages", whole.messages.iter().map(message).collect());
    value
}
