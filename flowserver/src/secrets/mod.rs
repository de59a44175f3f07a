//! Secrets: those of the environment, for all projects, and those that the server keeps, each for one
//! project.
//!
//! What is kept is sealed with the data key of the [`flowstore::Keyring`], bound to its project, name
//! and version. It is opened once, when it is noticed, and stays in memory: an execution that starts
//! or goes on does not wait for it.

mod kept;
mod keys;
mod name;

pub(crate) use kept::{KeptSecrets, Known, SaveError};
pub(crate) use keys::{KeyError, check_key_file, key_file, load_key, open_keyring};
pub(crate) use name::{MOST_VALUE, is_name};

use flowcore::Secrets;

/// The secrets in the environment.
pub(crate) fn of_environment() -> Secrets {
    let named = std::env::vars().filter_map(|(variable, value)| {
        Some(Secrets::named_by(&variable)?.map(|name| (name, value.clone().into())))
    });
    Secrets::new(named.flatten())
}
