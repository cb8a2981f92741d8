//! `claim`.

use std::time::Duration;

use clap::Args;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::holders::{Holders, claim_json, lease_cell};
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::{SignatureArgs, Signer};
use crate::cli::time::{parse_duration, span};
use crate::cli::view::{insert, titled, work_order};
use crate::{
    Caller, ClaimFeature, ClaimNext, ClaimedNext, Error, Feature, FeatureId, FeatureRefusal,
    FenceToken, GetStats, MarkInProgress, OnceRefusal, Store,
};

/// Options of `claim`.
#[derive(Debug, Args)]
pub(crate) struct ClaimArgs {
    /// The feature. Default: the first of `ready`; exit code 5 where there is none.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: Option<FeatureId>,
    /// For so long, such as 90s, 30m or 2h, unless the same agent claims it again, which begins the
    /// lease anew. Default: until it is released.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lease: Option<Duration>,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl Task for ClaimArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?.owning(self.lease);
        if self.lease.is_some() && signer.caller().is_none() {
            let message = "--lease needs the agent whose claim it is";
            return Err(Failed::new("usage", message).hint("name it with --as"));
        }
        let store = session.open()?;
        match self.id {
            Some(id) => claim_one(&store, &signer, id)?.answer(session, &store, &signer),
            None => claim_next(session, &store, &signer),
        }
    }
}

/// A feature that the caller holds now.
struct Claimed {
    feature: Feature,
    token: FenceToken,
    /// It held it before.
    renewed: bool,
}

/// Claims a feature, or renews the claim that the caller has on it.
fn claim_one(store: &Store, signer: &Signer, id: FeatureId) -> Result<Claimed, Failed> {
    let refused = match signer.call(store, MarkInProgress { id }) {
        Ok(claim) => {
            return Ok(Claimed { feature: claim.feature, token: claim.token, renewed: false });
        }
        Err(refused) => refused,
    };
    if owner(&refused).is_some_and(|owner| signer.caller() == Some(owner)) {
        // Repeating this does no harm, so it needs no request id.
        let claim = store.call(signer.sign(ClaimFeature { id }))?;
        if let Some(token) = claim.token {
            let (feature, renewed) = (claim.feature, claim.already_claimed);
            return Ok(Claimed { feature, token, renewed });
        }
    }
    let own_name = owner(&refused)
        // One that has a process is nobody whom a run of this program can be.
        .filter(|owner| owner.process.is_none())
        .filter(|owner| signer.caller().is_some_and(|caller| caller.agent == owner.agent))
        .map(|owner| owner.session.clone());
    let failed = Failed::from(refused);
    Err(match (failed.code(), own_name) {
        ("held_by_other", Some(session)) => failed
            .hint(format!("that is its session {session:?}; --session says which one you are")),
        ("held_by_other" | "already_in_progress", _) => failed.hint(format!(
            "`autoforge-store claims {id}` tells whose it is and until when; \
             `autoforge-store release {id}` ends it, with --force also somebody else's"
        )),
        _ => failed,
    })
}

/// Whose claim is in the way.
fn owner(refused: &Error<OnceRefusal<FeatureRefusal>>) -> Option<&Caller> {
    match refused {
        Error::Refused(OnceRefusal::Command(FeatureRefusal::HeldByOther { holder, .. })) => {
            holder.owner.as_ref()
        }
        _ => None,
    }
}

/// Claims the feature that is to be taken first.
pub(super) fn claim_next(
    session: &mut Session<'_>,
    store: &Store,
    signer: &Signer,
) -> Result<Answer, Failed> {
    match signer.call(store, ClaimNext)? {
        ClaimedNext::Feature(next) => {
            let (feature, token) = (next.feature, next.token);
            Claimed { feature, token, renewed: false }.answer(session, store, signer)
        }
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
            let failed = Failed::new("nothing_ready", message).for_now();
            Err(if exhausted > 0 { failed.hint(OUT_OF_ATTEMPTS) } else { failed })
        }
    }
}

/// What to do where features have failed too often.
pub(super) const OUT_OF_ATTEMPTS: &str = "`autoforge-store list --status exhausted` shows the features that have failed too often, \
     `autoforge-store retry ID` gives one another chance";

impl Claimed {
    fn answer(
        self,
        session: &mut Session<'_>,
        store: &Store,
        signer: &Signer,
    ) -> Result<Answer, Failed> {
        let Self { feature, token, renewed } = self;
        let holders = Holders::read(store)?;
        let standing = holders.claims().find(|standing| standing.claim.token == token);
        let mut data = feature.to_json();
        insert(&mut data, "token", token.get().into());
        insert(&mut data, "renewed", renewed.into());
        let claim = standing.map(|standing| claim_json(standing, holders.now()));
        insert(&mut data, "claim", claim.into());
        let said = Cell::new(Tone::Active, if renewed { "renewed " } else { "claimed " });
        let mut page = Page::default()
            .line([said].into_iter().chain(titled(feature.id, &feature.name)))
            .gap()
            .field("token", Cell::strong(token));
        match standing {
            Some(standing) => {
                if let Some(owner) = &standing.claim.owner {
                    page = page
                        .field("owner", Cell::plain(&owner.agent))
                        .field("session", Cell::plain(&owner.session))
                        .field("lease", lease_cell(standing, holders.now()));
                }
                let kept = standing.claim.lease.as_ref().map(|lease| lease.length);
                if renewed && signer.lease().is_some_and(|wanted| Some(wanted) != kept) {
                    let kept = kept.map(|kept| format!("with its lease of {}", span(kept)));
                    let kept = kept.unwrap_or_else(|| "without a lease".to_owned());
                    session
                        .warn(format!("the claim stays {kept}; release it first to change that"));
                }
            }
            // The answer to a request that was sent before tells of then.
            None => session.warn(format!("claim {token} has ended since")),
        }
        Ok(Answer::new(data, work_order(page, &feature)))
    }
}
