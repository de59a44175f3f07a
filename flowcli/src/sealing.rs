//! The sealing key of the command line.

use std::path::PathBuf;
use std::sync::Arc;

use flowcore::value::Seal;
use flowstore::{Catalog, Keyring, KeyringError, SealingKey, SealingKeyError};

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
    pub(crate) fn key(&self) -> Result<Option<SealingKey>, CliError> {
        let Some(path) = &self.sealing_key else { return Ok(None) };
        SealingKey::load(path).map(Some).map_err(|source| self.refused(source))
    }

    /// What seals in a store that is given this key: the keys of a server that it opens, or the key
    /// itself.
    pub(crate) async fn of_store(
        &self,
        catalog: &dyn Catalog,
        key: SealingKey,
    ) -> Result<Arc<dyn Seal>, CliError> {
        match Keyring::find(catalog, Some(&key)).await {
            Ok(Some(keyring)) => Ok(Arc::new(keyring)),
            Ok(None) => Ok(Arc::new(key)),
            Err(KeyringError::Store(error)) => Err(error.into()),
            Err(_) => Err(self.refused(SealingKeyError::OfAnotherStore)),
        }
    }

    fn refused(&self, source: SealingKeyError) -> CliError {
        CliError::SealingKey { path: self.sealing_key.clone().unwrap_or_default(), source }
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
