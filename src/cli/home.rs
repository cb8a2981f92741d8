//! Whose registry a command is about.

use std::path::PathBuf;

use clap::Args;

use super::exit::Failed;

/// The option that says where the registry lies. There is no variable for it, since AutoForge's
/// programs would not heed it and then read another registry than ours.
#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    /// The home folder in which the registry lies, in `.autoforge/`. Default: yours.
    #[arg(long, global = true, value_name = "FOLDER")]
    home: Option<PathBuf>,
}

impl HomeArgs {
    /// The folder, which need not exist.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failed> {
        let known = self.home.clone().or_else(std::env::home_dir);
        known.filter(|folder| !folder.as_os_str().is_empty()).ok_or_else(|| {
            Failed::new("usage", "it is not known where your home folder is")
                .hint("--home names the folder")
        })
    }
}
