//! `add`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::Task;
use crate::cli::args::parse_id;
use crate::cli::exit::Failed;
use crate::cli::input;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::signature::{SignatureArgs, Signer};
use crate::cli::view::{count, ids_json, ids_text, titled};
use crate::{CreateFeature, CreateFeatures, FeatureId, NewFeature, PlannedFeature, Store};

/// Options of `add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What it belongs to.
    #[arg(long, required_unless_present = "from")]
    category: Option<String>,
    /// What it is called.
    #[arg(long, required_unless_present = "from")]
    name: Option<String>,
    /// What it should do.
    #[arg(long, required_unless_present = "from")]
    description: Option<String>,
    /// How to build and check it; repeat it for each step.
    #[arg(long = "step", value_name = "TEXT", required_unless_present = "from")]
    steps: Vec<String>,
    /// The features that must pass first, separated by commas.
    #[arg(long, value_name = "IDS", value_parser = parse_id, value_delimiter = ',')]
    depends_on: Vec<FeatureId>,
    /// Lower is sooner; several features get consecutive ones. Default: behind all others.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// JSON instead: an object with `category`, `name`, `description`, `steps` and perhaps
    /// `dependencies` (ids), or a list of objects with perhaps `depends_on_indices` (0-based
    /// positions of earlier ones). `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["category", "name", "description", "steps", "depends_on"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    signature: SignatureArgs,
}

impl Task for AddArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let signer = self.signature.signer()?;
        match self.from.as_deref().map(input::read_json).transpose()? {
            Some(Value::Array(items)) => {
                let features = items.iter().zip(0..).map(planned).collect::<Result<_, _>>()?;
                let command = CreateFeatures { features, starting_priority: self.priority };
                add_many(&session.open_or_create()?, &signer, command)
            }
            Some(item) => {
                let command = CreateFeature { priority: self.priority, ..single(&item)? };
                add_one(&session.open_or_create()?, &signer, command)
            }
            None => {
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                let (category, name) = (text(&self.category), text(&self.name));
                let description = text(&self.description);
                let feature = NewFeature::new(category, name, description, self.steps.clone())
                    .map_err(|invalid| Failed::new("invalid_feature", invalid))?;
                let dependencies = self.depends_on.clone();
                let command = CreateFeature { feature, priority: self.priority, dependencies };
                add_one(&session.open_or_create()?, &signer, command)
            }
        }
    }
}

fn add_one(store: &Store, signer: &Signer, command: CreateFeature) -> Result<Answer, Failed> {
    let feature = signer.call(store, command)?;
    let said = Cell::new(Tone::Good, "added ");
    let page = Page::default().line([said].into_iter().chain(titled(feature.id, &feature.name)));
    Ok(Answer::new(feature.to_json(), page))
}

fn add_many(store: &Store, signer: &Signer, command: CreateFeatures) -> Result<Answer, Failed> {
    let created = signer.call(store, command)?;
    let number = created.ids.len();
    let data = json!({
        "ids": ids_json(&created.ids),
        "created": number,
        "with_dependencies": created.with_dependencies,
    });
    let ids = match created.ids.as_slice() {
        [first, .., last] if number > 10 => format!("{first} to {last}"),
        ids => ids_text(ids),
    };
    let said = Cell::new(Tone::Good, "added ");
    let page =
        Page::default().line([said, Cell::plain(count(number)), Cell::faint(format!(": {ids}"))]);
    Ok(Answer::new(data, page))
}

/// A single feature, which may depend on any that exists.
fn single(item: &Value) -> Result<CreateFeature, Failed> {
    let item = Item::of("the feature", item, "dependencies")?;
    let dependencies = item.numbers("dependencies")?.into_iter().map(FeatureId::from).collect();
    Ok(CreateFeature { feature: item.feature()?, priority: None, dependencies })
}

/// One of several features, which may depend on earlier ones.
fn planned((item, index): (&Value, usize)) -> Result<PlannedFeature, Failed> {
    let item = Item::of(&format!("the feature at index {index}"), item, "depends_on_indices")?;
    let position = |number: i64| {
        usize::try_from(number).map_err(|_| item.wrong("depends_on_indices", "positions from 0"))
    };
    let depends_on = item.numbers("depends_on_indices")?.into_iter().map(position);
    Ok(PlannedFeature {
        depends_on: depends_on.collect::<Result<_, _>>()?,
        feature: item.feature()?,
    })
}

/// A feature in JSON.
struct Item<'a> {
    title: String,
    keys: &'a Map<String, Value>,
}

impl<'a> Item<'a> {
    /// Refuses keys that mean nothing: who misspells one would lose what it says.
    fn of(title: &str, item: &'a Value, dependencies: &str) -> Result<Self, Failed> {
        let title = title.to_owned();
        let Some(keys) = item.as_object() else {
            return Err(Failed::new("invalid_input", format!("{title} must be an object")));
        };
        let known = ["category", "name", "description", "steps", dependencies];
        if let Some(key) = keys.keys().find(|key| !known.contains(&key.as_str())) {
            let message = format!("{title} has a key {key:?}, which means nothing here");
            let hint = format!("the keys are {}", known.join(", "));
            return Err(Failed::new("invalid_input", message).hint(hint));
        }
        Ok(Self { title, keys })
    }

    fn feature(&self) -> Result<NewFeature, Failed> {
        let steps = self.keys.get("steps").and_then(Value::as_array);
        let steps: Option<Vec<&str>> =
            steps.and_then(|steps| steps.iter().map(Value::as_str).collect());
        let steps = steps.ok_or_else(|| self.wrong("steps", "a list of texts"))?;
        NewFeature::new(
            self.text("category")?,
            self.text("name")?,
            self.text("description")?,
            steps,
        )
        .map_err(|invalid| Failed::new("invalid_feature", format!("{}: {invalid}", self.title)))
    }

    fn text(&self, key: &str) -> Result<&'a str, Failed> {
        self.keys.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, "text"))
    }

    fn numbers(&self, key: &str) -> Result<Vec<i64>, Failed> {
        match self.keys.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(Value::as_i64).collect())
                .ok_or_else(|| self.wrong(key, "a list of whole numbers")),
        }
    }

    fn wrong(&self, key: &str, expected: &str) -> Failed {
        Failed::new("invalid_input", format!("{}: {key} must be {expected}", self.title))
    }
}
