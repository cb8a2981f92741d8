//! `settings`. No command shows a secret, in no form.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Task;
use crate::cli::exit::Failed;
use crate::cli::home::HomeArgs;
use crate::cli::input;
use crate::cli::output::Answer;
use crate::cli::page::{Cell, Page, Tone};
use crate::cli::session::Session;
use crate::cli::view::{moment, moment_json};
use crate::{
    GetSetting, InvalidSetting, ListSettings, SetSettings, Setting, SettingChange, SettingKey,
    SettingValue,
};

const HEAD: &[&str] = &["Key", "Value", "Set (UTC)"];

/// Options of `settings`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    what: What,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
enum What {
    /// List all settings; of secrets, only whether they are set.
    List,
    /// Print a setting; of a secret, only that it is set. Exit code 3 where it is not.
    Get {
        /// Its key.
        key: String,
    },
    /// Set settings, all of them or none.
    Set(Set),
    /// Remove settings, so that their defaults hold again.
    Unset {
        /// Their keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
}

/// Options of `settings set`.
#[derive(Debug, Args)]
struct Set {
    /// Settings as KEY=VALUE; with --from the KEY alone.
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<Assignment>,
    /// Where the value of the one KEY is, without the end of its last line: a file, or `-` for stdin.
    /// So a secret is in no command line, which every user of a machine can read.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// One argument, which may hold a secret.
#[derive(Clone)]
struct Assignment(String);

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assignment(hidden)")
    }
}

impl FromStr for Assignment {
    type Err = std::convert::Infallible;

    /// Takes anything: a complaint of the parser of arguments would show it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl Task for SettingsArgs {
    fn run(&self, session: &mut Session<'_>) -> Result<Answer, Failed> {
        let home = self.home.folder()?;
        match &self.what {
            What::List => {
                let settings = match session.find_registry(&home)? {
                    Some(store) => {
                        let settings = store.call(ListSettings)?;
                        warn_of_readers(session, store.path(), &settings);
                        settings
                    }
                    None => Vec::new(),
                };
                Ok(list(&settings))
            }
            What::Get { key } => {
                let store = session.find_registry(&home)?;
                let get = GetSetting { key: key.clone() };
                let found = store.map(|store| store.call(get)).transpose()?.flatten();
                found.map(|setting| one(&setting)).ok_or_else(|| {
                    Failed::new("unknown_setting", format!("{key} is not set"))
                        .hint("`autoforge-store settings list` shows what is")
                })
            }
            What::Set(set) => {
                let changes = set.changes(session)?;
                self.change(session, changes)
            }
            What::Unset { keys } => {
                let keys = keys.iter().map(|key| SettingKey::new(key).map(SettingChange::remove));
                self.change(session, keys.collect::<Result<_, _>>().map_err(invalid)?)
            }
        }
    }
}

impl SettingsArgs {
    fn change(
        &self,
        session: &mut Session<'_>,
        changes: Vec<SettingChange>,
    ) -> Result<Answer, Failed> {
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let store = session.open_registry(&self.home.folder()?)?;
        let settings = store.call(SetSettings { changes })?;
        warn_of_readers(session, store.path(), &settings);
        let is_named = |setting: &&Setting| keys.contains(&setting.key);
        let data = json!({
            "changed": keys,
            "settings": settings.iter().filter(is_named).map(setting_json).collect::<Value>(),
        });
        let said = Cell::new(Tone::Good, "changed ");
        Ok(Answer::new(data, Page::default().line([said, Cell::plain(keys.join(", "))])))
    }
}

impl Set {
    fn changes(&self, session: &mut Session<'_>) -> Result<Vec<SettingChange>, Failed> {
        if let Some(from) = &self.from {
            let [Assignment(key)] = self.settings.as_slice() else {
                return Err(Failed::new("usage", "--from gives the value of one KEY"));
            };
            if key.contains('=') {
                return Err(Failed::new("usage", "--from gives the value, so name the KEY alone"));
            }
            let key = SettingKey::new(key).map_err(invalid)?;
            let text = read(from)?;
            return Ok(vec![SettingChange::set(key, text).map_err(invalid)?]);
        }
        let change = |(at, Assignment(text)): (usize, &Assignment)| {
            // The argument itself is not shown, since it may be a secret.
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failed::new("usage", format!("argument {} is no KEY=VALUE", at + 1))
                    .hint("--from FILE reads the value of a KEY from a file or, with -, from stdin")
            })?;
            let key = SettingKey::new(key).map_err(invalid)?;
            if key.is_secret() {
                session.warn(format!(
                    "every user of this machine could read the value of {key} in the command line; \
                     `settings set {key} --from -` reads it from stdin"
                ));
            }
            SettingChange::set(key, value).map_err(invalid)
        };
        self.settings.iter().enumerate().map(change).collect()
    }
}

/// The text of a file without the end of its last line.
fn read(from: &Path) -> Result<String, Failed> {
    let no_text = || Failed::new("invalid_input", format!("{} is no UTF-8 text", from.display()));
    let text = String::from_utf8(input::read(from)?).map_err(|_| no_text())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn invalid(problem: InvalidSetting) -> Failed {
    Failed::new("invalid_setting", problem)
}

/// AutoForge's programs make the file as readable as the system's defaults say.
fn warn_of_readers(session: &mut Session<'_>, database: &Path, settings: &[Setting]) {
    let secret = |setting: &Setting| matches!(setting.value, SettingValue::Secret(_));
    let mode = database.metadata().map_or(0, |file| file.permissions().mode());
    if settings.iter().any(secret) && mode & 0o077 != 0 {
        let shown = database.display();
        session.warn(format!(
            "{shown} holds a secret and can be read by others; `chmod 600` keeps it private"
        ));
    }
}

fn list(settings: &[Setting]) -> Answer {
    let is_set = |key: &str| settings.iter().any(|setting| setting.key == key);
    let unset = SettingKey::KNOWN.iter().copied().filter(|key| !is_set(key));
    let unset_json = |key: &str| json!({"key": key, "set": false});
    let rows = settings.iter().map(row);
    let unset_rows =
        unset.clone().map(|key| vec![Cell::plain(key), Cell::faint("not set"), Cell::faint("-")]);
    let page = Page::default().table(HEAD, rows.chain(unset_rows).collect());
    let all: Value = settings.iter().map(setting_json).chain(unset.map(unset_json)).collect();
    Answer::new(json!({"settings": all}), page)
}

fn one(setting: &Setting) -> Answer {
    Answer::new(setting_json(setting), Page::default().line([value_cell(setting)]))
}

fn value_cell(setting: &Setting) -> Cell {
    match &setting.value {
        SettingValue::Plain(text) => Cell::plain(text),
        SettingValue::Secret(_) => Cell::faint("set"),
    }
}

fn row(setting: &Setting) -> Vec<Cell> {
    let at = Cell::faint(moment(setting.updated_at));
    vec![Cell::strong(&setting.key), value_cell(setting), at]
}

fn setting_json(setting: &Setting) -> Value {
    json!({
        "key": setting.key,
        "set": true,
        "secret": setting.value.shown().is_none(),
        "value": setting.value.shown(),
        "updated_at": moment_json(setting.updated_at),
    })
}
