//! What the database itself holds.

mod records;

use std::path::PathBuf;

use super::Check;
use super::place::{Place, size};
use super::users::Users;
use crate::{
    CheckFeatures, CheckpointReport, DependencyGraph, Diagnosis, Examination, Feature,
    FeatureFindings, FeatureId, GraphNode, JournalMode, OpenError, OpenOptions, ProjectLayout,
    Store,
};

/// Frames in the log that nobody has copied back from which on something is in the way.
const LONG_LOG: u32 = 10_000;
/// So many things are named, the rest is counted.
const NAMED: usize = 10;

/// A project's content, to be looked at.
#[derive(Debug)]
pub(super) struct Content {
    list: PathBuf,
    options: OpenOptions,
}

impl Content {
    pub(super) fn new(layout: &ProjectLayout, options: OpenOptions) -> Self {
        Self { list: layout.legacy_backlog(), options }
    }

    pub(super) fn checks(&self, place: &Place, users: &Users) -> Vec<Check> {
        if place.journal().is_some() {
            let found = "not opened, since opening it would undo what the journal holds";
            return vec![Check::warning("content", found, "see the side files above")];
        }
        let examined = Store::examine(&place.path, &self.options, &CheckFeatures);
        let (mut checks, total) = match examined {
            Ok(examination) => examined_checks(&examination, users),
            Err(error) => (vec![unusable(&error)], None),
        };
        checks.extend(self.list_check(total));
        checks
    }

    /// Whether the list of the time before databases can be imported, where it will be.
    fn list_check(&self, total: Option<usize>) -> Option<Check> {
        let name = "feature_list.json";
        if !self.list.exists() {
            return None;
        }
        if total.is_some_and(|total| total > 0) {
            let found = "there, and not imported, since the project has features";
            return Some(Check::ok(name, found));
        }
        #[expect(clippy::disallowed_methods, reason = "a JSON list, which is no database")]
        let text = std::fs::read(&self.list);
        let problem = match text.map(|text| Feature::parse_backlog(&text)) {
            Ok(Ok(entries)) => match wrong_dependencies(&entries) {
                None => {
                    let found = format!("the next opening imports its {} features", entries.len());
                    return Some(Check::ok(name, found));
                }
                Some(problem) => problem,
            },
            Ok(Err(problem)) => problem.to_string(),
            Err(error) => error.to_string(),
        };
        let found = format!("cannot be imported: {problem}");
        Some(Check::error(name, found, "mend the file or move it away"))
    }
}

fn wrong_dependencies(entries: &[Feature]) -> Option<String> {
    let graph = DependencyGraph::new(entries.iter().map(|entry| GraphNode {
        id: entry.id,
        priority: entry.priority,
        passes: entry.passes,
        in_progress: entry.in_progress,
        needs_human_input: entry.needs_human_input,
        exhausted: false,
        dependencies: entry.dependencies.clone(),
    }));
    if let Some(cycle) = graph.cycles().first() {
        return Some(format!("features {} wait for each other", ids(cycle)));
    }
    let (feature, missing) = graph.dangling().first().copied()?;
    Some(format!("feature {feature} depends on {missing}, which does not exist"))
}

/// A file that cannot even be looked at.
fn unusable(error: &OpenError) -> Check {
    let name = "content";
    let advice = match error {
        OpenError::NotADatabase { .. } | OpenError::Storage(_) => {
            "keep the file and restore a backup"
        }
        OpenError::Foreign { .. } => "move it away if it does not belong here",
        OpenError::NotAFile { .. } => "move it away, and put the database there",
        OpenError::UnsafeFileSystem { .. } => "move the project to a local disk",
        _ => "the message says what to do",
    };
    Check::error(name, error.to_string(), advice)
}

fn examined_checks(
    examination: &Examination<FeatureFindings>,
    users: &Users,
) -> (Vec<Check>, Option<usize>) {
    let diagnosis = &examination.diagnosis;
    let mut checks = vec![integrity(diagnosis), foreign_keys(diagnosis), journal(diagnosis)];
    checks.extend(diagnosis.log.as_ref().map(log));
    checks.push(match &diagnosis.unsafe_file_system {
        None => Check::ok("file system", "SQLite's locks hold here"),
        Some(kind) => Check::error(
            "file system",
            format!("{kind}, where SQLite's locks are not reliable"),
            "move the project to a local disk",
        ),
    });
    if examination.outdated {
        let found = "an older release left it; the next opening brings it up to date";
        checks.push(Check::ok("release", found));
    }
    match &examination.answer {
        Ok(findings) => {
            checks.extend(feature_checks(findings, users));
            (checks, Some(findings.total))
        }
        // An older release had fewer columns.
        Err(_) if examination.outdated => (checks, None),
        Err(fault) => {
            let advice = "keep the file and restore a backup";
            checks.push(Check::error("features", fault.to_string(), advice));
            (checks, None)
        }
    }
}

fn integrity(diagnosis: &Diagnosis) -> Check {
    match diagnosis.integrity.as_slice() {
        [] => Check::ok("integrity", format!("sound, {}", size(diagnosis.bytes))),
        [first, rest @ ..] => {
            let found = match rest.len() {
                0 => first.clone(),
                more => format!("{first}, and {more} more"),
            };
            let advice = "copy all files of the database away, then restore a backup";
            // The database has no other name here than SQLite's own.
            let found = found.replace("*** in database main ***\n", "");
            Check::error("integrity", found, advice)
        }
    }
}

fn foreign_keys(diagnosis: &Diagnosis) -> Check {
    match diagnosis.foreign_key_violations {
        0 => Check::ok("references", "every row's reference leads somewhere"),
        count => Check::warning(
            "references",
            format!("{count} schedule overrides whose schedule does not exist"),
            "harmless; `autoforge-store schedules overrides --purge` deletes them",
        ),
    }
}

fn journal(diagnosis: &Diagnosis) -> Check {
    match diagnosis.journal {
        JournalMode::Wal => Check::ok("journal", "write-ahead log"),
        JournalMode::Rollback => Check::ok(
            "journal",
            "rollback journal; on a local disk the next opening changes it to a write-ahead log",
        ),
    }
}

fn log(log: &CheckpointReport) -> Check {
    let waiting = log.log_frames.saturating_sub(log.copied_frames);
    let found = format!("{} pages in the log, {waiting} not copied back yet", log.log_frames);
    if waiting >= LONG_LOG {
        let advice = "end the process that keeps a transaction open";
        return Check::warning("log", found, advice);
    }
    Check::ok("log", found)
}

fn feature_checks(findings: &FeatureFindings, users: &Users) -> Vec<Check> {
    let mut checks = vec![Check::ok("features", format!("{} features", findings.total))];
    let mut warn = |name, problem: Option<String>, fine: &str, advice: &str| {
        checks.push(match problem {
            Some(found) => Check::warning(name, found, advice),
            None => Check::ok(name, fine),
        });
    };
    let cycles: Vec<String> = findings.cycles.iter().map(|cycle| ids(cycle)).collect();
    let problem = some(&cycles)
        .map(|cycles| format!("features that wait for themselves through others: {cycles}"));
    let advice = "take one dependency out of each circle: none of these can ever be worked on";
    warn("circles", problem, "no feature waits for itself", advice);
    let dangling: Vec<String> =
        findings.dangling.iter().map(|(id, missing)| format!("{id} on {missing}")).collect();
    let problem = some(&dangling)
        .map(|list| format!("features that depend on ids that do not exist: {list}"));
    let advice = "remove these dependencies, or the features stay blocked";
    warn("dependencies", problem, "all of them exist", advice);
    let shared: Vec<String> = findings
        .shared_priorities
        .iter()
        .map(|(priority, features)| format!("{priority} (features {})", ids(features)))
        .collect();
    let problem = some(&shared).map(|list| format!("several features have priority {list}"));
    let advice = "give them different ones; of equals the lower id comes first";
    warn("priorities", problem, "all different", advice);
    let malformed: Vec<String> =
        findings.malformed.iter().map(|(id, column)| format!("{column} of feature {id}")).collect();
    let problem = some(&malformed).map(|list| format!("not what it should be: {list}"));
    let advice = "write these values anew; what can be read of them is used";
    warn("stored JSON", problem, "as it should be", advice);
    let problem = (!findings.null_flags.is_empty())
        .then(|| format!("features with a flag that is NULL: {}", ids(&findings.null_flags)));
    let advice = "they count as false, and the next opening writes that";
    warn("flags", problem, "none is NULL", advice);
    checks.extend(records::checks(findings, users));
    checks.push(waiting(findings));
    checks
}

fn waiting(findings: &FeatureFindings) -> Check {
    let name = "questions";
    match findings.waiting_for_human.as_slice() {
        [] => Check::ok(name, "no feature waits for a human"),
        features => Check {
            advice: Some("answer them (autoforge-store answer ID)".to_owned()),
            ..Check::ok(name, format!("features that wait for a human: {}", ids(features)))
        },
    }
}

fn ids(ids: &[FeatureId]) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    some(&texts).unwrap_or_default()
}

/// The first ones, and how many more there are; `None` for none.
fn some(texts: &[String]) -> Option<String> {
    let named = texts.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match texts.len() {
        0 => None,
        count if count > NAMED => Some(format!("{named} and {} more", count - NAMED)),
        _ => Some(named),
    }
}
