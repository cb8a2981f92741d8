//! Exit codes, stable and listed in `--help`, and which failure ends with which.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::{Error, FeatureId, LayoutError, OpenError, Refusal, StorageError};

/// What a shell expects of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// The codes as `--help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something else went wrong
  2  the command line or the input is wrong
  3  what was named does not exist
  4  somebody else has it, or its state forbids it
  5  nothing is ready to be worked on
  6  the database is busy, or the time is up; try again
  7  the database is damaged or no database; see `doctor`

With --json, stdout holds one line: {\"schema_version\":1,\"data\":…} when the code is 0, else
{\"schema_version\":1,\"error\":{\"code\",\"message\",\"retryable\",\"feature_ids\"}}. `watch` prints a line
for each event instead, the event alone.";

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Something else went wrong.
    Failure = 1,
    /// The command line or the input is wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Somebody else has it, or its state forbids it.
    Conflict = 4,
    /// Nothing is ready to be worked on.
    NothingReady = 5,
    /// The database is busy, or the time is up; try again.
    Busy = 6,
    /// The database is damaged or no database; see `doctor`.
    Corrupt = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit of a failure, by its stable name.
    pub(crate) fn of(code: &str) -> Self {
        Self::listed(code).unwrap_or(Self::Failure)
    }

    /// The exit of each code that there is; tests/tidy sees to it that none is forgotten.
    fn listed(code: &str) -> Option<Self> {
        let of_data = || Self::listed_of_data(code);
        Self::listed_of_input(code).or_else(of_data).or_else(|| Self::listed_of_faults(code))
    }

    /// What the user says is wrong, or names what is not there.
    fn listed_of_input(code: &str) -> Option<Self> {
        Some(match code {
            "usage"
            | "invalid_input"
            | "invalid_feature"
            | "same_file"
            | "invalid_answer"
            | "invalid_entry"
            | "priority_too_low"
            | "depends_on_itself"
            | "too_many_dependencies"
            | "repeated_dependency"
            | "not_earlier"
            | "too_many_features"
            | "several_agents"
            | "answer_too_large"
            | "invalid_conversation"
            | "invalid_project"
            | "invalid_setting"
            | "repeated_setting" => Self::Usage,
            "no_project"
            | "no_such_schedule"
            | "file_not_found"
            | "not_found"
            | "unknown_dependency"
            | "no_such_dependency"
            | "unknown_event"
            | "events_forgotten"
            | "unknown_conversation"
            | "unknown_message"
            | "unknown_project"
            | "unknown_setting" => Self::NotFound,
            _ => return None,
        })
    }

    /// What is there forbids it.
    fn listed_of_data(code: &str) -> Option<Self> {
        Some(match code {
            "file_exists"
            | "too_many_schedules"
            | "already_passing"
            | "already_in_progress"
            | "waiting_for_human"
            | "not_in_progress"
            | "not_waiting"
            | "request_changed"
            | "conflict"
            | "priority_taken"
            | "dependency_exists"
            | "dependency_cycle"
            | "not_empty"
            | "request_id_reused"
            | "exhausted"
            | "stale_token"
            | "held_by_other"
            | "out_of_attempts"
            | "in_use"
            | "running"
            | "two_places"
            | "moved_away"
            | "nothing_to_undo"
            | "claim_alone"
            | "already_undone"
            | "changed_since"
            | "has_dependents"
            | "feature_exists"
            | "project_exists"
            | "path_taken"
            | "project_moved" => Self::Conflict,
            "nothing_ready" | "all_passing" => Self::NothingReady,
            _ => return None,
        })
    }

    /// The storage or the program does not do it.
    fn listed_of_faults(code: &str) -> Option<Self> {
        Some(match code {
            "busy" | "deadline_passed" | "mailbox_full" | "group_aborted" | "timed_out" => {
                Self::Busy
            }
            "corrupt" | "not_a_database" | "not_a_file" | "foreign_database" => Self::Corrupt,
            // Nothing that the user has asked for is wrong, and trying again is no remedy.
            "no_agent" | "system" | "io" | "sqlite" | "disk_full" | "read_only" | "closed"
            | "moved" | "forked" | "poisoned" | "panicked" | "outcome_unknown"
            | "answer_unreadable" | "hard_linked" | "path_too_long" | "unsafe_file_system"
            | "newer_format" | "backlog" | "sqlite_too_old" | "not_confirmed" | "storage"
            | "worker" | "too_slow" | "interrupted" | "link" | "not_owner" => Self::Failure,
            _ => return None,
        })
    }
}

/// Why a command ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    code: &'static str,
    message: String,
    hint: Option<String>,
    retryable: bool,
    features: Vec<FeatureId>,
}

impl Failed {
    pub(crate) fn new(code: &'static str, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { code, message, hint: None, retryable: false, features: Vec::new() }
    }

    /// What the system said about a file that is no database.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => "file_not_found",
            io::ErrorKind::AlreadyExists => "file_exists",
            _ => "system",
        };
        Self::new(code, format_args!("{action} {} failed: {error}", path.display()))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn about(mut self, feature: FeatureId) -> Self {
        self.features = vec![feature];
        self
    }

    /// The same call may succeed later.
    pub(crate) fn for_now(mut self) -> Self {
        self.retryable = true;
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        Exit::of(self.code)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        self.hint.clone().or_else(|| advice(self.code, self.features.first().copied()))
    }

    pub(crate) fn to_json(&self) -> Value {
        let ids: Vec<i64> = self.features.iter().map(|id| id.get()).collect();
        json!({
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "feature_ids": ids,
        })
    }
}

impl<R: Refusal> From<Error<R>> for Failed {
    fn from(error: Error<R>) -> Self {
        let features = match &error {
            Error::Refused(refusal) => refusal.features(),
            Error::Storage(_) => Vec::new(),
        };
        let retryable = error.retryable();
        Self { retryable, features, ..Self::new(error.code(), &error) }
    }
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Self { retryable: error.retryable(), ..Self::new(error.code(), &error) }
    }
}

impl From<LayoutError> for Failed {
    fn from(error: LayoutError) -> Self {
        Self { retryable: error.retryable(), ..Self::new(error.code(), &error) }
    }
}

impl From<StorageError> for Failed {
    fn from(fault: StorageError) -> Self {
        Self { retryable: fault.retryable(), ..Self::new(fault.code(), &fault) }
    }
}

fn advice(code: &str, feature: Option<FeatureId>) -> Option<String> {
    let id = feature.map_or_else(|| "ID".to_owned(), |id| id.to_string());
    let text = match code {
        "no_project" => {
            "`autoforge-store init` makes a project there; --dir names another folder".into()
        }
        "not_found" | "unknown_dependency" => "`autoforge-store list` shows all features".into(),
        "no_such_schedule" | "too_many_schedules" => {
            "`autoforge-store schedules list` shows all schedules".into()
        }
        "unknown_conversation" => "`autoforge-store conversations list` shows all".into(),
        "unknown_project" => "`autoforge-store projects list` shows all".into(),
        "already_in_progress" => format!("`autoforge-store release {id}` gives the claim back"),
        "held_by_other" => format!(
            "its owner says --as, or --token; `autoforge-store claims {id}` tells who that is, and \
             --force takes it from them"
        ),
        "stale_token" => format!("`autoforge-store claims {id}` tells what became of it"),
        "out_of_attempts" => format!(
            "`autoforge-store explain {id}` tells why they failed, `autoforge-store retry {id}` \
             gives it another chance"
        ),
        "events_forgotten" => "`autoforge-store log` shows what is remembered".into(),
        "unknown_event" | "nothing_to_undo" | "claim_alone" | "already_undone" => {
            "`autoforge-store log` shows what happened".into()
        }
        "changed_since" => format!("`autoforge-store log {id}` shows what happened to it"),
        "several_agents" => "--agent says which one".into(),
        "has_dependents" => format!("`autoforge-store depends {id}` shows them"),
        "already_passing" => format!("`autoforge-store fail {id}` opens it again"),
        "waiting_for_human" => format!("`autoforge-store answer {id}` shows the question"),
        "conflict" => format!("`autoforge-store show {id}` tells its revision"),
        "request_changed" => format!("`autoforge-store answer {id}` shows what is asked now"),
        "no_such_dependency" => format!("`autoforge-store depends {id}` shows what it waits for"),
        "running" => "--force overrides the lock file".into(),
        "moved" => "the same command finds the file that is there now".into(),
        "unsafe_file_system" => "--allow-unsafe-file-system opens it for this host alone".into(),
        "corrupt" | "not_a_database" | "foreign_database" => {
            "`autoforge-store doctor` looks at it more closely".into()
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DependencyRefusal, FeatureRefusal, UpdateRefusal};

    #[test]
    fn a_refusal_keeps_its_code_and_its_features() {
        let id = FeatureId::from(7);
        let failed = Failed::from(Error::Refused(FeatureRefusal::AlreadyInProgress { id }));
        assert_eq!((failed.exit(), failed.retryable), (Exit::Conflict, true));
        assert_eq!(failed.to_json()["feature_ids"], json!([7]));
        assert!(failed.advice().unwrap().contains("release 7"));
    }

    #[test]
    fn each_kind_of_failure_has_its_own_exit() {
        let id = FeatureId::from(1);
        let missing = Failed::from(Error::Refused(DependencyRefusal::NotFound { id }));
        assert_eq!(missing.exit(), Exit::NotFound);
        let invalid = UpdateRefusal::from(crate::PriorityProblem::TooLow { priority: 0 });
        assert_eq!(Failed::from(Error::Refused(invalid)).exit(), Exit::Usage);
        let full = StorageError::MailboxFull { capacity: 1 };
        assert_eq!(Failed::from(full).exit(), Exit::Busy);
        let detail = "malformed".to_owned();
        let corrupt = StorageError::Corrupt { path: Path::new("x").into(), detail };
        assert_eq!(Failed::from(OpenError::Storage(corrupt)).exit(), Exit::Corrupt);
        assert_eq!(Failed::new("never_heard_of", "?").exit(), Exit::Failure);
    }
}
