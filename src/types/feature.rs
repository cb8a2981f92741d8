//! Features: what the file holds of one, and what a new one must look like.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::digest::Fnv1a;
use super::json_text::{LEVELS, is_deeper};
use super::{Limits, to_json_text};

/// The number of a feature, unique in its project and never given out twice.
///
/// ```
/// use autoforge_store::FeatureId;
/// assert_eq!(FeatureId::from(7).to_string(), "7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FeatureId(i64);

impl FeatureId {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl From<i64> for FeatureId {
    fn from(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for FeatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has to be done to build and to check a feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, from = "Value")]
pub enum Steps {
    /// The usual form: one text a step.
    List(Vec<String>),
    /// Anything else that a file may hold in this column; text that is no JSON is a JSON string here.
    Other(Value),
}

impl Steps {
    /// The steps as JSON, in the form in which the file holds them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::List(steps) => json!(steps),
            Self::Other(value) => value.clone(),
        }
    }
}

impl From<Value> for Steps {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(items) if items.iter().all(Value::is_string) => Self::List(
                items.into_iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            ),
            other => Self::Other(other),
        }
    }
}

/// One feature as the file holds it.
///
/// Through `serde` it has the form of [`Feature::to_json`].
///
/// Booleans that are NULL in the file are `false` here; dependencies that are no integers are left
/// out; ids that do not exist stay, since the feature waits for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its number.
    pub id: FeatureId,
    /// Lower is sooner.
    pub priority: i64,
    /// What it belongs to, for people.
    pub category: String,
    /// What it is called.
    pub name: String,
    /// What it should do.
    pub description: String,
    /// How to build and check it.
    pub steps: Steps,
    /// It is done.
    pub passes: bool,
    /// An agent has claimed it.
    pub in_progress: bool,
    /// The features that must pass first, in the file's order.
    pub dependencies: Vec<FeatureId>,
    /// It waits for an answer from a human.
    pub needs_human_input: bool,
    /// The latest request to a human.
    pub human_input_request: Option<Value>,
    /// The answer to it.
    pub human_input_response: Option<Value>,
}

impl Feature {
    /// Every column as a key, in the order of the columns: what the tools show and the export holds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.get(),
            "priority": self.priority,
            "category": self.category,
            "name": self.name,
            "description": self.description,
            "steps": self.steps.to_json(),
            "passes": self.passes,
            "in_progress": self.in_progress,
            "dependencies": ids_json(&self.dependencies),
            "needs_human_input": self.needs_human_input,
            "human_input_request": self.human_input_request,
            "human_input_response": self.human_input_response,
        })
    }

    /// A digest of everything the feature holds: equal revisions mean an unchanged feature.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision::of(&self.to_json())
    }
}

/// The state of a feature at one moment, to tell whether somebody changed it meanwhile.
///
/// It is computed from the content, so it also sees changes made by programs that know nothing of
/// revisions.
///
/// ```
/// use autoforge_store::Revision;
/// let revision: Revision = "00c0ffee00c0ffee".parse().unwrap();
/// assert_eq!(revision.to_string(), "00c0ffee00c0ffee");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(u64);

impl Revision {
    pub(crate) fn of(value: &Value) -> Self {
        let mut hasher = Fnv1a::default();
        to_json_text(value).hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::str::FromStr for Revision {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// What most lists need of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSummary {
    /// Its number.
    pub id: FeatureId,
    /// What it is called.
    pub name: String,
    /// It is done.
    pub passes: bool,
    /// An agent has claimed it.
    pub in_progress: bool,
    /// It waits for an answer from a human.
    pub needs_human_input: bool,
    /// The features that must pass first.
    pub dependencies: Vec<FeatureId>,
}

impl FeatureSummary {
    /// The summary as the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id.get(),
            "name": self.name,
            "passes": self.passes,
            "in_progress": self.in_progress,
            "needs_human_input": self.needs_human_input,
            "dependencies": ids_json(&self.dependencies),
        })
    }
}

/// Where a feature stands, the first that applies in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It passes.
    Done,
    /// It waits for an answer from a human.
    NeedsHumanInput,
    /// A dependency of it does not pass.
    Blocked,
    /// An agent works on it.
    InProgress,
    /// It can be taken.
    Pending,
}

impl Status {
    /// The name by which the tools know it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NeedsHumanInput => "needs_human_input",
            Self::Blocked => "blocked",
            Self::InProgress => "in_progress",
            Self::Pending => "pending",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The texts of a feature that is to be created, checked against [`Limits`].
///
/// ```
/// use autoforge_store::NewFeature;
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"])?;
/// assert_eq!(login.name(), "Log in");
/// assert!(NewFeature::new("", "Log in", "With a password.", ["Open the form"]).is_err());
/// # Ok::<(), autoforge_store::InvalidFeature>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewFeature {
    category: String,
    name: String,
    description: String,
    steps: Steps,
}

impl NewFeature {
    /// Checks the four texts.
    ///
    /// # Errors
    /// [`InvalidFeature`] names the first part that is empty or too large, and its limit.
    pub fn new(
        category: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
        steps: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, InvalidFeature> {
        let steps: Vec<String> = steps.into_iter().map(Into::into).collect();
        check_steps(&steps)?;
        Ok(Self {
            category: check_category(category.into())?,
            name: check_name(name.into())?,
            description: check_description(description.into())?,
            steps: Steps::List(steps),
        })
    }

    /// Takes the four texts as programs have always been able to hand them in when they create many
    /// features at once: any of them may be empty, the short ones may be long, and steps may be any
    /// JSON. Only what would be too large for the file is refused.
    ///
    /// # Errors
    /// [`InvalidFeature::TooLarge`] for a text of more than [`Limits::TEXT_BYTES`] or steps of more
    /// than [`Limits::STEPS_BYTES`] as JSON, [`InvalidFeature::TooManySteps`] for a longer list,
    /// [`InvalidFeature::TooDeep`] for steps that would not be read back as JSON.
    ///
    /// ```
    /// use autoforge_store::{NewFeature, Steps};
    /// use serde_json::json;
    /// let odd = NewFeature::lenient("", "n".repeat(300), "", json!("as usual"))?;
    /// assert_eq!(odd.steps(), &Steps::Other(json!("as usual")));
    /// assert!(NewFeature::lenient("", "", "d".repeat(5 << 20), json!([])).is_err());
    /// # Ok::<(), autoforge_store::InvalidFeature>(())
    /// ```
    pub fn lenient(
        category: impl Into<String>,
        name: impl Into<String>,
        description: impl Into<String>,
        steps: impl Into<Steps>,
    ) -> Result<Self, InvalidFeature> {
        let bounded =
            |field, text: String| check_bytes(field, text.len(), Limits::TEXT_BYTES).map(|()| text);
        let steps = steps.into();
        if matches!(&steps, Steps::Other(json) if is_deeper(json, LEVELS)) {
            return Err(InvalidFeature::TooDeep { max: LEVELS });
        }
        let json = steps.to_json();
        let count = json.as_array().map_or(0, Vec::len);
        if count > Limits::STEPS {
            return Err(InvalidFeature::TooManySteps { count, max: Limits::STEPS });
        }
        check_bytes("steps", json.to_string().len(), Limits::STEPS_BYTES)?;
        Ok(Self {
            category: bounded("category", category.into())?,
            name: bounded("name", name.into())?,
            description: bounded("description", description.into())?,
            // A list of texts has one form only, however it was handed in.
            steps: Steps::from(json),
        })
    }

    /// What it belongs to.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.category
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it should do.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How to build and check it.
    #[must_use]
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// The feature that it becomes.
    pub(crate) fn at(self, id: FeatureId, priority: i64, dependencies: Vec<FeatureId>) -> Feature {
        Feature {
            id,
            priority,
            category: self.category,
            name: self.name,
            description: self.description,
            steps: self.steps,
            passes: false,
            in_progress: false,
            dependencies,
            needs_human_input: false,
            human_input_request: None,
            human_input_response: None,
        }
    }
}

/// One of several features that are created together, with the earlier ones it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFeature {
    /// Its texts.
    pub feature: NewFeature,
    /// 0-based positions of earlier features of the same command: distinct, at most
    /// [`Limits::DEPENDENCIES`].
    pub depends_on: Vec<usize>,
}

impl From<NewFeature> for PlannedFeature {
    fn from(feature: NewFeature) -> Self {
        Self { feature, depends_on: Vec::new() }
    }
}

/// Why the texts of a feature are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFeature {
    /// A text that must not be empty is.
    #[error("{field} must not be empty")]
    Empty {
        /// Which one.
        field: &'static str,
    },
    /// A text has too many characters.
    #[error("{field} has {chars} characters, the limit is {max}")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// How many it has.
        chars: usize,
        /// How many it may have.
        max: usize,
    },
    /// A text has too many bytes.
    #[error("{field} takes {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Which one.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// There are too many steps.
    #[error("there are {count} steps, the limit is {max}")]
    TooManySteps {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The steps have more levels of arrays and objects than are read back.
    #[error("steps have more than {max} levels of arrays and objects")]
    TooDeep {
        /// How many they may have.
        max: usize,
    },
}

pub(crate) fn check_category(category: String) -> Result<String, InvalidFeature> {
    check_chars("category", category, Limits::CATEGORY_CHARS)
}

pub(crate) fn check_name(name: String) -> Result<String, InvalidFeature> {
    check_chars("name", name, Limits::NAME_CHARS)
}

pub(crate) fn check_description(description: String) -> Result<String, InvalidFeature> {
    if description.is_empty() {
        return Err(InvalidFeature::Empty { field: "description" });
    }
    check_bytes("description", description.len(), Limits::TEXT_BYTES)?;
    Ok(description)
}

pub(crate) fn check_steps(steps: &[String]) -> Result<(), InvalidFeature> {
    if steps.is_empty() {
        return Err(InvalidFeature::Empty { field: "steps" });
    }
    if steps.len() > Limits::STEPS {
        return Err(InvalidFeature::TooManySteps { count: steps.len(), max: Limits::STEPS });
    }
    check_bytes("steps", steps.iter().map(String::len).sum(), Limits::STEPS_BYTES)
}

fn check_chars(field: &'static str, text: String, max: usize) -> Result<String, InvalidFeature> {
    match text.chars().count() {
        0 => Err(InvalidFeature::Empty { field }),
        chars if chars > max => Err(InvalidFeature::TooLong { field, chars, max }),
        _ => Ok(text),
    }
}

fn check_bytes(field: &'static str, bytes: usize, max: usize) -> Result<(), InvalidFeature> {
    if bytes > max {
        return Err(InvalidFeature::TooLarge { field, bytes, max });
    }
    Ok(())
}

pub(crate) fn ids_json(ids: &[FeatureId]) -> Value {
    Value::Array(ids.iter().map(|id| Value::from(id.get())).collect())
}
