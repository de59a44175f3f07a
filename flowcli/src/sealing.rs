//! The sealing key of the command line.

use std::path::PathBuf;
use std::sync::Arc;

use flowstore::SealingKey;

use crate::error::CliError;

/// With which key what comes from secrets is kept.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SealingArgs {
    /// A file with 32 random bytes, for the eyes of its owner only: what comes from secrets is sealed
    /// with it in the store. A SQLite file brings a key of its own.
    #[arg(long, value_name = "FILE", env = "FLOW_SEALING_KEY_FILE")]
    #[arg(help_heading = "Store")]
    pub(crate) sealing_key: Option<PathBuf>,
}

impl SealingArgs {
    /// The key, if one is given. None is ever made: every process that shares a store needs the same.
    pub(crate) fn key(&self) -> Result<Option<Arc<SealingKey>>, CliError> {
        let Some(path) = &self.sealing_key else { return Ok(None) };
        let failed = |source| CliError::SealingKey { path: path.clone(), source };
        SealingKey::load(path).map(|key| Some(Arc::new(key))).map_err(failed)
    }

    /// What commands need to find the key again: ` --sealing-key FILE`, if it stands on this command
    /// line.
    pub(crate) fn again(&self) -> String {
        let variable = std::env::var_os("FLOW_SEALING_KEY_FILE");
        match &self.sealing_key {
            Some(path) if variable.as_deref() != Some(path.as_os_str()) => {
                format!(" --sealing-key {}", path.display())
            }
            _ => String::new(),
        }
    }
}
