//! What AutoForge's own programs do to the file, as plain data. This module knows the statements and
//! not how to run them: that is for whoever has a connection that is not a store's.

use crate::{FeatureId, Field, Stored};

use super::row::Row;

/// A statement of another program, which knows nothing of claims and history.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as what AutoForge does")]
pub enum Foreign {
    /// Puts a feature in progress if nobody works on it.
    Claim(i64),
    Pass(i64),
    Fail(i64),
    Skip {
        id: i64,
        to: i64,
    },
    Clear(i64),
    /// Clears all at once, as when agents have crashed.
    Reset,
    Ask(i64),
    Resolve(i64),
    /// A new feature of these values, and of others that do not matter.
    Insert {
        priority: i64,
        in_progress: bool,
        dependencies: Stored,
    },
    Delete(i64),
    /// Any other change of one column.
    Set {
        id: i64,
        field: Field,
        value: Stored,
    },
}

impl Foreign {
    /// The statement and its parameters.
    #[must_use]
    pub fn statement(&self) -> (String, Vec<Stored>) {
        let values = self.values();
        let id = |id: i64| Stored::Integer(id);
        let params = values.iter().map(|(_, value)| value.clone());
        if let Self::Delete(of) = self {
            return ("DELETE FROM features WHERE id = ?".to_owned(), vec![id(*of)]);
        }
        if let Self::Insert { .. } = self {
            let columns: Vec<&str> = values.iter().map(|(field, _)| field.as_str()).collect();
            let places = vec!["?"; values.len()];
            // Beyond the highest id SQLite would choose one at random.
            let sql = format!(
                "INSERT INTO features ({}) SELECT {} WHERE
                     (SELECT coalesce(max(id), 0) FROM features) < {}",
                columns.join(", "),
                places.join(", "),
                i64::MAX,
            );
            return (sql, params.collect());
        }
        let sets: Vec<String> = values.iter().map(|(field, _)| format!("{field} = ?")).collect();
        let (condition, of) = self.condition();
        let sql = format!("UPDATE features SET {} WHERE {condition}", sets.join(", "));
        (sql, params.chain(of.map(id)).collect())
    }

    /// Which rows it changes, and the id that this asks for.
    fn condition(&self) -> (&'static str, Option<i64>) {
        match self {
            Self::Claim(id) => {
                ("passes = 0 AND in_progress = 0 AND needs_human_input = 0 AND id = ?", Some(*id))
            }
            Self::Ask(id) => ("passes = 0 AND in_progress = 1 AND id = ?", Some(*id)),
            Self::Resolve(id) => ("needs_human_input = 1 AND id = ?", Some(*id)),
            Self::Pass(id)
            | Self::Fail(id)
            | Self::Skip { id, .. }
            | Self::Clear(id)
            | Self::Delete(id)
            | Self::Set { id, .. } => ("id = ?", Some(*id)),
            Self::Reset => ("in_progress = 1", None),
            Self::Insert { .. } => ("", None),
        }
    }

    /// Whether it changes this row.
    pub(super) fn is_for(&self, id: FeatureId, row: &Row) -> bool {
        let is = |field, number| *row.get(field) == Stored::Integer(number);
        let is_free = match self {
            Self::Claim(_) => {
                let flags = [Field::Passes, Field::InProgress, Field::NeedsHumanInput];
                flags.into_iter().all(|flag| is(flag, 0))
            }
            Self::Ask(_) => is(Field::Passes, 0) && is(Field::InProgress, 1),
            Self::Resolve(_) => is(Field::NeedsHumanInput, 1),
            Self::Reset => is(Field::InProgress, 1),
            _ => true,
        };
        is_free && self.condition().1.is_none_or(|of| id.get() == of)
    }

    /// What it writes.
    pub(super) fn values(&self) -> Vec<(Field, Stored)> {
        let flag = |field, value: bool| (field, Stored::Integer(value.into()));
        let text = |field, text: &str| (field, Stored::Text(text.to_owned()));
        match self {
            Self::Claim(_) => vec![flag(Field::InProgress, true)],
            Self::Pass(_) => vec![flag(Field::Passes, true), flag(Field::InProgress, false)],
            Self::Fail(_) => vec![flag(Field::Passes, false), flag(Field::InProgress, false)],
            Self::Skip { to, .. } => {
                vec![(Field::Priority, Stored::Integer(*to)), flag(Field::InProgress, false)]
            }
            Self::Clear(_) | Self::Reset => vec![flag(Field::InProgress, false)],
            Self::Ask(_) => vec![
                flag(Field::NeedsHumanInput, true),
                flag(Field::InProgress, false),
                text(Field::HumanInputRequest, r#"{"prompt": "?", "fields": []}"#),
                (Field::HumanInputResponse, Stored::Null),
            ],
            Self::Resolve(_) => vec![
                flag(Field::NeedsHumanInput, false),
                text(Field::HumanInputResponse, r#"{"fields": {"a": "b"}}"#),
            ],
            Self::Insert { priority, in_progress, dependencies } => vec![
                (Field::Priority, Stored::Integer(*priority)),
                text(Field::Category, "c"),
                text(Field::Name, "made by another program"),
                text(Field::Description, ""),
                text(Field::Steps, "[]"),
                flag(Field::Passes, false),
                flag(Field::InProgress, *in_progress),
                (Field::Dependencies, dependencies.clone()),
                flag(Field::NeedsHumanInput, false),
            ],
            Self::Delete(_) => Vec::new(),
            Self::Set { field, value, .. } => vec![(*field, value.clone())],
        }
    }
}
