//! `progress`.

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::input;
use crate::cli::notify;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::view::insert;
use crate::{
    Delivered, Feature, OpenError, PassingFeature, Progress, ProgressReport, ProjectLayout, Stats,
    Store, Webhook,
};

/// Options of `progress`.
#[derive(Debug, Args)]
pub(crate) struct ProgressArgs {
    /// Also list the features that pass.
    #[arg(long)]
    names: bool,
    /// Report to a webhook if more features pass than were reported before, by whatever program. Of
    /// several that see it, one reports; if its report gets lost, it is not sent again. Brings the
    /// database up to date.
    #[arg(long)]
    notify: bool,
    /// The webhook's address. Default: `$PROGRESS_N8N_WEBHOOK_URL`.
    #[arg(long, value_name = "URL", requires = "notify")]
    webhook: Option<String>,
}

impl Task for ProgressArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let layout = session.place()?.existing()?;
        if !self.notify {
            let (source, progress) = self.look(session, &layout)?;
            return Ok(answer(source, &progress, None));
        }
        // A wrong address must cost no report.
        let webhook = self.webhook()?;
        let store = session.open()?;
        let claimed = store.claim_progress(&layout)?;
        if let Some(problem) = claimed.cache_problem {
            session.warn(format!("AutoForge's own programs may report this once more: {problem}"));
        }
        // Nobody shall wait for a webhook with a database open.
        store.close();
        let (source, progress) = self.look(session, &layout)?;
        let notified = Notified::of(claimed.report, &layout, &webhook);
        if let Some(problem) = notified.problem() {
            session.warn(format!("the report did not reach {webhook}: {problem}"));
        }
        Ok(answer(source, &progress, Some(&notified)))
    }
}

impl ProgressArgs {
    /// How far the project is, and where that stands. A list that is not imported yet counts as well.
    fn look(
        &self,
        session: &Session<'_>,
        layout: &ProjectLayout,
    ) -> Result<(&'static str, Progress), Failed> {
        let found = Store::look_at_progress(layout, &session.options(), self.names)?;
        match found.counted {
            Some(progress) if progress.stats.total > 0 || !found.listed => {
                Ok(("database", progress))
            }
            _ => Ok(("feature_list.json", self.listed(layout)?)),
        }
    }

    fn listed(&self, layout: &ProjectLayout) -> Result<Progress, Failed> {
        let path = layout.legacy_backlog();
        let entries = Feature::parse_backlog(&input::read(&path)?)
            .map_err(|problem| OpenError::Backlog { path, problem })?;
        let count = |is: fn(&Feature) -> bool| entries.iter().filter(|one| is(one)).count() as u64;
        let stats = Stats {
            passing: count(|feature| feature.passes),
            in_progress: count(|feature| feature.in_progress),
            needs_human_input: count(|feature| feature.needs_human_input),
            total: count(|_| true),
        };
        let passing = |feature: &Feature| PassingFeature {
            id: feature.id,
            category: feature.category.clone(),
            name: feature.name.clone(),
        };
        let passing = entries.iter().filter(|feature| feature.passes).map(passing);
        Ok(Progress { stats, passing: self.names.then(|| passing.collect()) })
    }

    fn webhook(&self) -> Result<Webhook, Failed> {
        notify::webhook(self.webhook.as_deref())?.ok_or_else(|| {
            let hint = format!("--webhook names one, or ${}", notify::VARIABLE);
            Failed::new("usage", "there is no webhook to report to").hint(hint)
        })
    }
}

/// What became of the wish to report.
struct Notified {
    /// The webhook without its secrets.
    webhook: String,
    report: Option<(ProgressReport, Value, Delivered)>,
}

impl Notified {
    fn of(report: Option<ProgressReport>, layout: &ProjectLayout, webhook: &Webhook) -> Self {
        let name = notify::project_name(layout.folder());
        let report = report.map(|report| {
            let delivered = match webhook.post(report.to_webhook_body(&name)) {
                Ok(delivery) => delivery.wait(),
                Err(error) => Delivered::Failed { reason: error.to_string() },
            };
            let sent = report.to_json(&name);
            (report, sent, delivered)
        });
        Self { webhook: webhook.to_string(), report }
    }

    fn problem(&self) -> Option<String> {
        notify::problem(&self.report.as_ref()?.2)
    }

    fn to_json(&self) -> Value {
        let status = match self.report.as_ref().map(|(_, _, delivered)| delivered) {
            Some(Delivered::Accepted { status } | Delivered::Refused { status }) => Some(*status),
            _ => None,
        };
        json!({
            "report": self.report.as_ref().map(|(_, sent, _)| sent),
            "webhook": self.webhook,
            "delivered": self.report.is_some() && self.problem().is_none(),
            "status": status,
            "problem": self.problem(),
        })
    }

    fn on(&self, page: Page) -> Page {
        let said = match (&self.report, self.problem()) {
            (None, _) => Cell::faint("nothing new, so nothing was sent"),
            (Some((report, ..)), None) => {
                let more = report.passing.saturating_sub(report.previous_passing);
                Cell::new(Tone::Good, format!("{more} more reported to {}", self.webhook))
            }
            (Some(_), Some(_)) => Cell::new(Tone::Attention, "tried once; see the warning"),
        };
        page.field("notified", said)
    }
}

fn answer(source: &str, progress: &Progress, notified: Option<&Notified>) -> Answer {
    let stats = progress.stats;
    let mut data = json!({
        "has_features": stats.total > 0,
        "passing": stats.passing,
        "in_progress": stats.in_progress,
        "needs_human_input": stats.needs_human_input,
        "total": stats.total,
        "percentage": stats.percentage(),
        "source": source,
    });
    let mut page = Page::default()
        .field("passing", Cell::new(Tone::Good, stats.passing))
        .field("in progress", Cell::new(Tone::Active, stats.in_progress))
        .field("needs human input", Cell::new(Tone::Attention, stats.needs_human_input))
        .field("total", Cell::plain(stats.total))
        .field("percentage", Cell::plain(format_args!("{:.1}", stats.percentage())))
        .field("source", Cell::plain(source));
    if let Some(notified) = notified {
        insert(&mut data, "notified", notified.to_json());
        page = notified.on(page);
    }
    if let Some(passing) = &progress.passing {
        let json = |one: &PassingFeature| json!({"id": one.id.get(), "category": one.category, "name": one.name});
        insert(&mut data, "passing_features", passing.iter().map(json).collect());
        let row = |one: &PassingFeature| {
            vec![Cell::strong(one.id), Cell::plain(&one.category), Cell::plain(&one.name)]
        };
        page =
            page.section("passes", &["ID", "Category", "Name"], passing.iter().map(row).collect());
    }
    Answer::new(data, page)
}
