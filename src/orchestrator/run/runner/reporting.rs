//! Claiming reports of progress, beside the loop: neither the storage nor the file that AutoForge's
//! programs remember in may hold it up.

use std::convert::Infallible;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::Runner;
use super::storage::until_hurried;
use crate::orchestrator::happening::Happening;
use crate::{ClaimedProgress, Error, Snapshot};

type Claimed = Result<Result<ClaimedProgress, Error<Infallible>>, JoinError>;

/// The claim that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    /// How many passed when the last claim was begun; `None` where one has to be tried (again).
    seen: Option<usize>,
    claim: Option<JoinHandle<Result<ClaimedProgress, Error<Infallible>>>>,
}

impl Reporting {
    pub(super) fn has_to_be_tried(&self) -> bool {
        self.seen.is_none() && self.claim.is_none()
    }

    /// What came of the claim; never, where none is under way.
    pub(super) async fn done(&mut self) -> Claimed {
        match &mut self.claim {
            Some(claim) => {
                let claimed = claim.await;
                self.claim = None;
                claimed
            }
            None => std::future::pending().await,
        }
    }
}

impl Runner<'_> {
    /// Begins a claim where more features pass than at the last one.
    pub(super) fn report(&mut self, snapshot: &Snapshot) {
        let Reporting { seen, claim } = &self.reporting;
        let more = seen.is_none_or(|seen| snapshot.passing > seen);
        if self.settings.report_progress && claim.is_none() && more {
            self.begin_report(Some(snapshot.passing));
        }
    }

    fn begin_report(&mut self, seen: Option<usize>) {
        let (store, layout) = (self.store.clone(), self.layout.clone());
        let claim = Some(spawn_blocking(move || store.claim_progress(&layout)));
        self.reporting = Reporting { seen, claim };
    }

    /// Tells of the report, where there is one.
    pub(super) fn reported(&mut self, claimed: Claimed) {
        let trouble = match claimed {
            Ok(Ok(ClaimedProgress { report, cache_problem })) => {
                if let Some(report) = report {
                    (self.observe)(&Happening::Progressed(report));
                }
                cache_problem
            }
            Ok(Err(Error::Storage(fault))) => {
                self.reporting.seen = None;
                Some(fault.to_string())
            }
            Ok(Err(Error::Refused(never))) => match never {},
            // It has panicked, and would do it again.
            Err(error) => Some(error.to_string()),
        };
        if let Some(trouble) = trouble {
            (self.observe)(&Happening::Trouble(format!("reporting progress: {trouble}")));
        }
    }

    /// Tells of what has passed since the last claim, unless somebody is in a hurry.
    pub(super) async fn report_the_rest(&mut self) {
        if !self.settings.report_progress {
            return;
        }
        // The one that is under way may have begun before the last pass.
        if self.reporting.claim.is_some() {
            self.wait_for_report().await;
        }
        self.begin_report(None);
        self.wait_for_report().await;
    }

    async fn wait_for_report(&mut self) {
        let mut urge = self.urge.clone();
        tokio::select! {
            claimed = self.reporting.done() => self.reported(claimed),
            () = until_hurried(&mut urge) => {}
        }
    }
}
