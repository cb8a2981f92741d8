//! `status`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::holders::{Holders, claim_json, process_text};
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::time;
use crate::cli::view::{ids_json, ids_text, insert};
use crate::{
    Board, BoardEntry, Caller, Feature, FeatureId, GetBoard, GetGraph, GetReady, GetStats, Graph,
    LayoutError, ProjectFile, ProjectLayout, Stats, Store,
};

/// How many signs the bar of progress is wide.
const BAR: u64 = 30;
const OLD_PLACE: &str = "the database lies in the place of an older release; `autoforge-store migrate` \
                         moves it to .autoforge/";

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {}

impl Task for StatusArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let place = session.place()?;
        let store = session.open()?;
        for warning in flaws(&store.call(GetGraph)?) {
            session.warn(warning);
        }
        for problem in two_places(&place.folder)? {
            session.warn(problem);
        }
        let old = is_old(store.path(), &place.folder)?;
        if old {
            session.hint(OLD_PLACE);
        }
        let work = Work::read(&store)?;
        let mut data = work.json();
        insert(&mut data, "project", place.folder.display().to_string().into());
        insert(&mut data, "database", store.path().display().to_string().into());
        insert(&mut data, "found_by", place.found.as_str().into());
        insert(&mut data, "old_layout", old.into());
        insert(&mut data, "warnings", session.warnings().into());
        let page = work
            .counts(bar(work.stats))
            .field("project", Cell::plain(place.folder.display()))
            .field("database", Cell::plain(store.path().display()))
            .field("found by", Cell::plain(place.found.as_str()));
        Ok(Answer::new(data, work.details(page)))
    }
}

/// What is done, what is worked on, and what waits for whom.
struct Work {
    stats: Stats,
    ready: usize,
    /// All features that do not pass, by priority.
    open: Vec<BoardEntry>,
    holders: Holders,
}

impl Work {
    fn read(store: &Store) -> Result<Self, Failed> {
        let Board { pending, in_progress, needs_human_input, .. } = store.call(GetBoard)?;
        let mut open: Vec<BoardEntry> =
            pending.into_iter().chain(in_progress).chain(needs_human_input).collect();
        open.sort_by_key(|entry| (entry.feature.priority, entry.feature.id));
        Ok(Self {
            stats: store.call(GetStats)?,
            ready: store.call(GetReady { limit: 0 })?.total,
            open,
            holders: Holders::read(store)?,
        })
    }

    fn those(&self, are: impl Fn(&Feature) -> bool) -> Vec<&BoardEntry> {
        self.open.iter().filter(|entry| are(&entry.feature)).collect()
    }

    fn worked_on(&self) -> Vec<&BoardEntry> {
        self.those(|feature| self.holders.is_worked_on(feature) && !feature.needs_human_input)
    }

    /// Those whose claim is over, though nobody has written it down.
    fn over(&self) -> Vec<&BoardEntry> {
        self.those(|feature| feature.in_progress && !self.holders.is_worked_on(feature))
    }

    fn exhausted(&self) -> Vec<&BoardEntry> {
        self.those(|feature| self.holders.is_exhausted(feature))
    }

    fn waiting(&self) -> Vec<&BoardEntry> {
        self.those(|feature| feature.needs_human_input)
    }

    fn blocked(&self) -> usize {
        self.open.iter().filter(|entry| !entry.blocked_by.is_empty()).count()
    }

    /// Who holds something, and what.
    fn owners(&self) -> Vec<(Option<&Caller>, Vec<FeatureId>)> {
        let mut owners: Vec<(Option<&Caller>, Vec<FeatureId>)> = Vec::new();
        for entry in self.worked_on() {
            let claim = self.holders.claim_on(&entry.feature);
            let owner = claim.and_then(|standing| standing.claim.owner.as_ref());
            match owners.iter_mut().find(|(other, _)| *other == owner) {
                Some((_, held)) => held.push(entry.feature.id),
                None => owners.push((owner, vec![entry.feature.id])),
            }
        }
        owners
    }

    fn json(&self) -> Value {
        let held = |entry: &&BoardEntry| {
            let feature = &entry.feature;
            let claim = self.holders.claim_on(feature);
            json!({
                "id": feature.id.get(),
                "name": feature.name,
                "claim": claim.map(|standing| claim_json(standing, self.holders.now())),
            })
        };
        let failed = |entry: &&BoardEntry| {
            let feature = &entry.feature;
            let failures = self.holders.failures(feature.id);
            json!({"id": feature.id.get(), "name": feature.name, "failures": failures})
        };
        let asks = |entry: &&BoardEntry| {
            let feature = &entry.feature;
            json!({"id": feature.id.get(), "name": feature.name, "prompt": prompt(feature)})
        };
        let owner = |(owner, held): &(Option<&Caller>, Vec<FeatureId>)| {
            let process = owner.and_then(|owner| owner.process.as_ref());
            json!({
                "agent": owner.map(|owner| &owner.agent),
                "session": owner.map(|owner| &owner.session),
                "pid": process.map(|process| process.pid),
                "host": process.map(|process| &process.host),
                "feature_ids": ids_json(held),
            })
        };
        json!({
            "passing": self.stats.passing,
            "in_progress": self.worked_on().len(),
            "needs_human_input": self.stats.needs_human_input,
            "ready": self.ready,
            "blocked": self.blocked(),
            "total": self.stats.total,
            "percentage": self.stats.percentage(),
            "waiting_for_human": self.waiting().iter().map(asks).collect::<Value>(),
            "being_worked_on": self.worked_on().iter().map(held).collect::<Value>(),
            "owners": self.owners().iter().map(owner).collect::<Value>(),
            "over": self.over().iter().map(held).collect::<Value>(),
            "out_of_attempts": self.exhausted().iter().map(failed).collect::<Value>(),
        })
    }

    fn counts(&self, page: Page) -> Page {
        let Stats { passing, needs_human_input, total, .. } = self.stats;
        let page = page
            .field("passing", Cell::new(Tone::Good, passing))
            .field("in progress", Cell::new(Tone::Active, self.worked_on().len()))
            .field("ready", Cell::plain(self.ready))
            .field("blocked", Cell::new(Tone::Bad, self.blocked()))
            .field("needs human input", Cell::new(Tone::Attention, needs_human_input));
        let page = match self.exhausted().len() {
            0 => page,
            count => page.field("out of attempts", Cell::new(Tone::Bad, count)),
        };
        page.field("total", Cell::plain(total))
            .field("percentage", Cell::plain(format_args!("{:.1}", self.stats.percentage())))
    }

    fn details(&self, page: Page) -> Page {
        let row = |entry: &BoardEntry, more: &dyn Fn(&Feature) -> Vec<Cell>| {
            let feature = &entry.feature;
            let mut row = vec![Cell::strong(feature.id), Cell::plain(&feature.name)];
            row.extend(more(feature));
            row
        };
        let rows = |entries: Vec<&BoardEntry>, more: &dyn Fn(&Feature) -> Vec<Cell>| {
            entries.into_iter().map(|entry| row(entry, more)).collect::<Vec<_>>()
        };
        let question = |feature: &Feature| vec![Cell::plain(prompt(feature).unwrap_or(""))];
        let held = |feature: &Feature| {
            let since = self.holders.claim_on(feature).map(|standing| standing.claim.taken_at);
            let since = since.map(|since| time::cell(since, self.holders.now().wall));
            vec![self.holders.holder_cell(feature), since.unwrap_or_default()]
        };
        let failed = |feature: &Feature| {
            let id = feature.id;
            vec![self.holders.failures_cell(feature), Cell::faint(format_args!("retry {id}"))]
        };
        page.section(
            "waiting for you",
            &["ID", "Name", "Question"],
            rows(self.waiting(), &question),
        )
        .section(
            "being worked on",
            &["ID", "Name", "Held by", "Since"],
            rows(self.worked_on(), &held),
        )
        .section("owners", &["Owner", "Session", "Process", "Features"], self.owner_rows())
        .section(
            "claims that are over",
            &["ID", "Name", "Held by", "Since"],
            rows(self.over(), &held),
        )
        .section(
            "failed too often",
            &["ID", "Name", "Failures", "Try it again"],
            rows(self.exhausted(), &failed),
        )
    }

    /// A row for each owner with a name.
    fn owner_rows(&self) -> Vec<Vec<Cell>> {
        let row = |(owner, held): (Option<&Caller>, Vec<FeatureId>)| {
            let owner = owner?;
            Some(vec![
                Cell::strong(&owner.agent),
                Cell::plain(&owner.session),
                Cell::faint(process_text(owner.process.as_ref())),
                Cell::plain(ids_text(&held)),
            ])
        };
        self.owners().into_iter().filter_map(row).collect()
    }
}

/// Whether the database lies where older releases had it.
fn is_old(database: &Path, folder: &Path) -> Result<bool, Failed> {
    let current = ProjectLayout::existing(folder)?.current(ProjectFile::FeaturesDb);
    Ok(current.canonicalize().map_or(true, |current| current != database))
}

/// Databases that nobody looks at, since there is another one of the name.
fn two_places(folder: &Path) -> Result<Vec<String>, Failed> {
    let plan = ProjectLayout::existing(folder)?.plan_migration();
    let twice = |problem: &&LayoutError| matches!(problem, LayoutError::TwoPlaces { .. });
    Ok(plan.problems.iter().filter(twice).map(ToString::to_string).collect())
}

/// What keeps features from ever becoming ready.
fn flaws(graph: &Graph) -> Vec<String> {
    let circle = |ids: &Vec<_>| match ids.as_slice() {
        [id] => format!("feature {id} waits for itself and can never be ready"),
        ids => format!("features {} wait for each other and can never be ready", ids_text(ids)),
    };
    let lost = |(feature, missing): &(_, _)| {
        format!("feature {feature} waits for feature {missing}, which does not exist")
    };
    graph.cycles.iter().map(circle).chain(graph.dangling.iter().map(lost)).collect()
}

fn bar(stats: Stats) -> Page {
    let done = (stats.passing * BAR).checked_div(stats.total).unwrap_or(0);
    let signs = |sign: &str, number: u64| sign.repeat(usize::try_from(number).unwrap_or(0));
    let Stats { passing, total, .. } = stats;
    Page::default()
        .ornament([
            Cell::new(Tone::Good, signs("█", done)),
            Cell::faint(signs("░", BAR.saturating_sub(done))),
            Cell::strong(format_args!("  {:.1} %", stats.percentage())),
            Cell::faint(format_args!("  {passing} of {total} pass")),
        ])
        .gap()
}

fn prompt(feature: &Feature) -> Option<&str> {
    feature.human_input_request.as_ref()?.get("prompt")?.as_str()
}
