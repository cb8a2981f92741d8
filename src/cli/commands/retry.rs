//! `retry`.

use clap::Args;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::holders::Holders;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::SignatureArgs;
use crate::cli::view::{insert, titled};
use crate::{FeatureId, RetryFeature};

/// Options of `retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl Task for RetryArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?;
        let store = session.open()?;
        let before = Holders::read(&store)?.failures(self.id);
        let feature = signer.call(&store, RetryFeature { id: self.id })?;
        let holders = Holders::read(&store)?;
        let mut data = feature.to_json();
        holders.add_to(&mut data, &feature);
        let forgotten = before.saturating_sub(holders.failures(self.id));
        insert(&mut data, "failures_forgotten", forgotten.into());
        let said = match forgotten {
            0 => Cell::faint(" has not failed"),
            1 => Cell::new(Tone::Good, " can be tried again; 1 failure is forgotten"),
            count => Cell::new(
                Tone::Good,
                format_args!(" can be tried again; {count} failures are forgotten"),
            ),
        };
        let title = titled(feature.id, &feature.name);
        Ok(Answer::new(data, Page::default().line(title.into_iter().chain([said]))))
    }
}
