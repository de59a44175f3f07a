//! The token of the operator: made at the first start, in a file that only its owner reads.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flowcore::ProjectId;
use flowruntime::store::StoreError;
use uuid::Uuid;

use crate::app::{App, now};
use crate::audit;
use crate::auth::{Role, Token, TokenRecord};

/// What the token is called in events and in the audit log.
const NAME: &str = "operator";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{path} cannot be used: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{0} holds no token; remove it, and the next start makes a new one")]
    NoToken(PathBuf),
    #[error("{0} may be read by others; make it readable by its owner only (chmod 600)")]
    Open(PathBuf),
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sees to it that the token in `<data-dir>/token` is valid; makes it when there is none. Gives the
/// file.
pub(crate) async fn ensure(app: &App, data_dir: &Path) -> Result<PathBuf, TokenError> {
    let path = data_dir.join("token");
    let at = |error| TokenError::File { path: path.clone(), error };
    let token = match fs::read_to_string(&path) {
        Ok(text) => {
            if is_open(&path).map_err(at)? {
                return Err(TokenError::Open(path));
            }
            text.trim().parse().map_err(|_| TokenError::NoToken(path.clone()))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = Token::random().map_err(TokenError::Random)?;
            write(&path, &token).map_err(at)?;
            token
        }
        Err(error) => return Err(at(error)),
    };
    match app.tokens.find(&token) {
        None => {
            let record = TokenRecord {
                id: Uuid::now_v7().to_string(),
                name: NAME.to_owned(),
                role: Role::Admin,
                project: ProjectId::default(),
                is_of_installation: true,
                digest: token.digest(),
                created_at: now(),
                expires_at: None,
            };
            let entry = audit::own_entry("token.create", &record.id);
            app.tokens.keep(record, entry).await?;
        }
        // Made before there were projects.
        Some(record) if !record.is_of_installation => {
            let record = TokenRecord { is_of_installation: true, ..TokenRecord::clone(&record) };
            let entry = audit::own_entry("token.change", &record.id);
            app.tokens.keep(record, entry).await?;
        }
        Some(_) => {}
    }
    Ok(path)
}

/// Whole or not at all, and never readable by others.
fn write(path: &Path, token: &Token) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(format!("{}\n", token.reveal()).as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(unix)]
fn is_open(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open(_: &Path) -> io::Result<bool> {
    Ok(false)
}
