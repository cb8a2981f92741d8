//! The statements that name a set of a feature's columns. There is one text for each set, put together
//! when it is first wanted: SQLite's compiled statements are found by their text.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::types::{Field, Fields};

/// The columns of an event before its values, without its number and its fields.
const HEAD: &str =
    "at, kind, feature_id, claim, overrode, agent, session, pid, reason, command, undoes, fields";
/// How many parameters the head takes: `?1` to `?11`, the feature's id being `?3`. Values follow.
pub(super) const HEAD_PARAMETERS: usize = 11;

/// The statements about one set of fields. Values stand in the order of the columns.
#[derive(Debug)]
pub(super) struct ChangeSql {
    /// Gives the columns, and the id after them: with one that is always there, since the set may be
    /// empty. `?1` is the id.
    pub(super) read: String,
    /// Sets the columns: `?1` is the id, the values follow.
    pub(super) update: String,
    /// Writes an event down that changed all of them: after the head its old values, then its new ones.
    pub(super) note: String,
    /// Writes an event down for what these values, after the head, will change in the feature's row;
    /// none where they change nothing.
    pub(super) note_from_row: String,
    /// Writes an event down for a row that is there now, with what it holds.
    pub(super) note_appeared: String,
    /// The same for a row that will go.
    pub(super) note_vanishes: String,
}

impl ChangeSql {
    pub(super) fn of(fields: Fields) -> Rc<Self> {
        thread_local! {
            /// A connection stays on its thread.
            static TEXTS: RefCell<HashMap<Fields, Rc<ChangeSql>>> = RefCell::default();
        }
        let put_together = || Rc::new(Self::put_together(fields));
        let found = TEXTS.try_with(|texts| {
            Rc::clone(texts.borrow_mut().entry(fields).or_insert_with(put_together))
        });
        // A thread that ends has no texts any more.
        found.unwrap_or_else(|_| put_together())
    }

    fn put_together(fields: Fields) -> Self {
        let after = |at: usize| at + HEAD_PARAMETERS + 1;
        let count = fields.iter().count();
        let columns = list(fields, |_, field| format!("{field}, "));
        let sets = list(fields, |at, field| format!("{field} = ?{}, ", at + 2));
        let head = (1..=HEAD_PARAMETERS).fold(String::new(), |head, at| format!("{head}?{at}, "));
        let columns_of = |prefix| list(fields, |_, field| format!(", {prefix}{field}"));
        let [row, old_columns, new_columns] = ["", "old_", "new_"].map(columns_of);
        let old_and_new = format!("{old_columns}{new_columns}");
        let whole = |columns: &str| {
            format!(
                "INSERT INTO autoforge_events ({HEAD}{columns})
                 SELECT {head}{}{row} FROM features WHERE id = ?3",
                fields.bits()
            )
        };
        let given = (0..2 * count).fold(String::new(), |all, at| format!("{all}, ?{}", after(at)));
        let differs = |at, field| format!("{field} IS NOT ?{}", after(at));
        // Where there is one column alone, there is no event unless it differs.
        let if_changed = |at, field, value: String| match count {
            1 => format!(", {value}"),
            _ => format!(", CASE WHEN {} THEN {value} END", differs(at, field)),
        };
        let bits = list(fields, |at, field| {
            format!("{} * ({}) + ", Fields::of(&[field]).bits(), differs(at, field))
        });
        let old = list(fields, |at, field| if_changed(at, field, field.to_string()));
        let new = list(fields, |at, field| if_changed(at, field, format!("?{}", after(at))));
        let any = list(fields, |at, field| format!("{} OR ", differs(at, field)));
        Self {
            read: format!("SELECT {columns}id FROM features WHERE id = ?1"),
            update: format!(
                "UPDATE features SET {} WHERE id = ?1",
                sets.strip_suffix(", ").unwrap_or("id = id")
            ),
            note: format!(
                "INSERT INTO autoforge_events ({HEAD}{old_and_new}) VALUES ({head}{}{given})",
                fields.bits()
            ),
            note_from_row: format!(
                "INSERT INTO autoforge_events ({HEAD}{old_and_new})
                 SELECT {head}{bits}0{old}{new} FROM features WHERE id = ?3 AND ({any}0)"
            ),
            note_appeared: whole(&new_columns),
            note_vanishes: whole(&old_columns),
        }
    }
}

/// Something for each field, with its place among them.
fn list(fields: Fields, text: impl Fn(usize, Field) -> String) -> String {
    fields.iter().enumerate().map(|(at, field)| text(at, field)).collect()
}
