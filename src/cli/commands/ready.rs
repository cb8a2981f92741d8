//! `ready` and `blocked`.

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use super::claim::{OUT_OF_ATTEMPTS, claim_next};
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::signature::SignatureArgs;
use crate::cli::view::{count, feature_json, ids_text};
use crate::{BlockedFeature, Feature, GetBlocked, GetBudgets, GetReady};

/// Options of `ready`.
#[derive(Debug, Args)]
pub(crate) struct ReadyArgs {
    /// Show so many at most.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Claim the first one, as `claim` does.
    #[arg(long, conflicts_with = "limit")]
    claim: bool,
}

impl Task for ReadyArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        if self.claim {
            let signer = SignatureArgs::default().signer()?;
            return claim_next(session, &store, &signer);
        }
        let ready = store.call(GetReady { limit: self.limit })?;
        if ready.total == 0 && store.call(GetBudgets)?.iter().any(|budget| budget.exhausted) {
            session.hint(OUT_OF_ATTEMPTS);
        }
        let data = json!({
            "features": ready.features.iter().map(|f| feature_json(f, &[], false)).collect::<Value>(),
            "total": ready.total,
        });
        let row = |feature: &Feature| {
            vec![
                Cell::strong(feature.id),
                Cell::faint(feature.priority),
                Cell::plain(&feature.category),
                Cell::plain(&feature.name),
            ]
        };
        let rows: Vec<_> = ready.features.iter().map(row).collect();
        let summary = summary(rows.len(), ready.total, "ready");
        let head = &["ID", "Priority", "Category", "Name"];
        Ok(Answer::new(data, listing(head, rows, summary)))
    }
}

/// Options of `blocked`.
#[derive(Debug, Args)]
pub(crate) struct BlockedArgs {
    /// Show so many at most. Default: all.
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
}

impl Task for BlockedArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let blocked = session.open()?.call(GetBlocked { limit: self.limit })?;
        let json = |blocked: &BlockedFeature| {
            let feature = &blocked.feature;
            feature_json(feature, &blocked.blocked_by, feature.in_progress)
        };
        let data = json!({
            "features": blocked.features.iter().map(json).collect::<Value>(),
            "total": blocked.total,
        });
        let row = |blocked: &BlockedFeature| {
            vec![
                Cell::strong(blocked.feature.id),
                Cell::plain(&blocked.feature.name),
                Cell::plain(ids_text(&blocked.blocked_by)),
            ]
        };
        let rows: Vec<_> = blocked.features.iter().map(row).collect();
        let summary = summary(rows.len(), blocked.total, "blocked");
        Ok(Answer::new(data, listing(&["ID", "Name", "Waits for"], rows, summary)))
    }
}

fn listing(head: &'static [&'static str], rows: Vec<Vec<Cell>>, summary: String) -> Page {
    let page = Page::default();
    let page = if rows.is_empty() { page } else { page.table(head, rows) };
    page.ornament([Cell::faint(summary)])
}

fn summary(shown: usize, total: usize, what: &str) -> String {
    if shown == total {
        format!("{} {what}", count(total))
    } else {
        format!("{shown} of {} {what}", count(total))
    }
}
