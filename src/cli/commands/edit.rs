//! `edit`.

use clap::Args;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::SignatureArgs;
use crate::cli::view::{insert, titled};
use crate::{FeatureChanges, FeatureId, Revision, UpdateFeature};

/// Options of `edit`.
#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    #[command(flatten)]
    changes: Changes,
    /// Refuse unless the feature is still at this revision, which `show` tells.
    #[arg(long, value_name = "REVISION")]
    expect: Option<Revision>,
    #[command(flatten)]
    signature: SignatureArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// What it belongs to.
    #[arg(long)]
    category: Option<String>,
    /// What it is called.
    #[arg(long)]
    name: Option<String>,
    /// What it should do.
    #[arg(long)]
    description: Option<String>,
    /// How to build and check it; repeat it for each step. Replaces all steps.
    #[arg(long = "step", value_name = "TEXT")]
    steps: Vec<String>,
    /// Lower is sooner; no other feature may have it.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// The features that must pass first, separated by commas. Replaces all.
    #[arg(long, value_name = "IDS", value_parser = parse_id, value_delimiter = ',')]
    depends_on: Vec<FeatureId>,
}

impl Task for EditArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?;
        let changes = &self.changes;
        let command = UpdateFeature {
            id: self.id,
            changes: FeatureChanges {
                category: changes.category.clone(),
                name: changes.name.clone(),
                description: changes.description.clone(),
                steps: (!changes.steps.is_empty()).then(|| changes.steps.clone()),
                priority: changes.priority,
                dependencies: (!changes.depends_on.is_empty()).then(|| changes.depends_on.clone()),
            },
            expected: self.expect,
        };
        let feature = signer.call(&session.open()?, command)?;
        let mut data = feature.to_json();
        insert(&mut data, "revision", feature.revision().to_string().into());
        let said = Cell::new(Tone::Good, "changed ");
        let revision = Cell::faint(format_args!(" (revision {})", feature.revision()));
        let title = titled(feature.id, &feature.name);
        let page = Page::default().line([said].into_iter().chain(title).chain([revision]));
        Ok(Answer::new(data, page))
    }
}
