//! `delete`.

use clap::Args;
use serde_json::json;

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::form::yes_or_no;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::SignatureArgs;
use crate::cli::view::{Neighbours, ids_json, ids_text, titled};
use crate::{DeleteFeature, FeatureId, GetFeature, GetGraph, Store};

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    /// Delete it even while somebody works on it, whoever that is; the history will say so.
    #[arg(long)]
    force: bool,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl Task for DeleteArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?;
        let dialogue = match session.output().dialogue() {
            _ if self.yes => None,
            None => {
                let message = "deleting needs --yes where nobody can be asked";
                return Err(Failed::new("usage", message));
            }
            dialogue => dialogue,
        };
        let store = session.open()?;
        if let Some(mut dialogue) = dialogue {
            self.confirm(&mut dialogue, &store)?;
        }
        let deleted = signer.call(&store, DeleteFeature { id: self.id, force: self.force });
        let deleted = deleted.map_err(Failed::from).map_err(|failed| match failed.code() {
            "already_in_progress" => failed.hint("--force deletes it all the same"),
            _ => failed,
        })?;
        let data = json!({
            "deleted": deleted.feature.to_json(),
            "released": ids_json(&deleted.released),
        });
        let said = Cell::new(Tone::Bad, "deleted ");
        let title = titled(deleted.feature.id, &deleted.feature.name);
        let mut page = Page::default().line([said].into_iter().chain(title));
        if !deleted.released.is_empty() {
            let ids = ids_text(&deleted.released);
            page = page.line([Cell::plain(format!("no longer waiting for it: {ids}"))]);
        }
        Ok(Answer::new(data, page))
    }
}

impl DeleteArgs {
    fn confirm(&self, dialogue: &mut Dialogue, store: &Store) -> Result<(), Failed> {
        let feature = store.call(GetFeature { id: self.id })?;
        let graph = store.call(GetGraph)?;
        let dependents = Neighbours::of(&graph).dependents(self.id);
        let waiting = match dependents.as_slice() {
            [] => String::new(),
            ids => format!(" (waited for by {})", ids_text(ids)),
        };
        let question = format!("Delete #{} {}{waiting}? [y/N]", feature.id, feature.name);
        match dialogue.ask(&Cell::strong(question))? {
            Some(line) if yes_or_no(&line) == Some(true) => Ok(()),
            _ => Err(Failed::new("not_confirmed", "nothing was deleted")),
        }
    }
}
