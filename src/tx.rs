//! What a command may do with SQLite: query, and for a writing command, execute.
//!
//! A [`Tx`] is lent by the engine inside a transaction that the engine alone begins and ends. It
//! hands out no connection, so a command can neither commit nor change a setting, and a reading
//! command has no way to write.

mod change_sql;
mod circumstances;
mod claims;
mod events;
mod features;
mod index;
mod policy;
mod requests;

use std::cell::Cell;
use std::marker::PhantomData;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Params, Row};

use crate::types::{EventId, FeatureId, Signature, Stored, Timestamp};
pub use circumstances::Circumstances;
pub(crate) use claims::Standing;
pub(crate) use events::{EventOutline, Occasion};
pub(crate) use features::dependencies_in;
pub(crate) use index::SchedulingIndex;

mod sealed {
    pub trait Sealed {}
}

/// Whether a command writes: [`Read`] or [`Write`].
pub trait Access: sealed::Sealed + Send + 'static {
    /// It takes the write lock.
    const WRITES: bool;
}

/// The command only reads: it never waits for another process's write.
#[derive(Debug, Clone, Copy)]
pub enum Read {}

/// The command writes: it runs inside an IMMEDIATE transaction, in a savepoint of its own.
#[derive(Debug, Clone, Copy)]
pub enum Write {}

impl sealed::Sealed for Read {}
impl sealed::Sealed for Write {}

impl Access for Read {
    const WRITES: bool = false;
}

impl Access for Write {
    const WRITES: bool = true;
}

/// A transaction that the engine has begun and will end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction<'c> {
    connection: &'c Connection,
    circumstances: &'c Circumstances,
    index: Option<&'c SchedulingIndex>,
}

impl<'c> Transaction<'c> {
    /// Only the engine calls this, inside a transaction: an IMMEDIATE one for whoever writes.
    pub(crate) fn begun_on(connection: &'c Connection, circumstances: &'c Circumstances) -> Self {
        Self { connection, circumstances, index: None }
    }

    /// With the index of the connection, which has been told that the transaction has begun.
    pub(crate) fn with_index(self, index: &'c SchedulingIndex) -> Self {
        Self { index: Some(index), ..self }
    }
}

/// An open transaction, lent to a command for the time of its run.
#[derive(Debug)]
pub struct Tx<'c, A> {
    connection: &'c Connection,
    circumstances: &'c Circumstances,
    /// `None` where only what is in the file may count.
    index: Option<&'c SchedulingIndex>,
    signature: &'c Signature,
    /// The first event of the command.
    first_event: Cell<Option<EventId>>,
    access: PhantomData<A>,
}

impl<'c, A: Access> Tx<'c, A> {
    pub(crate) fn new(transaction: Transaction<'c>) -> Self {
        let Transaction { connection, circumstances, index } = transaction;
        let (signature, first_event) = (Signature::NONE, Cell::new(None));
        Self { connection, circumstances, index, signature, first_event, access: PhantomData }
    }

    /// The same transaction for a call that comes with this.
    pub(crate) fn signed<'s>(
        &'s self,
        signature: &'s Signature,
        circumstances: Option<&'s Circumstances>,
    ) -> Tx<'s, A> {
        Tx {
            connection: self.connection,
            circumstances: circumstances.unwrap_or(self.circumstances),
            index: self.index,
            signature,
            first_event: Cell::new(self.first_event.get()),
            access: PhantomData,
        }
    }

    /// What comes with the call.
    pub(crate) fn signature(&self) -> &'c Signature {
        self.signature
    }

    /// What is known of the world outside the file.
    pub(crate) fn circumstances(&self) -> &'c Circumstances {
        self.circumstances
    }

    /// Tells the index of the connection that a feature is about to change.
    fn touch(&self, id: FeatureId) {
        if let Some(index) = self.index {
            index.touch(id);
        }
    }

    /// The first row, where there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        rows.next()?.map(read).transpose()
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_map(params, read)?.collect()
    }

    /// Prepares a statement whose rows come one by one, or that is run many times.
    fn statement(&self, sql: &'static str) -> rusqlite::Result<CachedStatement<'_>> {
        self.connection.prepare_cached(sql)
    }

    /// Whether there is any row.
    pub(crate) fn exists(&self, sql: &'static str, params: impl Params) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(sql)?.exists(params)
    }
}

impl<'c> Tx<'c, Write> {
    /// Runs one statement that returns no rows; gives the number of changed rows.
    pub(crate) fn execute(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// As [`Tx::execute`], for a statement whose column names are put together from [`Field`]s.
    ///
    /// [`Field`]: crate::types::Field
    fn execute_built(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(params)
    }

    /// The id of the row that the last insertion made.
    pub(crate) fn inserted(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// Runs a statement once, for changes of the schema.
    pub(crate) fn define(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.execute_batch(sql)
    }

    /// The same transaction for reading alone.
    pub(crate) fn as_read(&self) -> Tx<'c, Read> {
        Tx {
            connection: self.connection,
            circumstances: self.circumstances,
            index: self.index,
            signature: self.signature,
            first_event: Cell::new(None),
            access: PhantomData,
        }
    }
}

/// Reading columns that other programs wrote: whatever stands there, a value comes back.
pub(crate) trait LenientRow {
    /// Text; numbers become their digits, NULL becomes empty, bad UTF-8 is replaced.
    fn text(&self, column: usize) -> rusqlite::Result<String>;
    /// Text, or `None` for NULL.
    fn optional_text(&self, column: usize) -> rusqlite::Result<Option<String>>;
    /// A whole number; what is none becomes `default`.
    fn integer(&self, column: usize, default: i64) -> rusqlite::Result<i64>;
    /// A whole number, or `None` for NULL and what is none.
    fn optional_integer(&self, column: usize) -> rusqlite::Result<Option<i64>>;
    /// A boolean: any number but zero is true, all else is false.
    fn boolean(&self, column: usize) -> rusqlite::Result<bool>;
    /// A time in UTC, in any form; `None` for NULL and what is no time.
    fn time(&self, column: usize) -> rusqlite::Result<Option<Timestamp>>;
    /// The value exactly as it stands there.
    fn stored(&self, column: usize) -> rusqlite::Result<Stored>;
}

impl LenientRow for Row<'_> {
    fn text(&self, column: usize) -> rusqlite::Result<String> {
        Ok(match self.get_ref(column)? {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        })
    }

    fn optional_text(&self, column: usize) -> rusqlite::Result<Option<String>> {
        if self.get_ref(column)? == ValueRef::Null {
            return Ok(None);
        }
        self.text(column).map(Some)
    }

    fn integer(&self, column: usize, default: i64) -> rusqlite::Result<i64> {
        Ok(match self.get_ref(column)? {
            ValueRef::Integer(number) => number,
            ValueRef::Text(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(default),
            // `as` saturates, which is what an absurd priority deserves.
            #[expect(clippy::cast_possible_truncation, reason = "saturation is intended")]
            ValueRef::Real(number) if number.is_finite() => number as i64,
            _ => default,
        })
    }

    fn optional_integer(&self, column: usize) -> rusqlite::Result<Option<i64>> {
        Ok(self.get_ref(column)?.as_i64().ok())
    }

    fn boolean(&self, column: usize) -> rusqlite::Result<bool> {
        Ok(match self.get_ref(column)? {
            ValueRef::Integer(number) => number != 0,
            ValueRef::Real(number) => number != 0.0,
            _ => false,
        })
    }

    fn time(&self, column: usize) -> rusqlite::Result<Option<Timestamp>> {
        let text = self.optional_text(column)?;
        Ok(text.and_then(|text| Timestamp::from_text(&text)))
    }

    fn stored(&self, column: usize) -> rusqlite::Result<Stored> {
        events::stored(self, column)
    }
}
