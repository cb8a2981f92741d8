//! `answer`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Task;
use super::show::request_revision;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::form::{Field, Form, Input, yes_or_no};
use crate::cli::input;
use crate::cli::output::{Answer, Dialogue};
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::{SignatureArgs, Signer};
use crate::cli::view::titled;
use crate::{
    AnswerHumanInput, Feature, FeatureId, GetFeature, HumanInputAnswer, HumanInputRefusal,
    HumanInputRequest, Limits, Refusal, Revision, Store, Timestamp,
};

/// The field of an answer to a feature that waits and asks nothing.
const FREE_FIELD: &str = "answer";

/// Options of `answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The feature.
    #[arg(value_parser = parse_id, allow_negative_numbers = true)]
    id: FeatureId,
    /// The value of a field; repeat it for each field. Without any, a terminal is asked, and
    /// anything else is shown the question.
    #[arg(long = "field", value_name = "FIELD=VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// The values as a JSON object; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    json_fields: Option<PathBuf>,
    /// Refuse unless this is still the revision of the question. Default: the question as this
    /// command finds it.
    #[arg(long, value_name = "REVISION")]
    expect: Option<Revision>,
    #[command(flatten)]
    signature: SignatureArgs,
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (id, value) = text.split_once('=').ok_or("a field is written as FIELD=VALUE")?;
    Ok((id.to_owned(), value.to_owned()))
}

impl Task for AnswerArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?;
        let given = self.json_fields.as_deref().map(input::read_json).transpose()?;
        let store = session.open()?;
        let feature = store.call(GetFeature { id: self.id })?;
        // A repetition comes when the question is answered already.
        let is_repetition = self.signature.has_request_id() && self.has_values();
        if !feature.needs_human_input && !is_repetition {
            let refusal = HumanInputRefusal::NotWaiting { id: self.id };
            return Err(Failed::new(refusal.code(), &refusal).about(self.id));
        }
        let form = Form::of(feature.human_input_request.as_ref());
        let values = match given {
            Some(Value::Object(values)) => values,
            Some(_) => {
                return Err(Failed::new("invalid_input", "the values must be a JSON object"));
            }
            None if !self.fields.is_empty() => self.values(&form)?,
            None => match session.output().dialogue() {
                Some(mut dialogue) => fill_in(&mut dialogue, &feature, &form)?,
                None => return Ok(question(&feature, &form)),
            },
        };
        self.store(&store, &signer, &feature, values)
    }
}

impl AnswerArgs {
    fn has_values(&self) -> bool {
        !self.fields.is_empty() || self.json_fields.is_some()
    }

    fn values(&self, form: &Form) -> Result<Map<String, Value>, Failed> {
        let mut values = Map::new();
        for (id, text) in &self.fields {
            let value = form.field(id).map_or_else(|| text.as_str().into(), |f| f.value(text));
            if values.insert(id.clone(), value).is_some() {
                return Err(Failed::new("usage", format!("field {id:?} is given twice")));
            }
        }
        Ok(values)
    }

    fn store(
        &self,
        store: &Store,
        signer: &Signer,
        feature: &Feature,
        values: Map<String, Value>,
    ) -> Result<Answer, Failed> {
        let answer = HumanInputAnswer::new(values)
            .map_err(|problem| Failed::new("invalid_answer", problem).about(self.id))?;
        let found = feature.human_input_request.as_ref().map(HumanInputRequest::revision_of);
        let command = AnswerHumanInput {
            id: self.id,
            answer,
            responded_at: Timestamp::now(),
            request: self.expect.or(found),
        };
        let answered = signer.call(store, command)?;
        let said = Cell::new(Tone::Good, "answered ");
        let page = Page::default()
            .line([said].into_iter().chain(titled(answered.id, &answered.name)))
            .ornament([Cell::faint("It can be claimed again.")]);
        Ok(Answer::new(answered.to_json(), page))
    }
}

/// What is asked, for whoever cannot be asked.
fn question(feature: &Feature, form: &Form) -> Answer {
    let data = json!({
        "id": feature.id.get(),
        "name": feature.name,
        "human_input_request": feature.human_input_request,
        "request_revision": request_revision(feature),
    });
    Answer::new(data, asked(feature, form))
}

fn asked(feature: &Feature, form: &Form) -> Page {
    let heading = Page::default().line(titled(feature.id, &feature.name));
    let page = form.on(heading);
    match request_revision(feature).as_str() {
        Some(revision) => page.field("revision", Cell::faint(revision)),
        None => page,
    }
}

/// Asks for every field.
fn fill_in(
    dialogue: &mut Dialogue,
    feature: &Feature,
    form: &Form,
) -> Result<Map<String, Value>, Failed> {
    let heading = Page::default().line(titled(feature.id, &feature.name));
    dialogue.show(&heading.text("question", &form.prompt).gap())?;
    let free = [Field {
        id: FREE_FIELD.to_owned(),
        label: "Answer".to_owned(),
        placeholder: None,
        required: true,
        input: Input::Line,
    }];
    let fields = if form.fields.is_empty() { &free[..] } else { &form.fields[..] };
    let mut values = Map::new();
    for field in fields {
        match ask(dialogue, field)? {
            Asked::Value(value) => {
                values.insert(field.id.clone(), value);
            }
            Asked::LeftOut => {}
            Asked::End => return Err(Failed::new("not_confirmed", "nothing was answered")),
        }
    }
    Ok(values)
}

/// What came of a question.
enum Asked {
    Value(Value),
    /// The field is optional and has no value.
    LeftOut,
    /// There is no more input.
    End,
}

/// Asks until the field has a value that fits.
fn ask(dialogue: &mut Dialogue, field: &Field) -> Result<Asked, Failed> {
    let hint = match (&field.placeholder, field.required) {
        (Some(placeholder), _) => format!(" ({placeholder})"),
        (None, true) => String::new(),
        (None, false) => " (optional)".to_owned(),
    };
    let label = format!("{}{hint}", field.label);
    loop {
        let text = match &field.input {
            Input::Line => dialogue.ask(&Cell::strong(format!("{label}:")))?,
            Input::Lines => ask_lines(dialogue, &label)?,
            Input::YesNo => dialogue.ask(&Cell::strong(format!("{label} [y/n]")))?,
            Input::Choice(options) => ask_choice(dialogue, &label, options)?,
        };
        let Some(text) = text else { return Ok(Asked::End) };
        if text.trim().is_empty() {
            if field.required {
                dialogue.show(&complaint("an answer is needed"))?;
                continue;
            }
            return Ok(Asked::LeftOut);
        }
        match &field.input {
            Input::YesNo if yes_or_no(&text).is_none() => {
                dialogue.show(&complaint("answer with y or n"))?;
            }
            Input::Choice(options) if !options.iter().any(|(value, _)| *value == text) => {
                dialogue.show(&complaint("answer with the number of a choice"))?;
            }
            _ => return Ok(Asked::Value(field.value(&text))),
        }
    }
}

fn complaint(text: &str) -> Page {
    Page::default().line([Cell::new(Tone::Attention, text)])
}

/// Lines up to one that is a single dot, or to the end of the input.
fn ask_lines(dialogue: &mut Dialogue, label: &str) -> Result<Option<String>, Failed> {
    let question = format!("{label} (end with a line that is a single dot):");
    dialogue.show(&Page::default().line([Cell::strong(question)]))?;
    let mut text = String::new();
    while let Some(line) = dialogue.ask(&Cell::faint(">"))? {
        if line == "." {
            return Ok(Some(text));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
        if text.len() > Limits::FIELDS_BYTES {
            return Ok(Some(text));
        }
    }
    Ok(if text.is_empty() { None } else { Some(text) })
}

/// A value, by its number or by itself; anything else comes back as it is.
fn ask_choice(
    dialogue: &mut Dialogue,
    label: &str,
    options: &[(String, String)],
) -> Result<Option<String>, Failed> {
    let lines = options.iter().zip(1..).fold(
        Page::default().line([Cell::strong(format!("{label}:"))]),
        |page, ((_, option), number)| {
            page.line([Cell::strong(format!("  {number}  ")), Cell::plain(option)])
        },
    );
    dialogue.show(&lines)?;
    let Some(text) = dialogue.ask(&Cell::strong("Number:"))? else { return Ok(None) };
    let number = text.trim().parse::<usize>().ok();
    let chosen = number.and_then(|number| options.get(number.checked_sub(1)?));
    Ok(Some(chosen.map_or(text, |(value, _)| value.clone())))
}
