//! Creating, importing, changing and deleting features, and what they wait for.

use std::collections::BTreeSet;

use crate::{
    CreatedFeatures, DeletedFeature, DependencyList, EventKind, Feature, FeatureChanges, FeatureId,
    Field, Limits, Steps,
};

use super::super::op::{Answer, Expect, Texts};
use super::super::schedule;
use super::{Model, Verdict, history, one};

impl Model {
    pub(super) fn highest_priority(&self) -> i64 {
        self.features.values().map(|feature| feature.priority).max().unwrap_or(0)
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

    pub(super) fn create_one(
        &mut self,
        texts: &Texts,
        priority: Option<i64>,
        wanted: &[i64],
    ) -> Verdict {
        check_texts(texts)?;
        let (id, priority) = self.place(priority, 1)?;
        let dependencies = self.checked_dependencies(id.into(), wanted)?;
        let feature = new_feature(id, priority, texts, dependencies);
        self.insert(&feature, EventKind::Created);
        Ok(one(&feature))
    }

    pub(super) fn create_many(
        &mut self,
        features: &[(Texts, Vec<usize>)],
        start: Option<i64>,
    ) -> Verdict {
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
            let feature = new_feature(id, priority, texts, dependencies);
            self.insert(&feature, EventKind::Created);
        }
        Ok(Answer::Created(created))
    }

    pub(super) fn import(&mut self, entries: &[Feature]) -> Verdict {
        if !self.features.is_empty() {
            return Err("not_empty");
        }
        let mut all = Self::default();
        for entry in entries {
            let feature = entry.clone();
            if entry.id.get() < 1 || all.features.insert(feature.id, feature).is_some() {
                return Err("invalid_entry");
            }
        }
        for entry in entries {
            let wanted: Vec<i64> = entry.dependencies.iter().map(|id| id.get()).collect();
            let dependencies = all.checked_dependencies(entry.id, &wanted)?;
            self.insert(&Feature { dependencies, ..entry.clone() }, EventKind::Imported);
        }
        Ok(Answer::Imported(entries.len()))
    }

    pub(super) fn update(
        &mut self,
        id: i64,
        changes: &FeatureChanges,
        expected: Expect,
    ) -> Verdict {
        let mut after = self.existing(id)?;
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
        let named = [
            changes.category.as_ref().map(|_| Field::Category),
            changes.name.as_ref().map(|_| Field::Name),
            changes.description.as_ref().map(|_| Field::Description),
            changes.steps.as_ref().map(|_| Field::Steps),
            changes.priority.map(|_| Field::Priority),
            changes.dependencies.as_ref().map(|_| Field::Dependencies),
        ];
        let named: Vec<Field> = named.into_iter().flatten().collect();
        self.change(&after, &named, EventKind::Edited.into());
        Ok(one(&after))
    }

    pub(super) fn delete(&mut self, id: i64, force: bool) -> Verdict {
        let mut feature = self.existing(id)?;
        let occasion = self.claim_to_delete(&mut feature, force)?;
        let waits = |other: &&Feature| other.dependencies.contains(&feature.id);
        let waiting: Vec<Feature> = self.features.values().filter(waits).cloned().collect();
        let mut released = Vec::new();
        for mut other in waiting {
            other.dependencies.retain(|dependency| *dependency != feature.id);
            self.change(&other, &[Field::Dependencies], EventKind::Depends.into());
            released.extend(Some(other.id).filter(|other| *other != feature.id));
        }
        if let Some(row) = self.remove(feature.id) {
            self.note(feature.id, history::disappearance(&row), occasion);
        }
        Ok(Answer::Deleted(Box::new(DeletedFeature { feature, released })))
    }

    /// The dependencies sorted, or which rule they break.
    fn checked_dependencies(
        &self,
        id: FeatureId,
        wanted: &[i64],
    ) -> Result<Vec<FeatureId>, &'static str> {
        let sorted: BTreeSet<FeatureId> = wanted.iter().copied().map(FeatureId::from).collect();
        if sorted.contains(&id) {
            Err("depends_on_itself")
        } else if wanted.len() > Limits::DEPENDENCIES {
            Err("too_many_dependencies")
        } else if sorted.len() < wanted.len() {
            Err("repeated_dependency")
        } else if sorted.iter().any(|dependency| !self.features.contains_key(dependency)) {
            Err("unknown_dependency")
        } else if sorted.iter().any(|dependency| schedule::waits(&self.features, *dependency, id)) {
            Err("dependency_cycle")
        } else {
            Ok(sorted.into_iter().collect())
        }
    }

    pub(super) fn set_dependencies(&mut self, id: i64, wanted: &[i64]) -> Verdict {
        self.existing(id)?;
        let sorted = self.checked_dependencies(id.into(), wanted)?;
        self.store_dependencies(id, sorted)
    }

    /// What the feature waits for already is not judged again.
    pub(super) fn add_dependency(&mut self, id: i64, dependency: i64) -> Verdict {
        if id == dependency {
            return Err("depends_on_itself");
        }
        let mut dependencies = self.existing(id)?.dependencies;
        if self.existing(dependency).is_err() {
            return Err("unknown_dependency");
        }
        if dependencies.contains(&dependency.into()) {
            return Err("dependency_exists");
        }
        dependencies.push(dependency.into());
        if dependencies.len() > Limits::DEPENDENCIES {
            return Err("too_many_dependencies");
        }
        if schedule::waits(&self.features, dependency.into(), id.into()) {
            return Err("dependency_cycle");
        }
        dependencies.sort_unstable();
        self.store_dependencies(id, dependencies)
    }

    pub(super) fn remove_dependency(&mut self, id: i64, dependency: i64) -> Verdict {
        let before = self.existing(id)?.dependencies;
        let mut rest = before.clone();
        rest.retain(|other| other.get() != dependency);
        if rest.len() == before.len() {
            return Err("no_such_dependency");
        }
        rest.sort_unstable();
        self.store_dependencies(id, rest)
    }

    fn store_dependencies(&mut self, id: i64, dependencies: Vec<FeatureId>) -> Verdict {
        let after = Feature { dependencies: dependencies.clone(), ..self.existing(id)? };
        self.change(&after, &[Field::Dependencies], EventKind::Depends.into());
        Ok(Answer::Dependencies(DependencyList { id: id.into(), dependencies }))
    }
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
