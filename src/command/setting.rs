//! The settings of a machine.

use std::collections::BTreeSet;
use std::convert::Infallible;

use rusqlite::Row;

use super::Command;
use crate::database::Registry;
use crate::error::{Failure, Refusal};
use crate::tx::{Access, LenientRow, Read, Tx, Write};
use crate::types::{Setting, SettingChange, SettingValue};

/// One setting; `None` where nobody has set it, so that its default holds.
#[derive(Debug, Clone)]
pub struct GetSetting {
    /// Its key.
    pub key: String,
}

impl Command for GetSetting {
    const NAME: &'static str = "get_setting";
    type Database = Registry;
    type Access = Read;
    type Output = Option<Setting>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Option<Setting>, Failure<Infallible>> {
        let sql = "SELECT key, value, updated_at FROM settings WHERE key = ?1";
        Ok(tx.first(sql, [&self.key], setting)?)
    }
}

/// All settings, by key.
#[derive(Debug, Clone, Copy)]
pub struct ListSettings;

impl Command for ListSettings {
    const NAME: &'static str = "list_settings";
    type Database = Registry;
    type Access = Read;
    type Output = Vec<Setting>;
    type Rejection = Infallible;

    fn run(&self, tx: &Tx<'_, Read>) -> Result<Vec<Setting>, Failure<Infallible>> {
        Ok(all(tx)?)
    }
}

/// Why [`SetSettings`] changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingRefusal {
    /// It is not clear which of two changes is meant.
    #[error("setting {key} is named twice; nothing was changed")]
    Repeated {
        /// Which one.
        key: String,
    },
}

impl Refusal for SettingRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Repeated { .. } => "repeated_setting",
        }
    }
}

/// Sets and removes settings, all or none of them, and gives all settings as they are then.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// use autoforge_store::{Registry, SetSettings, SettingChange, SettingKey, Store};
///
/// let store = Store::<Registry>::open_registry(dir.path())?;
/// let set = |key, value| SettingChange::set(SettingKey::new(key)?, value);
/// let changes = vec![set("api_provider", "custom")?, set("api_auth_token", "sk-123")?];
/// let settings = store.call(SetSettings { changes })?;
/// assert_eq!(settings[0].value.shown(), None);
/// assert_eq!(settings[1].value.shown(), Some("custom"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SetSettings {
    /// What becomes of each, which may be named once.
    pub changes: Vec<SettingChange>,
}

impl Command for SetSettings {
    const NAME: &'static str = "set_settings";
    type Database = Registry;
    type Access = Write;
    type Output = Vec<Setting>;
    type Rejection = SettingRefusal;

    fn run(&self, tx: &Tx<'_, Write>) -> Result<Vec<Setting>, Failure<SettingRefusal>> {
        let mut keys = BTreeSet::new();
        if let Some(twice) = self.changes.iter().find(|change| !keys.insert(change.key())) {
            let key = twice.key().to_string();
            return Err(Failure::Refused(SettingRefusal::Repeated { key }));
        }
        let now = tx.circumstances().moment().wall.to_sqlite_text();
        for change in &self.changes {
            let key = change.key().as_str();
            match change.value() {
                Some(value) => tx.execute(
                    "INSERT INTO settings (key, value, updated_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key) DO UPDATE
                     SET value = excluded.value, updated_at = excluded.updated_at",
                    (key, value.reveal(), &now),
                )?,
                None => tx.execute("DELETE FROM settings WHERE key = ?1", [key])?,
            };
        }
        Ok(all(tx)?)
    }
}

fn all<A: Access>(tx: &Tx<'_, A>) -> rusqlite::Result<Vec<Setting>> {
    tx.all("SELECT key, value, updated_at FROM settings ORDER BY key", [], setting)
}

fn setting(row: &Row<'_>) -> rusqlite::Result<Setting> {
    let key = row.text(0)?;
    let value = SettingValue::stored(&key, row.text(1)?);
    Ok(Setting { key, value, updated_at: row.time(2)? })
}
