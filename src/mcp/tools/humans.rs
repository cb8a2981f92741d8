//! Asking people.

use serde_json::{Map, Value, json};

use super::signing::{CLAIM_TOKEN, OVERRIDE, REASON, REQUEST_ID};
use super::{Call, Effect, FEATURE_ID, Outcome, Tool, answer, boolean, integer, text};
use crate::mcp::arguments::{BadArgument, List, Text, array};
use crate::mcp::present::{Answer, Trouble};
use crate::{HumanInputRequest, InvalidRequest, RequestHumanInput};

const PROMPT: Text = Text {
    name: "prompt",
    description: "What you need and why, for a person who does not see your work.",
    max_chars: None,
};
const FIELDS: List = List {
    name: "fields",
    description: "The fields of the form to fill in.",
    items: field,
    min_items: Some(1),
};
const QUESTIONS: List = List {
    name: "questions",
    description: "The questions, each with 2 to 4 options to choose from.",
    items: question,
    min_items: None,
};

/// How many options a question may have.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=4;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_request_human_input",
        title: "Ask a human about a feature",
        description: "Asks a person for what only a person can give, such as a key or a decision, \
                      about a feature that is in progress. The claim ends and nobody can take the \
                      feature until the answer is there; go on with another one. The answer stands \
                      in human_input_response when the feature is claimed again.",
        parameters: &[&FEATURE_ID, &PROMPT, &FIELDS, &CLAIM_TOKEN, &OVERRIDE, &REASON, &REQUEST_ID],
        output: Some(|| {
            answer(json!({
                "success": boolean(),
                "feature_id": integer(),
                "name": text(),
                "message": text(),
            }))
        }),
        effect: Effect::Write,
        handler: |call| Box::pin(request_human_input(call)),
    },
    Tool {
        name: "ask_user",
        title: "Ask the user to choose",
        description: "Puts questions with ready-made options to the user of this chat. Call it \
                      when a choice is theirs to make. Nothing comes back but that the questions \
                      were shown: end your turn, and the answer is the next message.",
        parameters: &[&QUESTIONS],
        output: None,
        effect: Effect::Read,
        handler: |call| Box::pin(std::future::ready(ask_user(call))),
    },
];

fn field() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "Names the field; no two share one."},
            "label": {"type": "string", "description": "What the person sees."},
            "type": {"type": "string", "enum": ["text", "textarea", "select", "boolean"]},
            "required": {"type": "boolean", "description": "True unless it says false."},
            "placeholder": {"type": "string"},
            "options": {
                "description": "For a select, and only for one: objects with value and label.",
            },
        },
        "required": ["id", "label"],
        "additionalProperties": true,
    })
}

fn question() -> Value {
    let option = json!({
        "type": "object",
        "properties": {"label": text(), "description": text()},
        "additionalProperties": true,
    });
    json!({
        "type": "object",
        "properties": {
            "question": text(),
            "header": {"type": "string", "description": "A word or two that name the topic."},
            "options": {
                "type": "array",
                "items": option,
                "minItems": OPTIONS.start(),
                "maxItems": OPTIONS.end(),
            },
            "multiSelect": {"type": "boolean", "description": "More than one may be chosen."},
        },
        "required": ["question", "header", "options"],
        "additionalProperties": true,
    })
}

async fn request_human_input(mut call: Call) -> Outcome {
    let id = FEATURE_ID.read_id(&mut call.arguments)?;
    let prompt = PROMPT.read(&mut call.arguments)?;
    let fields = FIELDS.read_objects(&mut call.arguments)?;
    let fields = fields.into_iter().map(Value::Object).collect();
    let request = HumanInputRequest::new(prompt, fields).map_err(|problem| invalid(&problem))?;
    let name = call.end(id, RequestHumanInput { id, request }).await?;
    let message = format!("Feature '{name}' is now blocked waiting for human input");
    Ok(Answer::Json(json!({
        "success": true,
        "feature_id": id.get(),
        "name": name,
        "message": message,
    })))
}

fn invalid(problem: &InvalidRequest) -> Trouble {
    match problem {
        InvalidRequest::EmptyPrompt | InvalidRequest::PromptTooLarge { .. } => {
            BadArgument::rule(PROMPT.name, problem).into()
        }
        InvalidRequest::NoFields
        | InvalidRequest::TooManyFields { .. }
        | InvalidRequest::FieldsTooLarge { .. } => BadArgument::rule(FIELDS.name, problem).into(),
        InvalidRequest::Field { index, .. } => {
            Trouble::invalid(&problem.to_string(), "invalid_field").with("index", *index)
        }
    }
}

fn ask_user(mut call: Call) -> Outcome {
    let questions = QUESTIONS.read_objects(&mut call.arguments)?;
    for (index, question) in questions.into_iter().enumerate() {
        check(question).map_err(|problem| {
            let error = format!("question {index}: {problem}");
            Trouble::invalid(&error, "invalid_question").with("index", index)
        })?;
    }
    Ok(Answer::Text(
        "Questions presented to the user. Their response will arrive as your next message.",
    ))
}

fn check(mut question: Map<String, Value>) -> Result<(), String> {
    if let Some(key) =
        ["question", "header", "options"].iter().find(|key| !question.contains_key(**key))
    {
        return Err(format!("{key} is missing"));
    }
    let options = question.remove("options").map(array);
    match options {
        Some(Ok(options)) if OPTIONS.contains(&options.len()) => Ok(()),
        Some(Ok(options)) => {
            let (least, most) = (OPTIONS.start(), OPTIONS.end());
            Err(format!("there must be {least} to {most} options, not {}", options.len()))
        }
        _ => Err("options must be an array".to_owned()),
    }
}
