//! `recover`.

use clap::Args;
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::holders::owner_name;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::IdentityArgs;
use crate::cli::view::{Neighbours, insert};
use crate::{AttemptOutcome, GetGraph, RecoverClaims, RecoveredClaim};

const HEAD: &[&str] = &["Token", "ID", "Name", "Owner", "Why"];

/// Options of `recover`.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    identity: IdentityArgs,
}

impl Task for RecoverArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.identity.signer()?;
        let store = session.open()?;
        let recovered = signer.call(&store, RecoverClaims)?;
        let graph = store.call(GetGraph)?;
        let near = Neighbours::of(&graph);
        let json = |ended: &RecoveredClaim| {
            let mut data = ended.claim.to_json();
            insert(&mut data, "name", near.name(ended.claim.feature).into());
            insert(&mut data, "outcome", ended.outcome.as_str().into());
            data
        };
        let row = |ended: &RecoveredClaim| {
            let claim = &ended.claim;
            vec![
                Cell::strong(claim.token),
                Cell::plain(claim.feature),
                Cell::plain(near.name(claim.feature).unwrap_or_default()),
                Cell::plain(owner_name(claim.owner.as_ref())),
                Cell::new(Tone::Attention, why(ended.outcome)),
            ]
        };
        let data = json!({"recovered": recovered.iter().map(json).collect::<Value>()});
        let page = match recovered.as_slice() {
            [] => Page::default().ornament([Cell::faint("no claim is over")]),
            ended => Page::default().table(HEAD, ended.iter().map(row).collect()),
        };
        Ok(Answer::new(data, page))
    }
}

fn why(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Died => "its process died",
        AttemptOutcome::Expired => "its lease ran out",
        _ => "it is over",
    }
}
