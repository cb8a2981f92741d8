//! `pass`, `fail`, `skip` and `release`: the ways to end the work on a feature.

use clap::Args;
use serde_json::json;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::holders::Holders;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::AuthorityArgs;
use crate::cli::view::titled;
use crate::{ClearInProgress, FeatureId, MarkFailing, MarkPassing, SkipFeature};

#[derive(Debug, Args)]
struct OneFeature {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    #[command(flatten)]
    authority: AuthorityArgs,
}

/// Options of `pass`.
#[derive(Debug, Args)]
pub(crate) struct PassArgs {
    #[command(flatten)]
    feature: OneFeature,
}

/// Options of `fail`.
#[derive(Debug, Args)]
pub(crate) struct FailArgs {
    #[command(flatten)]
    feature: OneFeature,
}

/// Options of `skip`.
#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    #[command(flatten)]
    feature: OneFeature,
}

/// Options of `release`.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    feature: OneFeature,
}

impl Task for PassArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let OneFeature { id, authority } = &self.feature;
        let signer = authority.signer()?;
        let passed = signer.call(&session.open()?, MarkPassing { id: *id })?;
        let data = json!({"id": passed.id.get(), "name": passed.name, "passes": true});
        let said = Cell::new(Tone::Good, " passes");
        Ok(Answer::new(data, sentence(passed.id, &passed.name, said)))
    }
}

impl Task for FailArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let OneFeature { id, authority } = &self.feature;
        let signer = authority.signer()?;
        let store = session.open()?;
        let feature = signer.call(&store, MarkFailing { id: *id })?;
        let holders = Holders::read(&store)?;
        let mut data = feature.to_json();
        holders.add_to(&mut data, &feature);
        let said = if holders.has_failed(&feature) {
            let failures = holders.failures_text(*id);
            Cell::new(Tone::Bad, format_args!(" fails; failed attempts: {failures}"))
        } else {
            Cell::new(Tone::Bad, " fails")
        };
        if holders.is_exhausted(&feature) {
            session.hint(format!(
                "it is not ready any more until `autoforge-store retry {id}` gives it another chance"
            ));
        }
        Ok(Answer::new(data, sentence(feature.id, &feature.name, said)))
    }
}

impl Task for SkipArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let OneFeature { id, authority } = &self.feature;
        let signer = authority.signer()?;
        let skipped = signer.call(&session.open()?, SkipFeature { id: *id })?;
        let data = json!({
            "id": skipped.id.get(),
            "name": skipped.name,
            "old_priority": skipped.old_priority,
            "new_priority": skipped.new_priority,
        });
        let (old, new) = (skipped.old_priority, skipped.new_priority);
        let said = Cell::faint(format_args!(" is put off: priority {new} instead of {old}"));
        Ok(Answer::new(data, sentence(skipped.id, &skipped.name, said)))
    }
}

impl Task for ReleaseArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let OneFeature { id, authority } = &self.feature;
        let signer = authority.signer()?;
        let feature = signer.call(&session.open()?, ClearInProgress { id: *id })?;
        let said = Cell::faint(" is not claimed any more");
        Ok(Answer::new(feature.to_json(), sentence(feature.id, &feature.name, said)))
    }
}

fn sentence(id: FeatureId, name: &str, said: Cell) -> Page {
    Page::default().line(titled(id, name).into_iter().chain([said]))
}
