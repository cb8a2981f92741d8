//! `log`.

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::args::{parse_event, parse_id};
use crate::cli::events;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::view::Neighbours;
use crate::{
    Change, ChangesRefusal, Error, Event, EventId, FeatureId, GetChanges, GetGraph, GetLog, Store,
    Timestamp,
};

/// So many events are read at once where not all of them are wanted.
const PAGE: usize = 100;

const CHANGES_HEAD: &[&str] = &["Event", "Field", "Before", "After"];

/// Options of `log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Only what happened to this feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: Option<FeatureId>,
    /// Only what was done in the session of this name.
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// Only what this agent did.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only what came after this event.
    #[arg(long, value_name = "EVENT", value_parser = parse_event)]
    since: Option<EventId>,
    /// Only what came before this event, to turn a page.
    #[arg(long, value_name = "EVENT", value_parser = parse_event)]
    before: Option<EventId>,
    /// Show so many at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Show the values of every column that changed, whole.
    #[arg(long)]
    full: bool,
}

impl Task for LogArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        let complete = self.is_complete(session, &store)?;
        let (found, more) = self.find(&store)?;
        let graph = store.call(GetGraph)?;
        let near = Neighbours::of(&graph);
        let name = |event: &Event| {
            near.name(event.feature).or_else(|| events::name_in(event)).map(str::to_owned)
        };
        let json = |event: &Event| events::json(event, name(event).as_deref());
        let next = found.last().filter(|_| more).map(|event| event.id);
        let data = json!({
            "events": found.iter().map(json).collect::<Value>(),
            "next_before": next.map(EventId::get),
            "complete": complete,
        });
        let now = Timestamp::now();
        let row =
            |event: &Event| events::row(event, name(event).as_deref(), events::when(event, now));
        let mut page = Page::default();
        if self.full {
            for event in &found {
                page = details(page.record(row(event)), event);
            }
        } else if !found.is_empty() {
            page = page.table(events::HEAD, found.iter().map(row).collect());
        }
        let summary = match (found.len(), next) {
            (0, _) => "nothing happened".to_owned(),
            (1, None) => "1 event".to_owned(),
            (count, None) => format!("{count} events"),
            (_, Some(last)) => format!("there are more: --before {last}"),
        };
        Ok(Answer::new(data, page.ornament([Cell::faint(summary)])))
    }
}

impl LogArgs {
    /// Whether nothing after `--since` is forgotten. Refuses what is no event of this file.
    fn is_complete(&self, session: &mut Session<'_>, store: &Store) -> Result<bool, Failed> {
        let Some(since) = self.since else { return Ok(true) };
        match store.call(GetChanges { since, limit: 0 }) {
            Ok(_) => Ok(true),
            Err(Error::Refused(ChangesRefusal::Forgotten { oldest, .. })) => {
                session.warn(format!("what happened before event {oldest} is forgotten"));
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The events that are wanted, newest first, and whether there are more of them.
    fn find(&self, store: &Store) -> Result<(Vec<Event>, bool), Failed> {
        let mut found = Vec::new();
        let mut before = self.before;
        loop {
            let limit = match &self.agent {
                None => self.limit.saturating_add(1),
                Some(_) => PAGE,
            };
            let (feature, session) = (self.id, self.session.clone());
            let events = store.call(GetLog { feature, session, before, limit })?;
            let last = events.last().map(|event| event.id);
            let is_end = events.len() < limit;
            for event in events {
                if self.since.is_some_and(|since| event.id <= since) {
                    return Ok((found, false));
                }
                let is_wanted = |agent: &String| event.agent.as_ref() == Some(agent);
                if !self.agent.as_ref().is_none_or(is_wanted) {
                    continue;
                }
                if found.len() == self.limit {
                    return Ok((found, true));
                }
                found.push(event);
            }
            if is_end {
                return Ok((found, false));
            }
            before = last;
        }
    }
}

/// Everything else that an event holds.
fn details(page: Page, event: &Event) -> Page {
    let row = |change: &Change| {
        vec![
            Cell::faint(event.id),
            Cell::strong(change.field),
            Cell::plain(events::text_of(&change.before)),
            Cell::plain(events::text_of(&change.after)),
        ]
    };
    let rows: Vec<_> = event.changes.iter().map(row).collect();
    if rows.is_empty() { page } else { page.table(CHANGES_HEAD, rows) }
}
