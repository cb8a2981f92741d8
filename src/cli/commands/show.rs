//! `show`.

use clap::Args;
use serde_json::Value;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::events;
use crate::cli::exit::Failed;
use crate::cli::form::Form;
use crate::cli::holders::{Holders, lease_cell};
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::time;
use crate::cli::view::{
    NEIGHBOUR_HEAD, Neighbours, feature_json, insert, status_cell, status_of, work_order,
};
use crate::{Event, Feature, FeatureId, GetFeature, GetGraph, GetLog, HumanInputRequest};

/// So many events are shown; `log` has the others.
const EVENTS: usize = 5;

/// Options of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
}

impl Task for ShowArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        let feature = store.call(GetFeature { id: self.id })?;
        let graph = store.call(GetGraph)?;
        let near = Neighbours::of(&graph);
        let blocked_by = near.unmet(&feature.dependencies);
        let dependents = near.dependents(self.id);

        let holders = Holders::read(&store)?;
        let worked_on = holders.is_worked_on(&feature);
        let log = GetLog { feature: Some(self.id), limit: EVENTS, ..GetLog::default() };
        let events = store.call(log)?;
        let now = holders.now().wall;

        let mut data = feature_json(&feature, &blocked_by, worked_on);
        holders.add_to(&mut data, &feature);
        insert(&mut data, "dependency_states", near.json(&feature.dependencies));
        insert(&mut data, "dependents", near.json(&dependents));
        insert(&mut data, "revision", feature.revision().to_string().into());
        insert(&mut data, "request_revision", request_revision(&feature));
        let json = |event: &Event| events::json(event, Some(&feature.name));
        insert(&mut data, "last_events", events.iter().map(json).collect());

        let status = status_of(&feature, &blocked_by, worked_on);
        let page = Page::default()
            .field("id", Cell::plain(feature.id))
            .field("name", Cell::plain(&feature.name))
            .field("status", status_cell(status, worked_on));
        let page = tenure(page, &feature, &holders);
        let page = page.field("revision", Cell::faint(feature.revision()));
        let page = work_order(page, &feature)
            .section("waits for", NEIGHBOUR_HEAD, near.rows(&feature.dependencies))
            .section("is waited for by", NEIGHBOUR_HEAD, near.rows(&dependents));
        let event = |event: &Event| {
            let cells = [Cell::faint(event.id), events::when(event, now)];
            let told = [Cell::plain(events::what(event)), Cell::faint(events::who(event))];
            cells.into_iter().chain(told).collect()
        };
        let page = conversation(page, &feature).section(
            "last events",
            &["Event", "When", "What happened", "Who"],
            events.iter().map(event).collect(),
        );
        Ok(Answer::new(data, page))
    }
}

/// Who holds the feature, and how often it has failed.
fn tenure(page: Page, feature: &Feature, holders: &Holders) -> Page {
    let mut page = page;
    if feature.in_progress {
        page = page.field("held by", holders.holder_cell(feature));
    }
    if let Some(standing) = holders.claim_on(feature) {
        let claim = &standing.claim;
        if let Some(owner) = &claim.owner {
            page = page.field("session", Cell::plain(&owner.session));
        }
        page = page
            .field("token", Cell::plain(claim.token))
            .field("held since", time::cell(claim.taken_at, holders.now().wall));
        if claim.owner.is_some() {
            page = page.field("lease", lease_cell(standing, holders.now()));
        }
    }
    if holders.has_failed(feature) {
        page = page.field("failures", holders.failures_cell(feature));
    }
    page
}

/// The revision of what is asked, or null.
pub(super) fn request_revision(feature: &Feature) -> Value {
    let request = feature.human_input_request.as_ref();
    let revision = request.map(|request| HumanInputRequest::revision_of(request).to_string());
    revision.map_or(Value::Null, Value::from)
}

/// The question to a human and the answer to it.
fn conversation(page: Page, feature: &Feature) -> Page {
    let page = match &feature.human_input_request {
        Some(request) => Form::of(Some(request)).on(page),
        None => page,
    };
    match &feature.human_input_response {
        Some(response) => page.text("answer", answer_text(response)),
        None => page,
    }
}

fn answer_text(response: &Value) -> String {
    let Some(fields) = response.get("fields").and_then(Value::as_object) else {
        return response.to_string();
    };
    let mut lines: Vec<String> = fields
        .iter()
        .map(|(id, value)| match value {
            Value::String(text) => format!("{id}: {text}"),
            other => format!("{id}: {other}"),
        })
        .collect();
    if let Some(time) = response.get("responded_at").and_then(Value::as_str) {
        lines.push(format!("({time})"));
    }
    lines.join("\n")
}
