//! Why a feature is ready, or what is in the way and what would remove it.

use std::fmt;

use serde_json::{Value, json};

use super::Command;
use super::feature::{FeatureRefusal, existing, list};
use crate::database::Features;
use crate::error::Failure;
use crate::tx::{Read, Standing, Tx};
use crate::types::{
    AttemptOutcome, ClaimRecord, DependencyState, EventKind, Feature, FeatureId, Holder, Obstacle,
    RootCauses, Status, Timestamp,
};

/// How many attempts are looked through for reasons of failures.
const ATTEMPTS: usize = 20;
/// How many events are looked through for the time of a question.
const EVENTS: usize = 50;
/// How many ids a sentence names.
const NAMED: usize = 10;

/// One thing that is in the way of a feature, with what is known of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Hindrance {
    /// The feature is done.
    Passes,
    /// A human was asked.
    WaitsForHuman {
        /// When, where the history still knows it.
        since: Option<Timestamp>,
    },
    /// Another feature has to pass first.
    Dependency {
        /// Which one.
        id: FeatureId,
        /// What it is called; `None` where there is no such feature.
        name: Option<String>,
        /// Where it stands.
        state: DependencyState,
        /// Who works on it.
        holder: Option<Holder>,
        /// The circle in which the feature waits for itself by way of this one: the feature, this
        /// one, and on to the last, which waits for the feature.
        circle: Option<Vec<FeatureId>>,
    },
    /// Somebody works on the feature.
    InProgress {
        /// The claim; `None` where it is older than the records.
        claim: Option<ClaimRecord>,
    },
    /// Its attempts have failed too often.
    Exhausted {
        /// How often they have.
        failures: u32,
        /// How often they may.
        limit: u32,
        /// Why the latest ones failed, newest first.
        reasons: Vec<String>,
    },
}

/// Why a feature is ready or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The feature as the file has it.
    pub feature: Feature,
    /// Where it stands.
    pub status: Status,
    /// Its place in the scheduling order from 1, and how many features are ready; `None` where it is
    /// not ready.
    pub place: Option<(usize, usize)>,
    /// What is in the way; nothing where it is ready.
    pub hindrances: Vec<Hindrance>,
    /// Where its waiting for others ends.
    pub causes: RootCauses,
    /// A claim that is over, though its flag still stands, and how it is.
    pub lapsed: Option<(ClaimRecord, AttemptOutcome)>,
    /// Failed attempts of owners since it last passed or was reset, also one that is over though
    /// nobody has written it down.
    pub failures: u32,
}

/// Explains why a feature is ready or not, from the same judgement by which
/// [`GetReady`](crate::GetReady) chooses.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{CreateFeature, ExplainFeature, MarkInProgress, NewFeature, Store};
///
/// let store = Store::open_project(dir.path()).unwrap();
/// let login = NewFeature::new("Auth", "Log in", "With a password.", ["Open the form"]).unwrap();
/// let id = store.call(CreateFeature::new(login)).unwrap().id;
/// assert_eq!(store.call(ExplainFeature { id }).unwrap().place, Some((1, 1)));
/// store.call(MarkInProgress { id }).unwrap();
/// assert_eq!(store.call(ExplainFeature { id }).unwrap().hindrances.len(), 1);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ExplainFeature {
    /// Which one.
    pub id: FeatureId,
}

impl Command for ExplainFeature {
    const NAME: &'static str = "explain_feature";
    type Database = Features;
    type Access = Read;
    type Output = Explanation;
    type Rejection = FeatureRefusal;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Explanation, Failure<FeatureRefusal>> {
        let id = self.id;
        let feature = existing(tx, id)?;
        let graph = tx.dependency_graph()?;
        let (place, standing) = (graph.place_among_ready(id), tx.standing(&feature)?);
        let mut hindrances = Vec::new();
        for obstacle in graph.obstacles(id).unwrap_or_default() {
            hindrances.push(match obstacle {
                Obstacle::Passes => Hindrance::Passes,
                Obstacle::WaitsForHuman => Hindrance::WaitsForHuman { since: asked(tx, id)? },
                Obstacle::InProgress => Hindrance::InProgress { claim: claim_of(&standing) },
                Obstacle::Exhausted => exhausted(tx, id)?,
                Obstacle::Dependency(dependency) => {
                    let other = tx.feature(dependency)?;
                    let holder = match &other {
                        Some(other) => tx.standing(other)?.holder(),
                        None => None,
                    };
                    let state = graph.dependency_state(id, dependency);
                    Hindrance::Dependency {
                        id: dependency,
                        name: other.map(|other| other.name),
                        state: state.unwrap_or(DependencyState::Missing),
                        holder,
                        circle: graph.cycle_through(id, dependency),
                    }
                }
            });
        }
        let lapsed = match standing {
            Standing::Lapsed(claim, outcome) => Some((claim, outcome)),
            _ => None,
        };
        Ok(Explanation {
            status: graph.status(id).unwrap_or(Status::Pending),
            place: place.map(|place| (place + 1, graph.ready_count())),
            hindrances,
            causes: graph.root_causes(id),
            lapsed,
            failures: failures(tx, id)?,
            feature,
        })
    }
}

fn claim_of(standing: &Standing) -> Option<ClaimRecord> {
    match standing {
        Standing::Owned(claim) | Standing::Unowned(Some(claim)) => Some(claim.clone()),
        _ => None,
    }
}

/// When a human was asked, as far back as is looked.
fn asked(tx: &Tx<'_, Read>, id: FeatureId) -> rusqlite::Result<Option<Timestamp>> {
    let latest = tx.events_before(None, Some(id), None, EVENTS)?;
    Ok(latest.iter().find(|event| event.kind == EventKind::Asked).map(|event| event.at))
}

fn failures(tx: &Tx<'_, Read>, id: FeatureId) -> rusqlite::Result<u32> {
    Ok(tx.failures()?.get(&id).copied().unwrap_or(0))
}

fn exhausted(tx: &Tx<'_, Read>, id: FeatureId) -> rusqlite::Result<Hindrance> {
    let attempts = tx.attempts(Some(id), ATTEMPTS)?;
    let failed = attempts.into_iter().filter_map(|attempt| attempt.end);
    let failed = failed.filter(|end| end.outcome.is_failure());
    let failures = failures(tx, id)?;
    Ok(Hindrance::Exhausted {
        failures,
        limit: tx.policy()?.attempts.unwrap_or(failures),
        reasons: failed.map(|end| end.reason.unwrap_or_else(|| end.outcome.to_string())).collect(),
    })
}

impl Hindrance {
    /// Its stable name, as of [`Obstacle::as_str`].
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::WaitsForHuman { .. } => "waits_for_human",
            Self::Dependency { .. } => "dependency",
            Self::InProgress { .. } => "in_progress",
            Self::Exhausted { .. } => "exhausted",
        }
    }

    /// What would remove it, as a sentence.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Passes => "mark it as failing if it has to be done again".to_owned(),
            Self::WaitsForHuman { .. } => "answer the question".to_owned(),
            Self::Dependency { id, circle: Some(_), .. } => {
                format!("remove one of the dependencies of the circle, such as {id}")
            }
            Self::Dependency { id, state: DependencyState::Missing, .. } => {
                format!("remove {id} from its dependencies, or restore that feature")
            }
            Self::Dependency { id, .. } => format!("feature {id} has to pass"),
            Self::InProgress { claim: Some(claim) } if claim.owner.is_some() => {
                "wait for its owner; override the claim only if the owner is lost".to_owned()
            }
            Self::InProgress { .. } => "release it if nobody works on it any more".to_owned(),
            Self::Exhausted { .. } => "reset its attempts when the cause is mended".to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let more = match self {
            Self::Passes => json!({}),
            Self::WaitsForHuman { since } => json!({"since": since.map(Timestamp::to_iso8601)}),
            Self::Dependency { id, name, state, holder, circle } => json!({
                "feature_id": id.get(),
                "name": name,
                "state": match state {
                    DependencyState::Missing => "missing",
                    DependencyState::Itself => "itself",
                    DependencyState::Open(status) => status.as_str(),
                },
                "held_by": holder.as_ref().map(ToString::to_string),
                "circle": circle.as_ref().map(|ids| numbers(ids)),
            }),
            Self::InProgress { claim } => {
                json!({"claim": claim.as_ref().map(ClaimRecord::to_json)})
            }
            Self::Exhausted { failures, limit, reasons } => {
                json!({"failures": failures, "limit": limit, "reasons": reasons})
            }
        };
        let mut json = json!({"kind": self.as_str(), "message": self.to_string()});
        if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
            json.extend(more);
            json.insert("remedy".to_owned(), self.remedy().into());
        }
        json
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passes => f.write_str("it passes already"),
            Self::WaitsForHuman { since: Some(since) } => {
                write!(f, "it waits for a human since {since}")
            }
            Self::WaitsForHuman { since: None } => f.write_str("it waits for a human"),
            Self::Dependency { circle: Some(circle), .. } => {
                write!(f, "it waits for itself through {}", list(circle))
            }
            Self::Dependency { id, name: None, .. } => {
                write!(f, "it waits for feature {id}, which does not exist")
            }
            Self::Dependency { id, name: Some(name), state, holder, .. } => {
                write!(f, "it waits for feature {id} ({name})")?;
                if let DependencyState::Open(status) = state {
                    write!(f, ", which is {status}")?;
                }
                holder.as_ref().map_or(Ok(()), |holder| write!(f, ", held by {holder}"))
            }
            Self::InProgress { claim: Some(claim) } => {
                write!(f, "it belongs to {}", Holder::of(claim))
            }
            Self::InProgress { claim: None } => f.write_str("it is in progress"),
            Self::Exhausted { failures, limit, reasons } => {
                write!(f, "it has failed {failures} times of {limit}")?;
                match reasons.first() {
                    Some(reason) => write!(f, ", lately: {reason}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Explanation {
    /// Whether the feature can be taken now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.place.is_some()
    }

    /// The explanation as the tools show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let some = |ids: &[FeatureId]| numbers(ids.get(..NAMED).unwrap_or(ids));
        json!({
            "feature_id": self.feature.id.get(),
            "name": self.feature.name,
            "status": self.status.as_str(),
            "ready": self.is_ready(),
            "place": self.place.map(|(place, _)| place),
            "total_ready": self.place.map(|(_, total)| total),
            "obstacles": self.hindrances.iter().map(Hindrance::to_json).collect::<Value>(),
            "waits_for": self.causes.waits_for,
            "first": some(&self.causes.first),
            "missing": some(&self.causes.missing),
            "cycles": self.causes.cycles.iter().map(|ids| some(ids)).collect::<Value>(),
            "lapsed": self.lapsed.as_ref().map(|(_, outcome)| outcome.as_str()),
            "failures": self.failures,
        })
    }
}

fn numbers(ids: &[FeatureId]) -> Value {
    ids.iter().map(|id| Value::from(id.get())).collect()
}
