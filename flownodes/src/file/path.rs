//! Paths that the policy allows, and the errors of what is done with them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use flowcore::value::MASK;
use flowcore::{NodeContext, NodeError, Policy, Value};

use crate::error::without_secret;

/// A path that the policy allows.
pub(super) struct AllowedPath {
    full: PathBuf,
    /// How errors name it.
    shown: String,
}

impl AllowedPath {
    /// The path on the port `path`, for reading.
    pub(super) fn to_read(ctx: &NodeContext) -> Result<Self, NodeError> {
        Self::ask(ctx, Policy::read_path)
    }

    /// The path on the port `path`, for writing.
    pub(super) fn to_write(ctx: &NodeContext) -> Result<Self, NodeError> {
        Self::ask(ctx, Policy::write_path)
    }

    fn ask(
        ctx: &NodeContext,
        ask: impl FnOnce(&Policy, &str) -> Result<PathBuf, NodeError>,
    ) -> Result<Self, NodeError> {
        let text = ctx.string_input("path")?;
        let secret = ctx.required_input("path")?.is_tainted();
        let full = ask(ctx.policy(), text).map_err(|error| without_secret(error, secret))?;
        let shown = if secret { MASK.to_owned() } else { full.display().to_string() };
        Ok(Self { full, shown })
    }

    /// The full path.
    pub(super) fn full(&self) -> &Path {
        &self.full
    }

    /// The full path as nodes hand it on; bytes that are not UTF-8 are replaced.
    pub(super) fn to_value(&self) -> Value {
        Value::from(&*self.full.to_string_lossy())
    }

    /// The path as errors name it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Opens a regular file, and nothing else: opening a pipe could wait for ever, and opening a
    /// device could do anything.
    pub(super) fn open_regular(
        &self,
        options: &mut OpenOptions,
        action: &str,
    ) -> Result<(File, Metadata), NodeError> {
        self.check_regular(action)?;
        // The file may have been replaced since it was looked at.
        let file = without_blocking(options).open(&self.full);
        let opened = file.and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = opened.map_err(|error| self.error(action, &error))?;
        if metadata.is_file() { Ok((file, metadata)) } else { Err(self.not_regular(action)) }
    }

    /// Whether there is a file; one that is not a regular file is an error.
    pub(super) fn check_regular(&self, action: &str) -> Result<Option<Metadata>, NodeError> {
        match std::fs::metadata(&self.full) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
            Ok(_) => Err(self.not_regular(action)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(action, &error)),
        }
    }

    /// The failure of an operation on this path.
    pub(super) fn error(&self, action: &str, error: &io::Error) -> NodeError {
        let code = match error.kind() {
            ErrorKind::NotFound => "file.not_found",
            ErrorKind::PermissionDenied => "file.permission",
            ErrorKind::AlreadyExists => "file.exists",
            ErrorKind::IsADirectory => return self.not_regular(action),
            ErrorKind::NotADirectory if action == "list" => "file.not_directory",
            _ => "file.io",
        };
        NodeError::new(code, format!("cannot {action} `{}`", self.shown))
            .with_source(&without_path(error))
    }

    fn not_regular(&self, action: &str) -> NodeError {
        let message = format!("cannot {action} `{}`: it is not a regular file", self.shown);
        NodeError::new("file.not_regular", message)
            .with_hint("directories, pipes, sockets and devices are refused")
    }
}

/// Only what the system said: libraries add paths, and a path may be a secret.
fn without_path(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

#[cfg(unix)]
fn without_blocking(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
}

#[cfg(not(unix))]
fn without_blocking(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(value: impl Into<Value>, policy: Policy) -> Result<AllowedPath, NodeError> {
        AllowedPath::to_read(&NodeContext::builder().input("path", value).policy(policy).build())
    }

    #[test]
    fn errors_have_codes_by_kind() {
        let path = path("a.txt", Policy::allow_all("/base")).unwrap();
        for (kind, action, code) in [
            (ErrorKind::NotFound, "read", "file.not_found"),
            (ErrorKind::PermissionDenied, "read", "file.permission"),
            (ErrorKind::AlreadyExists, "create", "file.exists"),
            (ErrorKind::IsADirectory, "write", "file.not_regular"),
            (ErrorKind::NotADirectory, "list", "file.not_directory"),
            (ErrorKind::NotADirectory, "read", "file.io"),
            (ErrorKind::StorageFull, "write", "file.io"),
        ] {
            let error = path.error(action, &kind.into());
            assert_eq!((error.code(), error.is_retryable()), (code, false), "{kind}");
            assert!(error.message().starts_with(&format!("cannot {action} `/base/a.txt`")));
        }
    }

    #[test]
    fn a_secret_path_is_not_named() {
        let secret = || Value::from("s3cret.txt").tainted();
        let denied = path(secret(), Policy::deny_all()).err().unwrap();
        assert_eq!(denied.code(), "policy.path_denied");
        let allowed = path(secret(), Policy::allow_all("/base")).unwrap();
        let missing = allowed.error("read", &ErrorKind::NotFound.into());
        for error in [denied, missing] {
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
