//! `depends`.

use clap::Args;
use serde_json::json;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page};
use crate::cli::session::Session;
use crate::cli::signature::SignatureArgs;
use crate::cli::view::{NEIGHBOUR_HEAD, Neighbours, ids_json, titled};
use crate::{AddDependency, FeatureId, GetGraph, GetSummary, RemoveDependency, SetDependencies};

/// Options of `depends`.
#[derive(Debug, Args)]
pub(crate) struct DependsArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    signature: SignatureArgs,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Change {
    /// Make it wait for this feature too.
    #[arg(long, value_name = "ID", value_parser = parse_id, allow_negative_numbers = true)]
    add: Option<FeatureId>,
    /// Let it no longer wait for this feature.
    #[arg(long, value_name = "ID", value_parser = parse_id, allow_negative_numbers = true)]
    remove: Option<FeatureId>,
    /// Let it wait for exactly these features, separated by commas.
    #[arg(long, value_name = "IDS", value_parser = parse_id, value_delimiter = ',')]
    set: Vec<FeatureId>,
    /// Let it wait for none.
    #[arg(long)]
    clear: bool,
}

impl Task for DependsArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let (id, signer) = (self.id, self.signature.signer()?);
        let store = session.open()?;
        if let Some(dependency) = self.change.add {
            signer.call(&store, AddDependency { id, dependency })?;
        } else if let Some(dependency) = self.change.remove {
            signer.call(&store, RemoveDependency { id, dependency })?;
        } else if self.change.clear || !self.change.set.is_empty() {
            let dependencies = self.change.set.clone();
            signer.call(&store, SetDependencies { id, dependencies })?;
        }
        let summary = store.call(GetSummary { id })?;
        let graph = store.call(GetGraph)?;
        let near = Neighbours::of(&graph);
        let dependents = near.dependents(id);
        let data = json!({
            "id": id.get(),
            "name": summary.name,
            "dependencies": ids_json(&summary.dependencies),
            "dependency_states": near.json(&summary.dependencies),
            "dependents": near.json(&dependents),
        });
        let mut page = Page::default().ornament(titled(id, &summary.name));
        if summary.dependencies.is_empty() {
            page = page.ornament([Cell::faint("waits for no other feature")]);
        }
        let page = page
            .section("waits for", NEIGHBOUR_HEAD, near.rows(&summary.dependencies))
            .section("is waited for by", NEIGHBOUR_HEAD, near.rows(&dependents));
        Ok(Answer::new(data, page))
    }
}
