//! What happened to a feature, in words.

use serde_json::Value;

use super::page::{Cell, Tone};
use super::time;
use super::view::insert;
use crate::{Change, Effect, Event, EventKind, Field, Stored, Timestamp};

/// A value of at most so many characters is shown; of a longer one, how long it is.
const SHORT: usize = 40;

/// The heads of [`row`].
pub(crate) const HEAD: &[&str] = &["Event", "When", "ID", "Name", "What happened", "Who"];

/// An event as a row: its number, when, the feature and its name, what happened, and who did it.
pub(crate) fn row(event: &Event, name: Option<&str>, when: Cell) -> Vec<Cell> {
    let feature = Cell::strong(event.feature).for_people(format_args!("#{}", event.feature));
    vec![
        Cell::faint(event.id),
        when,
        feature,
        Cell::plain(name.unwrap_or("")),
        Cell::new(tone(event.kind), what(event)),
        Cell::faint(who(event)),
    ]
}

/// The time of an event that was a while ago.
pub(crate) fn when(event: &Event, now: Timestamp) -> Cell {
    time::cell(event.at, now)
}

/// The time of an event that has just happened.
pub(crate) fn just_now(event: &Event) -> Cell {
    Cell::faint(time::absolute(event.at))
}

/// The event as the tools show it, and the name of its feature.
pub(crate) fn json(event: &Event, name: Option<&str>) -> Value {
    let mut data = event.to_json();
    insert(&mut data, "name", name.into());
    data
}

/// The name that an event itself tells: the one that the feature has since, or had last.
pub(crate) fn name_in(event: &Event) -> Option<&str> {
    let change = event.changes.iter().find(|change| change.field == Field::Name)?;
    match (&change.after, &change.before) {
        (Stored::Text(name), _) | (Stored::Null, Stored::Text(name)) => Some(name),
        _ => None,
    }
}

fn tone(kind: EventKind) -> Tone {
    match kind {
        EventKind::Passed => Tone::Good,
        EventKind::Claimed => Tone::Active,
        EventKind::Asked | EventKind::Expired | EventKind::Died => Tone::Attention,
        EventKind::Failed | EventKind::Deleted | EventKind::Withdrawn => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// What happened, with the values that are short enough.
pub(crate) fn what(event: &Event) -> String {
    let done = match event.undoes {
        Some(target) if event.kind == EventKind::Undone => format!("took back event {target}"),
        Some(target) => format!("{}, taking back event {target}", verb(event.kind)),
        None => verb(event.kind).to_owned(),
    };
    let changes = match event.kind.effect() {
        Effect::Changes => event.changes.as_slice(),
        Effect::Creates | Effect::Removes => &[],
    };
    let told = changes.iter().filter(|change| !is_implied(event.kind, change.field));
    let told: Vec<String> = told.map(change_text).collect();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    let reason = event.reason.as_ref().map(|reason| format!("; reason: {reason}"));
    format!("{done}{told}{}", reason.unwrap_or_default())
}

/// Who did it, and under which claim.
pub(crate) fn who(event: &Event) -> String {
    let by = match (&event.agent, &event.session, event.pid) {
        (Some(agent), Some(session), _) => format!("{agent} ({session})"),
        (Some(agent), None, _) => agent.clone(),
        (None, _, Some(pid)) => format!("process {pid}"),
        (None, _, None) => "another program".to_owned(),
    };
    let claim = event.claim.map(|claim| format!(", claim {claim}")).unwrap_or_default();
    format!("{by}{claim}{}", if event.overrode { ", overrode its owner" } else { "" })
}

fn verb(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Created => "created",
        EventKind::Imported => "imported",
        EventKind::Claimed => "claimed",
        EventKind::Released => "released",
        EventKind::Expired => "claim over: its lease ran out",
        EventKind::Died => "claim over: its process died",
        EventKind::Passed => "passes",
        EventKind::Failed => "fails",
        EventKind::Skipped => "put off",
        EventKind::Asked => "asks a human",
        EventKind::Answered => "answered",
        EventKind::Edited => "edited",
        EventKind::Depends => "waits for others",
        EventKind::Retried => "failures forgotten",
        EventKind::Deleted => "deleted",
        EventKind::Restored => "restored",
        EventKind::Withdrawn => "withdrawn",
        _ => "changed",
    }
}

/// Whether what happened says already what became of the field.
fn is_implied(kind: EventKind, field: Field) -> bool {
    match field {
        Field::InProgress => kind != EventKind::Changed,
        Field::Passes => matches!(kind, EventKind::Passed | EventKind::Failed),
        Field::NeedsHumanInput => matches!(kind, EventKind::Asked | EventKind::Answered),
        _ => false,
    }
}

/// `priority 3 → 7`; what is long is told by its length.
pub(crate) fn change_text(change: &Change) -> String {
    let field = change.field.as_str();
    let values = [&change.before, &change.after];
    if let [Some(before), Some(after)] = values.map(|value| short(change.field, value)) {
        return format!("{field} {before} → {after}");
    }
    let [before, after] = values.map(|value| text_of(value).chars().count());
    format!("{field} ({before} → {after} characters)")
}

/// A value in few characters; `None` where it takes more.
fn short(field: Field, value: &Stored) -> Option<String> {
    let is_flag = matches!(field, Field::Passes | Field::InProgress | Field::NeedsHumanInput);
    let text = match value {
        Stored::Null => "none".to_owned(),
        Stored::Integer(0) if is_flag => "no".to_owned(),
        Stored::Integer(_) if is_flag => "yes".to_owned(),
        Stored::Integer(number) => number.to_string(),
        Stored::Real(number) => number.to_string(),
        // Those columns hold JSON, which needs no quotes of ours.
        other if is_json(field) => text_of(other),
        other => format!("{:?}", text_of(other)),
    };
    (text.chars().count() <= SHORT).then_some(text)
}

fn is_json(field: Field) -> bool {
    matches!(
        field,
        Field::Steps | Field::Dependencies | Field::HumanInputRequest | Field::HumanInputResponse
    )
}

/// The value as text; empty for NULL.
pub(crate) fn text_of(value: &Stored) -> String {
    match value.to_json() {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventId, FenceToken};

    fn event(kind: EventKind, changes: Vec<(Field, Stored, Stored)>) -> Event {
        let change = |(field, before, after)| Change { field, before, after };
        Event {
            id: EventId::from(9),
            at: Timestamp::from_microseconds(0).unwrap(),
            feature: 7.into(),
            kind,
            agent: None,
            session: None,
            pid: None,
            claim: None,
            overrode: false,
            reason: None,
            command: EventId::from(9),
            undoes: None,
            changes: changes.into_iter().map(change).collect(),
        }
    }

    fn text(text: &str) -> Stored {
        Stored::Text(text.to_owned())
    }

    #[test]
    fn short_values_are_told_and_long_ones_are_measured() {
        let flag = |before, after| (Field::Passes, Stored::Integer(before), Stored::Integer(after));
        let claim = (Field::InProgress, Stored::Integer(1), Stored::Integer(0));
        let priority = (Field::Priority, Stored::Integer(3), Stored::Integer(7));
        assert_eq!(what(&event(EventKind::Passed, vec![flag(0, 1), claim.clone()])), "passes");
        let skipped = event(EventKind::Skipped, vec![priority, claim]);
        assert_eq!(what(&skipped), "put off: priority 3 → 7");
        let edited = event(
            EventKind::Edited,
            vec![
                (Field::Name, text("a\"b"), text("c")),
                (Field::Description, text(&"é".repeat(50)), text("short")),
                (Field::Dependencies, Stored::Null, text("[1, 2]")),
            ],
        );
        let expected = "edited: name \"a\\\"b\" → \"c\", description (50 → 5 characters), \
                        dependencies none → [1, 2]";
        assert_eq!(what(&edited), expected);
        assert_eq!(name_in(&edited), Some("c"));
        let mut undone = event(EventKind::Undone, vec![flag(1, 0)]);
        (undone.undoes, undone.reason) = (Some(EventId::from(4)), Some("a slip".to_owned()));
        assert_eq!(what(&undone), "took back event 4: passes yes → no; reason: a slip");
    }

    #[test]
    fn what_comes_or_goes_is_not_told_column_by_column() {
        let name = (Field::Name, text("Cart"), Stored::Null);
        let deleted = event(EventKind::Deleted, vec![name]);
        assert_eq!((what(&deleted).as_str(), name_in(&deleted)), ("deleted", Some("Cart")));
    }

    #[test]
    fn who_did_it_is_told_as_far_as_it_is_known() {
        let mut event = event(EventKind::Released, Vec::new());
        assert_eq!(who(&event), "another program");
        event.pid = Some(12);
        assert_eq!(who(&event), "process 12");
        (event.agent, event.session) = (Some("bob".to_owned()), Some("cli".to_owned()));
        (event.claim, event.overrode) = (Some(FenceToken::from(3)), true);
        assert_eq!(who(&event), "bob (cli), claim 3, overrode its owner");
    }
}
