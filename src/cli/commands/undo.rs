//! `undo`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::Value;

use super::Task;
use crate::cli::args::{parse_event, parse_id};
use crate::cli::events::change_text;
use crate::cli::exit::Failed;
use crate::cli::form::yes_or_no;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::{Signer, parse_token};
use crate::cli::view::insert;
use crate::{
    Effect, EventId, FeatureId, FenceToken, LeftOut, PreviewUndo, Store, Undo, UndoTarget, Undone,
    UndoneStep,
};

const STEPS_HEAD: &[&str] = &["Event", "ID", "Name", "Was", "Taking it back"];
const LEFT_HEAD: &[&str] = &["Event", "ID", "Why it stays"];

/// Options of `undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    target: Target,
    /// Only this agent's part of the session.
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Show what would be taken back, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    yes: bool,
    /// The agent in whose name this is done. Default: `$AUTOFORGE_AGENT`, else nobody's.
    #[arg(long = "as", value_name = "AGENT", value_parser = NonEmptyStringValueParser::new())]
    by: Option<String>,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Refuse if the claim with this token is over.
    #[arg(long, value_name = "N", value_parser = parse_token, allow_negative_numbers = true)]
    token: Option<FenceToken>,
}

/// What is to be taken back.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Take back this event, by its number in `log`.
    #[arg(value_parser = parse_event)]
    event: Option<EventId>,
    /// Take back the last change of this feature; again, the one before.
    #[arg(long, value_name = "ID", value_parser = parse_id, allow_negative_numbers = true)]
    feature: Option<FeatureId>,
    /// Take back everything that was done in the session of this name.
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
}

impl Task for UndoArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = Signer::new(self.by.as_deref(), None, self.reason.as_deref())?;
        let signer = signer.under(self.token);
        let target = self.target()?;
        if self.dry_run {
            let shown = session.open()?.call(signer.sign(PreviewUndo { target }))?;
            return Ok(answer(&shown, true));
        }
        if self.yes {
            return Ok(answer(&session.open()?.call(signer.sign(Undo { target }))?, false));
        }
        let Some(mut dialogue) = session.output().dialogue() else {
            let message = "taking back needs --yes or --dry-run where nobody can be asked";
            return Err(Failed::new("usage", message));
        };
        let store = session.open()?;
        let shown = store.call(signer.sign(PreviewUndo { target: target.clone() }))?;
        confirm(&mut dialogue, &shown)?;
        let undone = take_back(&store, &signer, target, &shown)?;
        if undone == shown {
            return Ok(Answer::new(json(&undone, false), sentence(&undone, false)));
        }
        session.warn("somebody was faster: this is what was taken back");
        Ok(answer(&undone, false))
    }
}

impl UndoArgs {
    fn target(&self) -> Result<UndoTarget, Failed> {
        let agent = self.agent.clone();
        // clap asks for no option that excludes one which is there.
        if agent.is_some() && self.target.session.is_none() {
            return Err(Failed::new("usage", "--agent narrows a session: it needs --session"));
        }
        match (self.target.event, self.target.feature, self.target.session.clone()) {
            (Some(event), _, _) => Ok(UndoTarget::Event(event)),
            (_, Some(feature), _) => Ok(UndoTarget::Last(feature)),
            (_, _, Some(session)) => Ok(UndoTarget::Session { session, agent }),
            (None, None, None) => Err(Failed::new("usage", "say what is to be taken back")),
        }
    }
}

fn confirm(dialogue: &mut Dialogue, shown: &Undone) -> Result<(), Failed> {
    dialogue.show(&page(shown, true).gap())?;
    match dialogue.ask(&Cell::strong("Take this back? [y/N]"))? {
        Some(line) if yes_or_no(&line) == Some(true) => Ok(()),
        _ => Err(Failed::new("not_confirmed", "nothing was taken back")),
    }
}

/// Takes back what was shown: of a feature that was changed meanwhile, that change and no other.
fn take_back(
    store: &Store,
    signer: &Signer,
    target: UndoTarget,
    shown: &Undone,
) -> Result<Undone, Failed> {
    let target = match target {
        // Beside it, a deletion has steps of other features.
        UndoTarget::Last(id) => match shown.steps.iter().find(|step| step.feature == id) {
            Some(step) => UndoTarget::Event(step.event),
            None => UndoTarget::Last(id),
        },
        target => target,
    };
    Ok(store.call(signer.sign(Undo { target }))?)
}

fn answer(undone: &Undone, dry_run: bool) -> Answer {
    Answer::new(json(undone, dry_run), page(undone, dry_run))
}

fn json(undone: &Undone, dry_run: bool) -> Value {
    let mut data = undone.to_json();
    insert(&mut data, "dry_run", Value::Bool(dry_run));
    data
}

fn sentence(undone: &Undone, dry_run: bool) -> Page {
    let said = match (dry_run, undone.steps.len()) {
        (true, 1) => "1 change would be taken back".to_owned(),
        (true, count) => format!("{count} changes would be taken back"),
        (false, 1) => "1 change is taken back".to_owned(),
        (false, count) => format!("{count} changes are taken back"),
    };
    Page::default().ornament([Cell::faint(said)])
}

fn page(undone: &Undone, dry_run: bool) -> Page {
    let row = |step: &UndoneStep| {
        vec![
            Cell::faint(step.event),
            Cell::strong(step.feature),
            Cell::plain(&step.name),
            Cell::plain(step.kind),
            Cell::new(tone(step.effect), change(step)),
        ]
    };
    let left = |left: &LeftOut| {
        vec![
            Cell::faint(left.event),
            Cell::strong(left.feature),
            Cell::new(Tone::Attention, &left.because),
        ]
    };
    let mut page = Page::default()
        .section("steps", STEPS_HEAD, undone.steps.iter().map(row).collect())
        .section("left out", LEFT_HEAD, undone.left.iter().map(left).collect());
    page.blocks.extend(sentence(undone, dry_run).blocks);
    page
}

fn tone(effect: Effect) -> Tone {
    match effect {
        Effect::Creates => Tone::Good,
        Effect::Changes => Tone::Plain,
        Effect::Removes => Tone::Bad,
    }
}

/// What taking an event back does.
fn change(step: &UndoneStep) -> String {
    match step.effect {
        Effect::Creates => "the feature is there again".to_owned(),
        Effect::Removes => "the feature is gone".to_owned(),
        Effect::Changes => step.changes.iter().map(change_text).collect::<Vec<_>>().join(", "),
    }
}
