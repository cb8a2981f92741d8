//! What the kinds of files have in common: tables and other parts as a declaration, by which a file
//! is recognised and added to.
//!
//! Only additions are ever made, in one transaction, and what other programs left is kept: columns
//! nobody uses any more, indexes under known names with other columns, tables of other tools.

use std::collections::{BTreeMap, BTreeSet};

use crate::tx::{Access, Read, Tx, Write};

/// How a kind of database is recognised and brought up to date.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// How transactions are made atomic in such a file.
    pub(crate) journal: Journal,
    /// What AutoForge's programs make. The first one tells the kind.
    pub(super) tables: &'static [Table],
    /// The rest of what a current file has.
    pub(super) parts: &'static [Part],
    /// Our own facts about the file, where it has a place for them.
    pub(super) facts: Option<Facts>,
    /// What is mended in rows.
    pub(super) upkeep: Option<Upkeep>,
}

/// How a kind of file makes transactions atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Journal {
    /// With a write-ahead log. A file without one gets it.
    Log,
    /// As the file does already; a new one with a rollback journal, as AutoForge makes it. The mode
    /// is AutoForge's business: we never change it.
    AsFound,
}

/// A table that AutoForge's programs make.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) create: &'static str,
    pub(super) columns: &'static [Column],
}

#[derive(Debug)]
pub(super) struct Column {
    name: &'static str,
    /// How a migration adds it; `None` for columns that every state of the file has.
    added_as: Option<&'static str>,
}

/// A column that every state of the file has.
pub(super) const fn original(name: &'static str) -> Column {
    Column { name, added_as: None }
}

/// A column that older files lack, declared as AutoForge's own migration declares it.
pub(super) const fn added(name: &'static str, declaration: &'static str) -> Column {
    Column { name, added_as: Some(declaration) }
}

/// An index, a trigger, or a table of our own.
#[derive(Debug)]
pub(super) struct Part {
    kind: &'static str,
    name: &'static str,
    definition: Definition,
}

#[derive(Debug)]
enum Definition {
    Sql(&'static str),
    Built(fn() -> String),
}

pub(super) const fn index(name: &'static str, sql: &'static str) -> Part {
    Part { kind: "index", name, definition: Definition::Sql(sql) }
}

pub(super) const fn trigger(name: &'static str, sql: &'static str) -> Part {
    Part { kind: "trigger", name, definition: Definition::Sql(sql) }
}

pub(super) const fn table(name: &'static str, sql: &'static str) -> Part {
    Part { kind: "table", name, definition: Definition::Sql(sql) }
}

/// A part whose definition is put together.
pub(super) const fn built(kind: &'static str, name: &'static str, sql: fn() -> String) -> Part {
    Part { kind, name, definition: Definition::Built(sql) }
}

/// Our own facts about a file, one row each in [`FACTS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The version of our own additions. Raised when a release adds something that an older release
    /// of this store must not write beside.
    pub(super) format: i64,
    /// The highest id that was ever deleted: an id is given out only above both it and every
    /// existing id.
    pub(super) id_floor: &'static str,
}

/// The place of our own facts, made among the [`Schema::parts`] of a kind that has any.
pub(super) const FACTS: Part = table(
    "autoforge_store",
    "CREATE TABLE autoforge_store (
    fact TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID",
);

/// What a migration mends in rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upkeep {
    /// Finds a row where there is something to do.
    pub(super) needed: &'static str,
    pub(super) run: fn(&Tx<'_, Write>) -> rusqlite::Result<()>,
}

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Up to date: opening it writes nothing.
    Current,
    /// New, empty, or of an older release.
    Outdated {
        /// It holds no table yet.
        empty: bool,
    },
    /// Another program's.
    Foreign {
        /// What tells.
        found: String,
    },
    /// Changed by a later release of this store.
    Newer {
        /// The file's format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
}

impl Schema {
    /// The table by which a file of this kind is known.
    pub(crate) const fn sign(&self) -> &'static str {
        match self.tables {
            [first, ..] => first.name,
            [] => "nothing",
        }
    }

    /// Decides on a snapshot, without writing.
    pub(crate) fn inspect(&self, tx: &Tx<'_, Read>) -> rusqlite::Result<Condition> {
        let objects = Objects::of(tx)?;
        if let Some(found) = self.foreign(tx, &objects)? {
            return Ok(Condition::Foreign { found });
        }
        if let Some(newer) = self.newer(tx, &objects)? {
            return Ok(newer);
        }
        let outdated = Condition::Outdated { empty: objects.is_empty() };
        if self.parts.iter().any(|part| !objects.has(part.kind, part.name)) {
            return Ok(outdated);
        }
        for table in self.tables {
            let present = columns(tx, table.name)?;
            if table.columns.iter().any(|column| !present.contains(column.name)) {
                return Ok(outdated);
            }
        }
        match self.upkeep {
            Some(upkeep) if tx.exists(upkeep.needed, [])? => Ok(outdated),
            _ => Ok(Condition::Current),
        }
    }

    /// Makes the file current, whatever old state it is in. Runs in one IMMEDIATE transaction after
    /// `inspect` has said [`Condition::Outdated`] in that same transaction.
    pub(crate) fn migrate(&self, tx: &Tx<'_, Write>) -> rusqlite::Result<()> {
        let objects = Objects::of(tx)?;
        for table in self.tables {
            if !objects.has("table", table.name) {
                tx.define(table.create)?;
                continue;
            }
            let present = columns(tx, table.name)?;
            for column in table.columns.iter().filter(|column| !present.contains(column.name)) {
                if let Some(declaration) = column.added_as {
                    tx.define(&format!(
                        "ALTER TABLE {} ADD COLUMN {} {declaration}",
                        table.name, column.name
                    ))?;
                }
            }
        }
        for part in self.parts.iter().filter(|part| !objects.has(part.kind, part.name)) {
            match part.definition {
                Definition::Sql(sql) => tx.define(sql)?,
                Definition::Built(build) => tx.define(&build())?,
            }
        }
        if let Some(Facts { format, id_floor }) = self.facts {
            tx.define(&format!(
                "INSERT OR IGNORE INTO autoforge_store (fact, value) VALUES ('{id_floor}', 0);
                 INSERT INTO autoforge_store (fact, value) VALUES ('format', {format})
                     ON CONFLICT (fact) DO UPDATE SET value = excluded.value;"
            ))?;
        }
        self.upkeep.map_or(Ok(()), |upkeep| (upkeep.run)(tx))
    }

    /// Whether the file belongs to somebody else: it has tables, but not ours, or tables under our
    /// names without the columns that every release had.
    fn foreign(&self, tx: &Tx<'_, Read>, objects: &Objects) -> rusqlite::Result<Option<String>> {
        let known = |name: &str| self.tables.iter().any(|table| table.name == name);
        let sign = self.sign();
        if !objects.has("table", sign) {
            let ours =
                |name: &str| known(name) || name.starts_with("sqlite_") || name == FACTS.name;
            if let Some(name) = objects.of_kind("table").find(|name| !ours(name)) {
                return Ok(Some(format!("it has a table {name} and no table {sign}")));
            }
            if objects.of_kind("view").next().is_some() {
                return Ok(Some(format!("it has views and no table {sign}")));
            }
        }
        for table in self.tables.iter().filter(|table| objects.has("table", table.name)) {
            let present = columns(tx, table.name)?;
            let missing = table
                .columns
                .iter()
                .find(|column| column.added_as.is_none() && !present.contains(column.name));
            if let Some(column) = missing {
                return Ok(Some(format!("its table {} has no column {}", table.name, column.name)));
            }
        }
        Ok(None)
    }

    /// Whether a later release has changed the file. One may also bring a place for facts to a kind
    /// that has none today.
    fn newer(&self, tx: &Tx<'_, Read>, objects: &Objects) -> rusqlite::Result<Option<Condition>> {
        if !objects.has(FACTS.kind, FACTS.name) {
            return Ok(None);
        }
        let sql = "SELECT value FROM autoforge_store WHERE fact = 'format'";
        let found: Option<i64> = tx.first(sql, [], |row| row.get(0))?;
        let known = self.facts.map_or(0, |facts| facts.format);
        Ok(found.filter(|found| *found > known).map(|found| Condition::Newer { found, known }))
    }
}

/// What a file's schema holds: names by kind.
struct Objects(BTreeMap<String, BTreeSet<String>>);

impl Objects {
    fn of<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Self> {
        let mut objects = BTreeMap::<String, BTreeSet<String>>::new();
        for (kind, name) in tx.all("SELECT type, name FROM sqlite_schema", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })? {
            objects.entry(kind).or_default().insert(name);
        }
        Ok(Self(objects))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.0.get(kind).into_iter().flatten().map(String::as_str)
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.0.get(kind).is_some_and(|names| names.contains(name))
    }
}

fn columns<A: Access>(tx: &Tx<'_, A>, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let names = tx.all("SELECT name FROM pragma_table_info(?1)", [table], |row| row.get(0))?;
    Ok(names.into_iter().collect())
}
