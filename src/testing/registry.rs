//! The registry, said a second time and naively: the commands as plain data, a model of the file, and
//! sequences of what happens to it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{
    AutoImprove, Concurrency, Error, GetProject, GetSetting, ImproveInterval, ListProjects,
    ListSettings, Project, ProjectName, ProjectPath, Refusal, RegisterProject, Registry,
    SetAutoImprove, SetConcurrency, SetSettings, SettingChange, SettingKey, StorageError, Store,
    Timestamp, UnregisterProject, UpdateProjectPath,
};

use super::conversations::call;

/// A command on the registry. Each variant is the command of that name, with its fields.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the commands")]
pub enum RegistryOp {
    RegisterProject { name: &'static str, path: &'static str },
    UnregisterProject { name: &'static str, expected_path: Option<&'static str> },
    UpdateProjectPath { name: &'static str, path: &'static str },
    SetConcurrency { name: &'static str, agents: i64 },
    SetAutoImprove { name: &'static str, enabled: Option<bool>, minutes: Option<u16> },
    GetProject(&'static str),
    ListProjects,
    GetSetting(&'static str),
    ListSettings,
    SetSettings(Vec<(&'static str, Option<&'static str>)>),
}

/// What became of a [`RegistryOp`]. Times of projects and settings are those of the calls.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each holds the output of the commands that give it")]
pub enum RegistryOutcome {
    Project(Project),
    Projects(Vec<Project>),
    /// Keys, values and times.
    Settings(Vec<(String, String, Option<Timestamp>)>),
    Refused(&'static str),
    Failed(StorageError),
}

use RegistryOutcome as Outcome;

const INVALID: Outcome = Outcome::Refused("invalid");

impl RegistryOp {
    /// Runs the command on a store, at this moment.
    #[must_use]
    pub fn apply_to(&self, store: &Store<Registry>, now: Timestamp) -> Outcome {
        let owned = |name: &&str| (*name).to_owned();
        match self {
            Self::RegisterProject { name, path } => {
                match (ProjectName::new(*name), ProjectPath::new(path)) {
                    (Ok(name), Ok(path)) => one(call(store, RegisterProject { name, path }, now)),
                    _ => INVALID,
                }
            }
            Self::UnregisterProject { name, expected_path } => {
                let expected_path = expected_path.map(str::to_owned);
                one(call(store, UnregisterProject { name: owned(name), expected_path }, now))
            }
            Self::UpdateProjectPath { name, path } => match ProjectPath::new(path) {
                Ok(path) => one(call(store, UpdateProjectPath { name: owned(name), path }, now)),
                Err(_) => INVALID,
            },
            Self::SetConcurrency { name, agents } => match Concurrency::new(*agents) {
                Ok(concurrency) => {
                    one(call(store, SetConcurrency { name: owned(name), concurrency }, now))
                }
                Err(_) => INVALID,
            },
            Self::SetAutoImprove { name, enabled, minutes } => {
                let interval = minutes.map(ImproveInterval::minutes).transpose();
                let (Ok(interval), enabled) = (interval, *enabled) else { return INVALID };
                one(call(store, SetAutoImprove { name: owned(name), enabled, interval }, now))
            }
            Self::GetProject(name) => one(call(store, GetProject { name: owned(name) }, now)),
            Self::ListProjects => told(call(store, ListProjects, now), Outcome::Projects),
            Self::GetSetting(key) => {
                let found = call(store, GetSetting { key: owned(key) }, now);
                told(found, |found| settings(found.into_iter().collect()))
            }
            Self::ListSettings => told(call(store, ListSettings, now), settings),
            Self::SetSettings(changes) => {
                let Ok(changes) = changes.iter().map(change).collect() else { return INVALID };
                told(call(store, SetSettings { changes }, now), settings)
            }
        }
    }
}

fn change((key, value): &(&str, Option<&str>)) -> Result<SettingChange, crate::InvalidSetting> {
    let key = SettingKey::new(*key)?;
    value.map_or_else(
        || Ok(SettingChange::remove(key.clone())),
        |it| SettingChange::set(key.clone(), it),
    )
}

fn one<R: Refusal>(answer: Result<Project, Error<R>>) -> Outcome {
    told(answer, Outcome::Project)
}

fn settings(settings: Vec<crate::Setting>) -> Outcome {
    let plain = |it: crate::Setting| (it.key, it.value.reveal().to_owned(), it.updated_at);
    Outcome::Settings(settings.into_iter().map(plain).collect())
}

fn told<T, R: Refusal>(answer: Result<T, Error<R>>, wrap: impl FnOnce(T) -> Outcome) -> Outcome {
    match answer {
        Ok(output) => wrap(output),
        Err(Error::Refused(refusal)) => Outcome::Refused(refusal.code()),
        Err(Error::Storage(fault)) => Outcome::Failed(fault),
    }
}

/// The file, as it should be.
#[derive(Debug, Clone, Default)]
pub struct RegistryModel {
    projects: BTreeMap<String, Project>,
    settings: BTreeMap<String, (String, Timestamp)>,
}

impl RegistryModel {
    /// What the command should do at this moment.
    pub fn apply(&mut self, op: &RegistryOp, now: Timestamp) -> Outcome {
        self.run(op, now).unwrap_or_else(Outcome::Refused)
    }

    fn run(&mut self, op: &RegistryOp, now: Timestamp) -> Result<Outcome, &'static str> {
        match op {
            RegistryOp::RegisterProject { name, path } => {
                let path = spelled(path)?;
                if !is_name(name) {
                    return Err("invalid");
                }
                if self.projects.contains_key(*name) {
                    return Err("project_exists");
                }
                self.free(name, &path)?;
                let name = (*name).to_owned();
                let project = Project {
                    name: name.clone(),
                    path,
                    created_at: Some(now.to_utc()),
                    concurrency: Concurrency::default(),
                    auto_improve: AutoImprove::default(),
                };
                self.projects.insert(name, project.clone());
                Ok(Outcome::Project(project))
            }
            RegistryOp::UnregisterProject { name, expected_path } => {
                let path = &self.existing(name)?.path;
                if expected_path.is_some_and(|expected| expected != path) {
                    return Err("project_moved");
                }
                let gone = self.projects.remove(*name).ok_or("unknown_project")?;
                Ok(Outcome::Project(gone))
            }
            RegistryOp::UpdateProjectPath { name, path } => {
                let path = spelled(path)?;
                self.existing(name)?;
                self.free(name, &path)?;
                self.change(name, |project| project.path = path)
            }
            RegistryOp::SetConcurrency { name, agents } => {
                let concurrency = Concurrency::new(*agents).map_err(|_| "invalid")?;
                self.change(name, |project| project.concurrency = concurrency)
            }
            RegistryOp::SetAutoImprove { name, enabled, minutes } => {
                let interval = minutes.map(ImproveInterval::minutes).transpose();
                let interval = interval.map_err(|_| "invalid")?;
                self.change(name, |Project { auto_improve, .. }| {
                    auto_improve.enabled = enabled.unwrap_or(auto_improve.enabled);
                    auto_improve.interval = interval.unwrap_or(auto_improve.interval);
                })
            }
            RegistryOp::GetProject(name) => self.change(name, |_| ()),
            RegistryOp::ListProjects => {
                Ok(Outcome::Projects(self.projects.values().cloned().collect()))
            }
            RegistryOp::GetSetting(key) => Ok(self.shown(|known| known == *key)),
            RegistryOp::ListSettings => Ok(self.shown(|_| true)),
            RegistryOp::SetSettings(changes) => self.set(changes, now),
        }
    }

    fn set(
        &mut self,
        changes: &[(&'static str, Option<&'static str>)],
        now: Timestamp,
    ) -> Result<Outcome, &'static str> {
        if changes.iter().any(|(key, value)| value.is_some_and(|it| !fits(key, it))) {
            return Err("invalid");
        }
        let keys = changes.iter().map(|(key, _)| key);
        if keys.clone().any(|key| keys.clone().filter(|other| *other == key).count() > 1) {
            return Err("repeated_setting");
        }
        for (key, value) in changes {
            match value {
                Some(value) => {
                    self.settings.insert((*key).to_owned(), ((*value).to_owned(), now));
                }
                None => drop(self.settings.remove(*key)),
            }
        }
        Ok(self.shown(|_| true))
    }

    fn existing(&mut self, name: &str) -> Result<&mut Project, &'static str> {
        self.projects.get_mut(name).ok_or("unknown_project")
    }

    fn change(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Project),
    ) -> Result<Outcome, &'static str> {
        let project = self.existing(name)?;
        work(project);
        Ok(Outcome::Project(project.clone()))
    }

    fn free(&self, name: &str, path: &str) -> Result<(), &'static str> {
        let taken = |other: &Project| other.name != name && other.path == path;
        if self.projects.values().any(taken) { Err("path_taken") } else { Ok(()) }
    }

    fn shown(&self, which: impl Fn(&str) -> bool) -> Outcome {
        let all = self.settings.iter().filter(|(key, _)| which(key));
        let plain = |(key, (value, at)): (&String, &(String, Timestamp))| {
            (key.clone(), value.clone(), Some(*at))
        };
        Outcome::Settings(all.map(plain).collect())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=50).contains(&name.len()) && name.chars().all(allowed)
}

/// The paths that there are here have at most doubled slashes, and one is not absolute.
fn spelled(path: &str) -> Result<String, &'static str> {
    if path.starts_with('/') { Ok(path.replace("//", "/")) } else { Err("invalid") }
}

fn fits(key: &str, value: &str) -> bool {
    match key {
        "yolo_mode" => value == "true" || value == "false",
        "batch_size" => (1..=15).any(|n: u8| n.to_string() == value),
        _ => true,
    }
}

/// One thing that happens to a registry.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistryStep {
    /// A command is called at a second.
    Call(RegistryOp, u32),
    /// The file is closed and opened again.
    Reopen,
}

/// Sequences of what happens.
pub fn registry_steps(max: usize) -> impl Strategy<Value = Vec<RegistryStep>> {
    let call = (op(), 0..20_u32).prop_map(|(op, at)| RegistryStep::Call(op, at));
    vec(prop_oneof![12 => call, 1 => Just(RegistryStep::Reopen)], 0..max)
}

const NAMES: &[&str] = &["a", "b", "shop", "A", "my-crm_2", "no name", ""];
const PATHS: &[&str] = &["/p/a", "/p//a", "/p/b", "/", "relative"];
const KEYS: &[&str] = &["model", "api_auth_token", "yolo_mode", "batch_size", "unknown"];
const VALUES: &[&str] = &["true", "7", "", "sk-123", "16"];

fn op() -> impl Strategy<Value = RegistryOp> {
    let name = || select(NAMES);
    let path = || select(PATHS);
    let change = (select(KEYS), proptest::option::weighted(0.8, select(VALUES)));
    prop_oneof![
        4 => (name(), path()).prop_map(|(name, path)| RegistryOp::RegisterProject { name, path }),
        1 => (name(), proptest::option::of(path())).prop_map(|(name, expected_path)| {
            RegistryOp::UnregisterProject { name, expected_path }
        }),
        2 => (name(), path())
            .prop_map(|(name, path)| RegistryOp::UpdateProjectPath { name, path }),
        1 => (name(), 0..7_i64)
            .prop_map(|(name, agents)| RegistryOp::SetConcurrency { name, agents }),
        1 => (name(), any::<Option<bool>>(), proptest::option::of(0..1500_u16)).prop_map(|(name, enabled, minutes)| {
            RegistryOp::SetAutoImprove { name, enabled, minutes }
        }),
        1 => name().prop_map(RegistryOp::GetProject),
        1 => Just(RegistryOp::ListProjects),
        1 => select(KEYS).prop_map(RegistryOp::GetSetting),
        1 => Just(RegistryOp::ListSettings),
        4 => vec(change, 0..4).prop_map(RegistryOp::SetSettings),
    ]
}
