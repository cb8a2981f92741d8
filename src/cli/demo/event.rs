//! What a worker tells its parent: one line of JSON for each event.

use serde_json::{Value, json};

/// Something that happened in a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Microseconds of the machine's monotonic clock, which all processes share.
    pub(super) at: u64,
    /// For an answered call, the microseconds it took.
    pub(super) took: Option<u64>,
    pub(super) what: What,
}

/// A request is announced before it is sent, and its answer reported after it came. So between
/// `Claimed` and `Passes` or `GivesUp` the worker certainly holds the feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The worker's server answers.
    Ready { server: u32 },
    /// It asks for a feature.
    Asks,
    /// It got one.
    Claimed { id: i64, name: String },
    /// There is none at the moment.
    Waits,
    /// It is about to put the feature off or to give it back.
    GivesUp { id: i64 },
    /// It has done so.
    GaveUp { id: i64 },
    /// It is about to mark the feature as passing.
    Passes { id: i64 },
    /// The server has acknowledged that.
    Passed { id: i64 },
    /// The server has refused a call that it should not have refused.
    Refused { message: String },
    /// Everything passes, and the worker's server has ended.
    Done,
    /// The worker cannot go on.
    Failed { message: String },
}

impl Event {
    pub(super) fn now(what: What, took: Option<u64>) -> Self {
        Self { at: now(), took, what }
    }

    pub(super) fn to_line(&self) -> String {
        let mut line = match &self.what {
            What::Ready { server } => json!({"event": "ready", "server": server}),
            What::Asks => json!({"event": "asks"}),
            What::Claimed { id, name } => json!({"event": "claimed", "feature": id, "name": name}),
            What::Waits => json!({"event": "waits"}),
            What::GivesUp { id } => json!({"event": "gives_up", "feature": id}),
            What::GaveUp { id } => json!({"event": "gave_up", "feature": id}),
            What::Passes { id } => json!({"event": "passes", "feature": id}),
            What::Passed { id } => json!({"event": "passed", "feature": id}),
            What::Refused { message } => json!({"event": "refused", "message": message}),
            What::Done => json!({"event": "done"}),
            What::Failed { message } => json!({"event": "failed", "message": message}),
        };
        if let Value::Object(members) = &mut line {
            members.insert("at".to_owned(), self.at.into());
            if let Some(took) = self.took {
                members.insert("took".to_owned(), took.into());
            }
        }
        line.to_string()
    }

    /// `None` for a line that is no event, such as half a line of a killed worker.
    pub(super) fn from_line(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let id = || value.get("feature")?.as_i64();
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let what = match value.get("event")?.as_str()? {
            "ready" => What::Ready { server: u32::try_from(value.get("server")?.as_u64()?).ok()? },
            "asks" => What::Asks,
            "claimed" => What::Claimed { id: id()?, name: text("name")? },
            "waits" => What::Waits,
            "gives_up" => What::GivesUp { id: id()? },
            "gave_up" => What::GaveUp { id: id()? },
            "passes" => What::Passes { id: id()? },
            "passed" => What::Passed { id: id()? },
            "refused" => What::Refused { message: text("message")? },
            "done" => What::Done,
            "failed" => What::Failed { message: text("message")? },
            _ => return None,
        };
        let took = value.get("took").and_then(Value::as_u64);
        Some(Self { at: value.get("at")?.as_u64()?, took, what })
    }
}

/// Microseconds since some point before the machine's start, the same for all processes.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanoseconds / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_reads_back() {
        let message = || "it \"broke\"\n".to_owned();
        for what in [
            What::Ready { server: 7 },
            What::Asks,
            What::Claimed { id: 3, name: message() },
            What::Waits,
            What::GivesUp { id: 3 },
            What::GaveUp { id: 3 },
            What::Passes { id: 3 },
            What::Passed { id: 3 },
            What::Refused { message: message() },
            What::Done,
            What::Failed { message: message() },
        ] {
            let event = Event::now(what, Some(12));
            assert_eq!(Event::from_line(&event.to_line()).as_ref(), Some(&event));
        }
    }

    #[test]
    fn half_a_line_is_no_event() {
        let line = Event::now(What::Passed { id: 3 }, None).to_line();
        assert_eq!(Event::from_line(&line[..line.len() / 2]), None);
    }
}
