//! Creating features.

use serde_json::{Map, Value, json};

use super::signing::{REASON, REQUEST_ID};
use super::{Call, Effect, Outcome, Tool, answer, boolean, feature, integer, text};
use crate::mcp::arguments::{BadArgument, List, Text, array};
use crate::mcp::present::{Answer, Trouble};
use crate::{
    BulkRefusal, CreateFeature, CreateFeatures, InvalidFeature, Limits, NewFeature, PlannedFeature,
};

const CATEGORY: Text = Text {
    name: "category",
    description: "What it belongs to, such as \"Sign-in\" or \"Reports\".",
    max_chars: Some(Limits::CATEGORY_CHARS),
};
const NAME: Text = Text {
    name: "name",
    description: "What it is called, in a few words.",
    max_chars: Some(Limits::NAME_CHARS),
};
const DESCRIPTION: Text = Text {
    name: "description",
    description: "What it does for its users, in full.",
    max_chars: None,
};
const STEPS: List = List {
    name: "steps",
    description: "How to build it and how to check it, one step an item.",
    items: text,
    min_items: Some(1),
};
const FEATURES: List = List {
    name: "features",
    description: "The features, in the order in which they should be built.",
    items: planned_feature,
    min_items: None,
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "feature_create_bulk",
        title: "Create many features",
        description: "Creates features behind all others, in the given order, all or none. An item \
                      may name earlier items of the same array that must pass first, by their \
                      0-based positions in depends_on_indices. A wrong item is refused with its \
                      index, and then nothing was created. Gives how many were created and how \
                      many of them have dependencies.",
        parameters: &[&FEATURES, &REASON, &REQUEST_ID],
        output: Some(|| answer(json!({"created": integer(), "with_dependencies": integer()}))),
        effect: Effect::Write,
        handler: |call| Box::pin(create_bulk(call)),
    },
    Tool {
        name: "feature_create",
        title: "Create a feature",
        description: "Creates one feature behind all others and gives it with its new id. Look \
                      first whether there is such a feature already; for several at once call \
                      feature_create_bulk.",
        parameters: &[&CATEGORY, &NAME, &DESCRIPTION, &STEPS, &REASON, &REQUEST_ID],
        output: Some(|| {
            answer(json!({"success": boolean(), "message": text(), "feature": feature()}))
        }),
        effect: Effect::Write,
        handler: |call| Box::pin(create(call)),
    },
];

fn planned_feature() -> Value {
    json!({
        "type": "object",
        "properties": {
            "category": text(),
            "name": text(),
            "description": text(),
            "steps": {"type": "array", "items": text()},
            "depends_on_indices": {
                "type": ["array", "null"],
                "items": {"type": "integer", "minimum": 0},
                "maxItems": Limits::DEPENDENCIES,
            },
        },
        "required": ["category", "name", "description", "steps"],
        "additionalProperties": true,
    })
}

async fn create(mut call: Call) -> Outcome {
    let category = CATEGORY.read(&mut call.arguments)?;
    let name = NAME.read(&mut call.arguments)?;
    let description = DESCRIPTION.read(&mut call.arguments)?;
    let steps = STEPS.read_texts(&mut call.arguments)?;
    let new = NewFeature::new(category, name, description, steps)
        .map_err(|problem| BadArgument::rule(part(&problem), &problem))?;
    let feature = call.change(CreateFeature::new(new)).await?;
    let message = format!("Created feature: {}", feature.name);
    Ok(Answer::Json(json!({"success": true, "message": message, "feature": feature.to_json()})))
}

fn part(problem: &InvalidFeature) -> &'static str {
    match problem {
        InvalidFeature::Empty { field }
        | InvalidFeature::TooLong { field, .. }
        | InvalidFeature::TooLarge { field, .. } => field,
        InvalidFeature::TooManySteps { .. } | InvalidFeature::TooDeep { .. } => STEPS.name,
    }
}

async fn create_bulk(mut call: Call) -> Outcome {
    let items = FEATURES.read_objects(&mut call.arguments)?;
    let (count, max) = (items.len(), Limits::BULK);
    if count > max {
        return Err(Trouble::refused(&BulkRefusal::TooMany { count, max }));
    }
    let mut features = Vec::with_capacity(count);
    for (index, item) in items.into_iter().enumerate() {
        let invalid = |problem| {
            let error = format!("the feature at index {index} is not valid: {problem}");
            Trouble::invalid(&error, "invalid_feature").with("index", index)
        };
        features.push(planned(item).map_err(invalid)?);
    }
    let created = call.change(CreateFeatures::new(features)).await?;
    let (count, with_dependencies) = (created.ids.len(), created.with_dependencies);
    Ok(Answer::Json(json!({"created": count, "with_dependencies": with_dependencies})))
}

/// Items have always been taken as they come, as in the import of a whole list: a number stands for
/// its text, steps may be any array or a text, and no text is too short or too long for its column.
fn planned(mut item: Map<String, Value>) -> Result<PlannedFeature, String> {
    let depends_on = positions(item.remove("depends_on_indices"))?;
    let mut take = |key: &str| item.remove(key).ok_or_else(|| format!("{key} is missing"));
    let [category, name, description] =
        [take("category")?, take("name")?, take("description")?].map(as_text);
    let steps = match array(take("steps")?) {
        Ok(items) => Value::Array(items),
        Err(Value::String(text)) => Value::String(text),
        Err(_) => return Err("steps must be an array of texts".to_owned()),
    };
    let feature = NewFeature::lenient(
        category.ok_or("category must be text")?,
        name.ok_or("name must be text")?,
        description.ok_or("description must be text")?,
        steps,
    );
    Ok(PlannedFeature { feature: feature.map_err(|problem| problem.to_string())?, depends_on })
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Positions are read strictly: a model that writes them as text has mistaken them for something
/// else, and a wrong dependency is worse than a refusal.
fn positions(value: Option<Value>) -> Result<Vec<usize>, String> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => array(value),
    };
    let position = |item: &Value| item.as_u64().and_then(|at| usize::try_from(at).ok());
    let positions = items.ok().and_then(|items| items.iter().map(position).collect());
    positions.ok_or_else(|| {
        "depends_on_indices must be an array of 0-based positions of earlier items".to_owned()
    })
}
