//! The sealing key of the server: found at its start, or it does not start.

use std::path::{Path, PathBuf};

use flowruntime::store::StoreError;
use flowstore::{Home, Keyring, KeyringError, SealingKey, SealingKeyError, StoreUrl};

use crate::app::now;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("{path} is not used as a sealing key: {error}{hint}", hint = exposed(error))]
    File { path: PathBuf, error: SealingKeyError },
    #[error(
        "the store holds what is sealed, and its sealing key is missing; put the file back, or name \
         it with `--sealing-key FILE`; a new key could open nothing"
    )]
    Missing,
    #[error(
        "{0} is not the sealing key that this store was made with; put the right file there, or name \
         it with `--sealing-key FILE` (if `flowserver secrets rotate-key` was cut off, repeat it)"
    )]
    Wrong(PathBuf),
    #[error("{0}")]
    Other(KeyringError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn exposed(error: &SealingKeyError) -> &'static str {
    match error {
        SealingKeyError::Exposed { .. } => "; make it readable by its owner only (chmod 600)",
        _ => "",
    }
}

impl KeyError {
    pub(crate) fn of(error: KeyringError, file: Option<&Path>) -> Self {
        match error {
            KeyringError::Store(error) => Self::Store(error),
            KeyringError::Missing => Self::Missing,
            KeyringError::Wrong => Self::Wrong(file.map(Path::to_owned).unwrap_or_default()),
            other => Self::Other(other),
        }
    }
}

/// Where the key is: the file that is named, or the one beside a SQLite file.
pub(crate) fn key_file(url: &StoreUrl, named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| url.key_file())
}

/// The key in a file, which only its owner may read.
pub(crate) fn load_key(path: &Path) -> Result<SealingKey, KeyError> {
    SealingKey::load(path).map_err(|error| KeyError::File { path: path.to_owned(), error })
}

/// Looks at the key before the store does, which would take one that others may read.
pub(crate) fn check_key_file(url: &StoreUrl, named: Option<&Path>) -> Result<(), KeyError> {
    match key_file(url, named).filter(|file| named.is_some() || file.exists()) {
        Some(file) => load_key(&file).map(drop),
        None => Ok(()),
    }
}

/// The keys of a store that is open; `None` when there are none and no master key to make them with.
/// With `is_check`, none are made.
pub(crate) async fn open_keyring(
    home: &dyn Home,
    url: &StoreUrl,
    named: Option<&Path>,
    is_check: bool,
) -> Result<Option<Keyring>, KeyError> {
    let file = key_file(url, named);
    // A store that needs the file says so; one that is named has to be there.
    let file = file.filter(|file| named.is_some() || file.exists());
    let master = file.as_deref().map(load_key).transpose()?;
    let opened = match is_check {
        true => Keyring::find(home, master.as_ref()).await,
        false => Keyring::open(home, master.as_ref(), now()).await,
    };
    opened.map_err(|error| KeyError::of(error, file.as_deref()))
}
