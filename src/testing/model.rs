//! The table in memory and what each command does to it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    Claim, ClaimedFeature, ClaimedNext, CreatedFeatures, DeletedFeature, DependencyList, Feature,
    FeatureChanges, FeatureId, FenceToken, Holder, Limits, PassedFeature, SkippedFeature, Steps,
    Timestamp,
};

use super::form::{FormField, Given, fits, is_form};
use super::op::{Answer, Expect, Op, Outcome, Texts};
use super::schedule;

/// What a command answers, or the code with which it refuses.
type Verdict = Result<Answer, &'static str>;

/// A project's features in memory.
#[derive(Debug, Clone, Default)]
pub struct Model {
    features: BTreeMap<FeatureId, Feature>,
    /// The highest id that was ever deleted.
    floor: i64,
    /// The claims that stand, by feature.
    claims: BTreeMap<FeatureId, FenceToken>,
    /// The last token that was given out.
    last_token: i64,
}

impl Model {
    /// Does what the command does.
    pub fn apply(&mut self, op: &Op) -> Outcome {
        self.read(op).unwrap_or_else(|| match self.write(op) {
            Ok(answer) => Outcome::Answered(answer),
            Err(code) => Outcome::Refused(code),
        })
    }

    /// The whole table by priority, then id: what [`ListFeatures`](crate::ListFeatures) gives.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        let mut all: Vec<Feature> = self.features.values().cloned().collect();
        all.sort_by_key(|feature| (feature.priority, feature.id));
        all
    }

    /// The id of the next feature; `None` where the last one is taken.
    #[must_use]
    pub fn next_id(&self) -> Option<FeatureId> {
        let highest = self.features.keys().map(|id| id.get()).max().unwrap_or(0);
        highest.max(self.floor).checked_add(1).map(FeatureId::from)
    }

    /// The answer to a reading command; `None` for one that writes.
    pub(super) fn read(&self, op: &Op) -> Option<Outcome> {
        let all = &self.features;
        let answer = match op {
            Op::GetStats => Answer::Stats(schedule::stats(all)),
            Op::ListFeatures => Answer::Features(self.features()),
            Op::GetBoard => Answer::Board(schedule::board(&self.features())),
            Op::GetReady { limit } => Answer::Ready(schedule::ready(all, *limit)),
            Op::GetBlocked { limit } => Answer::Blocked(schedule::blocked(all, *limit)),
            Op::GetGraph => Answer::Graph(schedule::graph(all)),
            Op::CheckFeatures => Answer::Findings(schedule::findings(all)),
            Op::GetFeature(id) | Op::GetSummary(id) => match self.existing(*id) {
                Err(code) => return Some(Outcome::Refused(code)),
                Ok(feature) if matches!(op, Op::GetSummary(_)) => {
                    Answer::Summary(schedule::summary(feature))
                }
                Ok(feature) => one(feature),
            },
            _ => return None,
        };
        Some(Outcome::Answered(answer))
    }

    fn write(&mut self, op: &Op) -> Verdict {
        match op {
            Op::ClaimNext => Ok(Answer::Next(self.claim_next())),
            Op::ClaimFeature(id) => {
                let already_claimed = self.claimable(*id)?.in_progress;
                let token = (!already_claimed).then(|| self.claim(*id));
                let since = Timestamp::from_microseconds(0).ok_or("the epoch")?;
                let holder = already_claimed.then_some(Holder { owner: None, since });
                let feature = self.existing(*id)?.clone();
                Ok(Answer::Claim(Box::new(Claim { feature, already_claimed, token, holder })))
            }
            Op::MarkInProgress(id) => {
                let feature = self.claimable(*id)?;
                if feature.in_progress {
                    return Err("already_in_progress");
                }
                let token = self.claim(*id);
                let feature = self.existing(*id)?.clone();
                Ok(Answer::Claimed(Box::new(ClaimedFeature { feature, token })))
            }
            Op::ClearInProgress(id) => {
                let feature = self.existing_mut(*id)?;
                feature.in_progress = false;
                Ok(one(feature))
            }
            Op::MarkPassing(id) => {
                let feature = self.unfinished(*id)?;
                (feature.passes, feature.in_progress) = (true, false);
                Ok(Answer::Passed(PassedFeature { id: feature.id, name: feature.name.clone() }))
            }
            Op::MarkFailing(id) => {
                let feature = self.existing_mut(*id)?;
                (feature.passes, feature.in_progress) = (false, false);
                Ok(one(feature))
            }
            Op::SkipFeature(id) => self.skip(*id),
            Op::CreateFeature { texts, priority, dependencies } => {
                self.create_one(texts, *priority, dependencies)
            }
            Op::CreateFeatures { features, starting_priority } => {
                self.create_many(features, *starting_priority)
            }
            Op::ImportBacklog { entries } => self.import(entries),
            Op::UpdateFeature { id, changes, expected } => self.update(*id, changes, *expected),
            Op::DeleteFeature { id, force } => self.delete(*id, *force),
            Op::AddDependency { id, dependency } => self.add_dependency(*id, *dependency),
            Op::RemoveDependency { id, dependency } => self.remove_dependency(*id, *dependency),
            Op::SetDependencies { id, dependencies } => {
                self.existing(*id)?;
                let sorted = self.checked_dependencies((*id).into(), dependencies)?;
                self.store_dependencies(*id, sorted)
            }
            Op::RequestHumanInput { id, prompt, fields } => self.request(*id, prompt, fields),
            Op::AnswerHumanInput { id, fields, at, request } => {
                self.answer(*id, fields, *at, *request)
            }
            _ => Err("a read"),
        }
    }

    fn existing(&self, id: i64) -> Result<&Feature, &'static str> {
        self.features.get(&id.into()).ok_or("not_found")
    }

    fn existing_mut(&mut self, id: i64) -> Result<&mut Feature, &'static str> {
        self.features.get_mut(&id.into()).ok_or("not_found")
    }

    fn unfinished(&mut self, id: i64) -> Result<&mut Feature, &'static str> {
        let feature = self.existing_mut(id)?;
        if feature.passes { Err("already_passing") } else { Ok(feature) }
    }

    fn claimable(&mut self, id: i64) -> Result<&mut Feature, &'static str> {
        let feature = self.unfinished(id)?;
        if feature.needs_human_input { Err("waiting_for_human") } else { Ok(feature) }
    }

    fn claim_next(&mut self) -> ClaimedNext {
        let first = schedule::ready(&self.features, 1).features.first().map(|feature| feature.id);
        if let Some(mut feature) = first.and_then(|id| self.features.get(&id).cloned()) {
            let token = self.claim(feature.id.get());
            feature.in_progress = true;
            return ClaimedNext::Feature(Box::new(ClaimedFeature { feature, token }));
        }
        let open: Vec<_> = self.features.values().filter(|feature| !feature.passes).collect();
        if open.is_empty() {
            return ClaimedNext::AllPassing;
        }
        ClaimedNext::NothingReady {
            in_progress: open.iter().filter(|feature| feature.in_progress).count(),
            waiting_for_human: open.iter().filter(|feature| feature.needs_human_input).count(),
            blocked: schedule::blocked(&self.features, 0).total,
            exhausted: 0,
        }
    }

    /// Notes a claim on a feature that has none.
    fn claim(&mut self, id: i64) -> FenceToken {
        self.last_token += 1;
        let token = FenceToken::from(self.last_token);
        self.claims.insert(id.into(), token);
        if let Some(feature) = self.features.get_mut(&id.into()) {
            feature.in_progress = true;
        }
        token
    }

    fn highest_priority(&self) -> i64 {
        self.features.values().map(|feature| feature.priority).max().unwrap_or(0)
    }

    fn skip(&mut self, id: i64) -> Verdict {
        let new_priority = self.highest_priority().saturating_add(1);
        let feature = self.unfinished(id)?;
        feature.in_progress = false;
        let old_priority = std::mem::replace(&mut feature.priority, new_priority);
        let (id, name) = (feature.id, feature.name.clone());
        Ok(Answer::Skipped(SkippedFeature { id, name, old_priority, new_priority }))
    }

    /// The first id and the first priority of `count` new features.
    fn place(&self, wanted: Option<i64>, count: usize) -> Result<(i64, i64), &'static str> {
        let more = i64::try_from(count).unwrap_or(i64::MAX).saturating_sub(1).max(0);
        let id = self.next_id().ok_or("exhausted")?.get();
        let priority = match wanted {
            Some(priority) if priority < 1 => return Err("priority_too_low"),
            Some(priority) => priority,
            None => self.highest_priority().checked_add(1).ok_or("exhausted")?,
        };
        let last = priority.checked_add(more).ok_or("exhausted")?;
        id.checked_add(more).ok_or("exhausted")?;
        let taken = |feature: &Feature| (priority..=last).contains(&feature.priority);
        if wanted.is_some() && count > 0 && self.features.values().any(taken) {
            return Err("priority_taken");
        }
        Ok((id, priority))
    }

    fn create_one(&mut self, texts: &Texts, priority: Option<i64>, wanted: &[i64]) -> Verdict {
        check_texts(texts)?;
        let (id, priority) = self.place(priority, 1)?;
        let dependencies = self.checked_dependencies(id.into(), wanted)?;
        let feature = new_feature(id, priority, texts, dependencies);
        self.features.insert(feature.id, feature.clone());
        Ok(one(&feature))
    }

    fn create_many(&mut self, features: &[(Texts, Vec<usize>)], start: Option<i64>) -> Verdict {
        features.iter().try_for_each(|(texts, _)| check_texts(texts))?;
        for (index, (_, depends_on)) in features.iter().enumerate() {
            if depends_on.len() > Limits::DEPENDENCIES {
                return Err("too_many_dependencies");
            }
            for (nth, position) in depends_on.iter().enumerate() {
                if *position >= index {
                    return Err("not_earlier");
                }
                if depends_on.iter().skip(nth + 1).any(|other| other == position) {
                    return Err("repeated_dependency");
                }
            }
        }
        let (first_id, first_priority) = self.place(start, features.len())?;
        let mut created = CreatedFeatures { ids: Vec::new(), with_dependencies: 0 };
        for ((texts, depends_on), (id, priority)) in
            features.iter().zip((first_id..=i64::MAX).zip(first_priority..=i64::MAX))
        {
            let mut dependencies: Vec<FeatureId> =
                depends_on.iter().filter_map(|at| created.ids.get(*at).copied()).collect();
            dependencies.sort_unstable();
            created.with_dependencies += usize::from(!dependencies.is_empty());
            created.ids.push(id.into());
            self.features.insert(id.into(), new_feature(id, priority, texts, dependencies));
        }
        Ok(Answer::Created(created))
    }

    fn import(&mut self, entries: &[Feature]) -> Verdict {
        if !self.features.is_empty() {
            return Err("not_empty");
        }
        let mut imported = Self { features: BTreeMap::new(), ..self.clone() };
        for entry in entries {
            let feature = entry.clone();
            if entry.id.get() < 1 || imported.features.insert(feature.id, feature).is_some() {
                return Err("invalid_entry");
            }
        }
        let all = imported.clone();
        for entry in entries {
            let wanted: Vec<i64> = entry.dependencies.iter().map(|id| id.get()).collect();
            let dependencies = all.checked_dependencies(entry.id, &wanted)?;
            imported.store_dependencies(entry.id.get(), dependencies)?;
        }
        for entry in entries.iter().filter(|entry| entry.in_progress) {
            imported.claim(entry.id.get());
        }
        *self = imported;
        Ok(Answer::Imported(entries.len()))
    }

    fn update(&mut self, id: i64, changes: &FeatureChanges, expected: Expect) -> Verdict {
        let mut after = self.existing(id)?.clone();
        if expected == Expect::Stale {
            return Err("conflict");
        }
        if after.passes {
            return Err("already_passing");
        }
        let texts = Texts {
            category: changes.category.clone().unwrap_or_else(|| "kept".to_owned()),
            name: changes.name.clone().unwrap_or_else(|| "kept".to_owned()),
            description: changes.description.clone().unwrap_or_else(|| "kept".to_owned()),
            steps: changes.steps.clone().unwrap_or_else(|| vec!["kept".to_owned()]),
        };
        check_texts(&texts)?;
        if let Some(priority) = changes.priority {
            if priority < 1 {
                return Err("priority_too_low");
            }
            let holder = |other: &Feature| other.priority == priority && other.id != after.id;
            if self.features.values().any(holder) {
                return Err("priority_taken");
            }
            after.priority = priority;
        }
        if let Some(wanted) = &changes.dependencies {
            let wanted: Vec<i64> = wanted.iter().map(|id| id.get()).collect();
            after.dependencies = self.checked_dependencies(after.id, &wanted)?;
        }
        after.category = changes.category.clone().unwrap_or(after.category);
        after.name = changes.name.clone().unwrap_or(after.name);
        after.description = changes.description.clone().unwrap_or(after.description);
        after.steps = changes.steps.clone().map_or(after.steps, Steps::List);
        self.features.insert(after.id, after.clone());
        Ok(one(&after))
    }

    fn delete(&mut self, id: i64, force: bool) -> Verdict {
        let feature = self.existing(id)?.clone();
        if feature.in_progress && !force {
            return Err("already_in_progress");
        }
        self.features.remove(&feature.id);
        self.floor = self.floor.max(id);
        let mut released = Vec::new();
        for other in self.features.values_mut().filter(|o| o.dependencies.contains(&feature.id)) {
            other.dependencies.retain(|dependency| *dependency != feature.id);
            released.push(other.id);
        }
        Ok(Answer::Deleted(Box::new(DeletedFeature { feature, released })))
    }

    /// The dependencies sorted, or which rule they break.
    fn checked_dependencies(
        &self,
        id: FeatureId,
        wanted: &[i64],
    ) -> Result<Vec<FeatureId>, &'static str> {
        let mut sorted: Vec<FeatureId> = wanted.iter().copied().map(FeatureId::from).collect();
        sorted.sort_unstable();
        let mut distinct = sorted.clone();
        distinct.dedup();
        if sorted.contains(&id) {
            Err("depends_on_itself")
        } else if sorted.len() > Limits::DEPENDENCIES {
            Err("too_many_dependencies")
        } else if distinct != sorted {
            Err("repeated_dependency")
        } else if sorted.iter().any(|dependency| !self.features.contains_key(dependency)) {
            Err("unknown_dependency")
        } else if sorted.iter().any(|dependency| schedule::waits(&self.features, *dependency, id)) {
            Err("dependency_cycle")
        } else {
            Ok(sorted)
        }
    }

    fn add_dependency(&mut self, id: i64, dependency: i64) -> Verdict {
        if id == dependency {
            return Err("depends_on_itself");
        }
        let mut wanted: Vec<i64> =
            self.existing(id)?.dependencies.iter().map(|id| id.get()).collect();
        if self.existing(dependency).is_err() {
            return Err("unknown_dependency");
        }
        if wanted.contains(&dependency) {
            return Err("dependency_exists");
        }
        wanted.push(dependency);
        let sorted = self.checked_dependencies(id.into(), &wanted)?;
        self.store_dependencies(id, sorted)
    }

    fn remove_dependency(&mut self, id: i64, dependency: i64) -> Verdict {
        let mut rest = self.existing(id)?.dependencies.clone();
        rest.retain(|other| other.get() != dependency);
        if rest.len() == self.existing(id)?.dependencies.len() {
            return Err("no_such_dependency");
        }
        self.store_dependencies(id, rest)
    }

    fn store_dependencies(&mut self, id: i64, dependencies: Vec<FeatureId>) -> Verdict {
        self.existing_mut(id)?.dependencies.clone_from(&dependencies);
        Ok(Answer::Dependencies(DependencyList { id: id.into(), dependencies }))
    }

    fn request(&mut self, id: i64, prompt: &str, fields: &[FormField]) -> Verdict {
        let fields: Vec<Value> = fields.iter().map(FormField::to_json).collect();
        if prompt.is_empty()
            || fields.is_empty()
            || fields.len() > Limits::FIELDS
            || !is_form(&fields)
        {
            return Err("invalid_request");
        }
        let feature = self.unfinished(id)?;
        if !feature.in_progress {
            return Err("not_in_progress");
        }
        (feature.needs_human_input, feature.in_progress) = (true, false);
        feature.human_input_request = Some(json!({"prompt": prompt, "fields": fields}));
        feature.human_input_response = None;
        Ok(Answer::Name(feature.name.clone()))
    }

    fn answer(
        &mut self,
        id: i64,
        given: &[(String, Given)],
        at: Timestamp,
        answered: Expect,
    ) -> Verdict {
        let fields: Value = given.iter().map(|(id, given)| (id.clone(), given.to_json())).collect();
        let feature = self.unfinished(id)?;
        if !feature.needs_human_input {
            return Err("not_waiting");
        }
        if let Some(request) = &feature.human_input_request {
            if answered == Expect::Stale {
                return Err("request_changed");
            }
            if !fits(&fields, request) {
                return Err("invalid_answer");
            }
        }
        feature.needs_human_input = false;
        feature.human_input_response =
            Some(json!({"fields": fields, "responded_at": at.to_iso8601()}));
        Ok(one(feature))
    }
}

fn one(feature: &Feature) -> Answer {
    Answer::Feature(Box::new(feature.clone()))
}

fn check_texts(texts: &Texts) -> Result<(), &'static str> {
    let length = |text: &str, max| (1..=max).contains(&text.chars().count());
    let steps: usize = texts.steps.iter().map(String::len).sum();
    let valid = length(&texts.category, Limits::CATEGORY_CHARS)
        && length(&texts.name, Limits::NAME_CHARS)
        && (1..=Limits::TEXT_BYTES).contains(&texts.description.len())
        && (1..=Limits::STEPS).contains(&texts.steps.len())
        && steps <= Limits::STEPS_BYTES;
    if valid { Ok(()) } else { Err("invalid_feature") }
}

fn new_feature(id: i64, priority: i64, texts: &Texts, dependencies: Vec<FeatureId>) -> Feature {
    Feature {
        id: id.into(),
        priority,
        category: texts.category.clone(),
        name: texts.name.clone(),
        description: texts.description.clone(),
        steps: Steps::List(texts.steps.clone()),
        passes: false,
        in_progress: false,
        dependencies,
        needs_human_input: false,
        human_input_request: None,
        human_input_response: None,
    }
}
