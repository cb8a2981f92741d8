//! `claim`.

use clap::Args;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::view::{titled, work_order};
use crate::{ClaimNext, ClaimedNext, Feature, FeatureId, GetStats, MarkInProgress, Store};

/// Options of `claim`.
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// The feature. Default: the first of `ready`; exit code 5 where there is none.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: Option<FeatureId>,
}

impl Task for ClaimArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let store = session.open()?;
        match self.id {
            Some(id) => Ok(claimed(&store.call(MarkInProgress { id })?.feature)),
            None => claim_next(&store),
        }
    }
}

/// Claims the feature that is to be taken first.
pub(super) fn claim_next(store: &Store) -> Result<Answer, Failed> {
    match store.call(ClaimNext)? {
        ClaimedNext::Feature(next) => Ok(claimed(&next.feature)),
        ClaimedNext::AllPassing if store.call(GetStats)?.total == 0 => {
            Err(Failed::new("nothing_ready", "the project has no features")
                .hint("`autoforge-store add` makes one"))
        }
        ClaimedNext::AllPassing => Err(Failed::new("all_passing", "all features pass")),
        ClaimedNext::NothingReady { in_progress, waiting_for_human, blocked, exhausted } => {
            let message = format!(
                "nothing is ready: {in_progress} in progress, \
                 {waiting_for_human} waiting for a human, {blocked} blocked, \
                 {exhausted} out of attempts"
            );
            Err(Failed::new("nothing_ready", message).for_now())
        }
    }
}

fn claimed(feature: &Feature) -> Answer {
    let said = Cell::new(Tone::Active, "claimed ");
    let page = Page::default().line([said].into_iter().chain(titled(feature.id, &feature.name)));
    Answer::new(feature.to_json(), work_order(page.gap(), feature))
}
