//! `explain`.

use clap::Args;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::holders::over_text;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::view::{ids_text, status_cell, titled};
use crate::{DependencyState, ExplainFeature, Explanation, FeatureId, Hindrance, RootCauses};

/// So many ids are named, the rest is counted.
const NAMED: usize = 10;

const HEAD: &[&str] = &["What is in the way", "What would remove it", "With"];

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
}

impl Task for ExplainArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let explained = session.open()?.call(ExplainFeature { id: self.id })?;
        Ok(Answer::new(explained.to_json(), page(&explained)))
    }
}

fn page(explained: &Explanation) -> Page {
    let feature = &explained.feature;
    let verdict = match explained.place {
        Some((1, total)) => {
            Cell::new(Tone::Good, format_args!(" is ready, the first of {total} to be taken"))
        }
        Some((place, total)) => {
            Cell::new(Tone::Good, format_args!(" is ready, in place {place} of {total}"))
        }
        None => Cell::new(Tone::Bad, " is not ready"),
    };
    let mut page = Page::default()
        .line(titled(feature.id, &feature.name).into_iter().chain([verdict]))
        .gap()
        .field("status", status_cell(explained.status, false));
    if let Some((claim, outcome)) = &explained.lapsed {
        let text = format!("claim {} is {}", claim.token, over_text(*outcome));
        page = page.field("claim", Cell::new(Tone::Attention, text));
    }
    if explained.failures > 0 {
        page = page.field("failures", Cell::plain(explained.failures));
    }
    let row = |hindrance: &Hindrance| {
        vec![
            Cell::new(Tone::Attention, hindrance),
            Cell::plain(hindrance.remedy()),
            Cell::strong(command(feature.id, hindrance)),
        ]
    };
    let rows: Vec<_> = explained.hindrances.iter().map(row).collect();
    causes(page, &explained.causes).section("obstacles", HEAD, rows)
}

/// Where the waiting for others ends, where that is further away than the next feature.
fn causes(page: Page, causes: &RootCauses) -> Page {
    let mut page = page;
    if causes.waits_for > 1 {
        page = page.field("waits for", Cell::plain(format!("{} features", causes.waits_for)));
    }
    if !causes.first.is_empty() {
        page = page.field("first of them", Cell::plain(some(&causes.first)));
    }
    if !causes.missing.is_empty() {
        page = page.field("missing", Cell::new(Tone::Bad, some(&causes.missing)));
    }
    for circle in &causes.cycles {
        page = page.field("circle", Cell::new(Tone::Bad, some(circle)));
    }
    page
}

/// The first ids, and how many more there are.
fn some(ids: &[FeatureId]) -> String {
    let named = ids_text(ids.get(..NAMED).unwrap_or(ids));
    match ids.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// The command that does what would remove a hindrance, or tells more of it.
fn command(id: FeatureId, hindrance: &Hindrance) -> String {
    match hindrance {
        Hindrance::Passes => format!("fail {id}"),
        Hindrance::WaitsForHuman { .. } => format!("answer {id}"),
        Hindrance::Dependency { id: other, circle: Some(_), .. }
        | Hindrance::Dependency { id: other, state: DependencyState::Missing, .. } => {
            format!("depends {id} --remove {other}")
        }
        Hindrance::Dependency { id: other, .. } => format!("explain {other}"),
        Hindrance::InProgress { claim: Some(claim) } if claim.owner.is_some() => {
            format!("release {id} --force")
        }
        Hindrance::InProgress { .. } => format!("release {id}"),
        Hindrance::Exhausted { .. } => format!("retry {id}"),
    }
}
