//! The file as any SQLite program sees it: tables, claims and events as they are stored, read by
//! nothing of the library.

use std::collections::BTreeMap;
use std::fmt;

use autoforge_store::testing::Row;
use autoforge_store::{FeatureId, Field, Stored};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

/// A value by its storage class and its bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(number) => number.fmt(f),
            Self::Real(bits) => f64::from_bits(*bits).fmt(f),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).fmt(f),
            Self::Blob(bytes) => write!(f, "x{bytes:02x?}"),
        }
    }
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number.to_bits()),
            ValueRef::Text(bytes) => Self::Text(bytes.to_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl From<&Stored> for Cell {
    fn from(value: &Stored) -> Self {
        match value {
            Stored::Null => Self::Null,
            Stored::Integer(number) => Self::Integer(*number),
            Stored::Real(number) => Self::Real(number.to_bits()),
            Stored::Text(text) => Self::Text(text.clone().into_bytes()),
            Stored::BadText(bytes) => Self::Text(bytes.clone()),
            Stored::Blob(bytes) => Self::Blob(bytes.clone()),
        }
    }
}

impl Cell {
    /// Whether a trigger takes it for true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Integer(number) => *number != 0,
            Self::Real(bits) => f64::from_bits(*bits) != 0.0,
            Self::Text(_) | Self::Blob(_) => true,
        }
    }
}

/// Each column of a feature but its id.
pub(crate) type Cells = BTreeMap<Field, Cell>;

/// The table of features by id.
pub(crate) type Table = BTreeMap<i64, Cells>;

fn columns(prefix: &str) -> String {
    Field::ALL.map(|field| format!("{prefix}{field}")).join(", ")
}

fn cells(row: &rusqlite::Row<'_>, first: usize) -> Result<Cells> {
    let cell = |(at, field)| Ok((field, Cell::from(row.get_ref(first + at)?)));
    Field::ALL.into_iter().enumerate().map(cell).collect()
}

pub(crate) fn table(file: &Connection) -> Result<Table> {
    let sql = format!("SELECT id, {} FROM features", columns(""));
    let mut statement = file.prepare_cached(&sql)?;
    statement.query_map([], |row| Ok((row.get(0)?, cells(row, 1)?)))?.collect()
}

/// The table that the model has.
pub(crate) fn table_of(rows: &BTreeMap<FeatureId, Row>) -> Table {
    let cells = |row: &Row| Field::ALL.map(|field| (field, row.get(field).into())).into();
    rows.iter().map(|(id, row)| (id.get(), cells(row))).collect()
}

/// A row of `autoforge_events`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredEvent {
    pub(crate) id: i64,
    pub(crate) feature: i64,
    pub(crate) kind: String,
    pub(crate) fields: i64,
    pub(crate) claim: Option<i64>,
    pub(crate) overrode: i64,
    /// `None` where another program made it.
    pub(crate) pid: Option<i64>,
    pub(crate) before: Cells,
    pub(crate) after: Cells,
}

impl StoredEvent {
    /// The columns that it says it changed.
    pub(crate) fn changed(&self) -> impl Iterator<Item = Field> {
        let bit = |at: usize| self.fields & (1 << at) != 0;
        Field::ALL.into_iter().enumerate().filter(move |(at, _)| bit(*at)).map(|(_, field)| field)
    }
}

pub(crate) fn events(file: &Connection) -> Result<Vec<StoredEvent>> {
    let sql = format!(
        "SELECT id, feature_id, kind, fields, claim, overrode, pid, {}, {}
         FROM autoforge_events ORDER BY id",
        columns("old_"),
        columns("new_"),
    );
    let mut statement = file.prepare_cached(&sql)?;
    let event = |row: &rusqlite::Row<'_>| {
        Ok(StoredEvent {
            id: row.get(0)?,
            feature: row.get(1)?,
            kind: row.get(2)?,
            fields: row.get(3)?,
            claim: row.get(4)?,
            overrode: row.get(5)?,
            pid: row.get(6)?,
            before: cells(row, 7)?,
            after: cells(row, 7 + Field::ALL.len())?,
        })
    };
    statement.query_map([], event)?.collect()
}

/// What a row of `autoforge_claims` says of whom it is and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClaim {
    pub(crate) feature: i64,
    pub(crate) agent: Option<String>,
    pub(crate) taken_at: i64,
    pub(crate) outcome: Option<String>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) reason: Option<String>,
}

/// All claims by token.
pub(crate) fn claims(file: &Connection) -> Result<BTreeMap<i64, StoredClaim>> {
    let mut statement = file.prepare_cached(
        "SELECT token, feature_id, agent, taken_at, outcome, ended_at, reason
         FROM autoforge_claims",
    )?;
    let claim = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get(0)?,
            StoredClaim {
                feature: row.get(1)?,
                agent: row.get(2)?,
                taken_at: row.get(3)?,
                outcome: row.get(4)?,
                ended_at: row.get(5)?,
                reason: row.get(6)?,
            },
        ))
    };
    statement.query_map([], claim)?.collect()
}

/// The last token that was ever given out.
pub(crate) fn last_token(file: &Connection) -> Result<i64> {
    let sql = "SELECT coalesce(max(token), 0) FROM autoforge_claims";
    file.query_row(sql, [], |row| row.get(0))
}

/// Counted failures by feature.
pub(crate) fn failures(file: &Connection) -> Result<BTreeMap<i64, i64>> {
    let mut statement =
        file.prepare_cached("SELECT feature_id, failures FROM autoforge_budgets")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
