//! Sealing what came from secrets, with a key in a file.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use flowcore::value::Seal;
use flowruntime::store::StoreError;
use zeroize::Zeroizing;

/// The bytes of a key.
const KEY: usize = 32;

/// The bytes of a nonce, which stands before what is sealed. So many may be random for every seal
/// without ever being used twice.
const NONCE: usize = 24;

/// A key that seals what came from secrets (XChaCha20-Poly1305): who has only the store cannot read
/// it, and what was changed is not opened. Its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    bytes: Zeroizing<[u8; KEY]>,
}

/// Why a file gives no sealing key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeyError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// It holds something else.
    #[error("a sealing key has 32 bytes")]
    NotAKey,
    /// Others than its owner may read or change it.
    #[error("others than its owner may read it: its mode is {mode:o}")]
    Exposed {
        /// The bits of the file's mode.
        mode: u32,
    },
    /// It is the key of another store.
    #[error("it is not the key that the store was made with")]
    OfAnotherStore,
}

impl SealingKey {
    /// The key in a file that somebody made: 32 bytes, for the eyes of its owner only. To make it,
    /// `(umask 077; head -c 32 /dev/urandom > flow.key)`.
    ///
    /// # Errors
    /// [`SealingKeyError`]; also when there is no such file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SealingKeyError> {
        let file = std::fs::File::open(path).map_err(SealingKeyError::Unreadable)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let found = file.metadata().map_err(SealingKeyError::Unreadable)?;
            let mode = found.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(SealingKeyError::Exposed { mode });
            }
        }
        let key = Self::read_from(file).map_err(SealingKeyError::Unreadable)?;
        key.ok_or(SealingKeyError::NotAKey)
    }

    /// The key in a file: 32 bytes. One that is not there is made, for the eyes of its owner only.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the file holds something else, [`StoreError::Unavailable`] when it
    /// cannot be read or made.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        match Self::read(path) {
            Ok(key) => key,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(failed("read", path, error)),
        }
    }

    /// A key that is in no file.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self { cipher: XChaCha20Poly1305::new((&*bytes).into()), bytes })
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes = Zeroizing::new(<[u8; KEY]>::try_from(bytes).ok()?);
        Some(Self { cipher: XChaCha20Poly1305::new((&*bytes).into()), bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        &self.bytes
    }

    /// Seals something that is only opened as what it is, which `bound` says.
    pub(crate) fn seal_for(&self, bound: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the system has given random bytes before");
        let payload = Payload { msg: plain, aad: bound };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.expect("a value is far shorter than what can be sealed");
        nonce.into_iter().chain(sealed).collect()
    }

    /// What was sealed for this.
    pub(crate) fn open_for(&self, bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: bound };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(Zeroizing::new)
    }

    fn read(path: &Path) -> std::io::Result<Result<Self, StoreError>> {
        Ok(Self::read_from(std::fs::File::open(path)?)?.ok_or_else(|| {
            let message = format!("`{}` is no sealing key, which has 32 bytes", path.display());
            StoreError::Damaged { message }
        }))
    }

    fn read_from(file: std::fs::File) -> std::io::Result<Option<Self>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY + 1));
        // One byte more than a key has shows a file that is something else.
        file.take(KEY as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self::from_slice(&bytes))
    }

    /// Under another name first, so that nobody ever reads half a key; and whoever makes it first has
    /// made it for all.
    fn make(path: &Path) -> Result<Self, StoreError> {
        let random =
            |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| failed("make", path, error));
        let (mut key, mut name) = (Zeroizing::new([0; KEY]), [0_u8; 8]);
        random(&mut *key)?;
        random(&mut name)?;
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{:016x}", u64::from_le_bytes(name)));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let made = options.open(&draft).and_then(|mut file| {
            file.write_all(&*key)?;
            file.sync_all()?;
            std::fs::hard_link(&draft, path)
        });
        let _ = std::fs::remove_file(&draft);
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                let message = format!("cannot make the sealing key `{}`: {error}", path.display());
                return Err(StoreError::Full { message });
            }
            Err(error) => return Err(failed("make", path, error)),
        }
        Self::read(path).map_err(|error| failed("read", path, error))?
    }
}

fn failed(what: &str, path: &Path, error: impl fmt::Display) -> StoreError {
    StoreError::Unavailable {
        message: format!("cannot {what} the sealing key `{}`: {error}", path.display()),
    }
}

impl Seal for SealingKey {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        self.seal_for(&[], plain)
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_for(&[], sealed).map(|mut plain| std::mem::take(&mut *plain))
    }
}

/// Parts in a row, each after its length, so that no two rows of parts are the same.
pub(crate) fn joined<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let key = SealingKey::open(folder.path().join("a.key")).unwrap();
        let sealed = key.seal(b"s3cret");
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_ne!(sealed, key.seal(b"s3cret"));
        let again = SealingKey::open(folder.path().join("a.key")).unwrap();
        assert_eq!(again.open(&sealed).unwrap(), b"s3cret");
        let other = SealingKey::open(folder.path().join("b.key")).unwrap();
        assert_eq!(other.open(&sealed), None);
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(&changed), None);
        assert_eq!(key.open(&sealed[..10]), None);
    }

    #[test]
    fn a_key_is_for_its_owner_and_a_file_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.key");
        SealingKey::open(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&path, "too short").unwrap();
        assert_eq!(SealingKey::open(&path).unwrap_err().code(), "store.damaged");
        assert!(matches!(SealingKey::load(&path), Err(SealingKeyError::NotAKey)));
    }

    #[test]
    fn a_key_that_somebody_made_is_taken_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.key");
        assert!(matches!(SealingKey::load(&path), Err(SealingKeyError::Unreadable(_))));
        assert!(!path.exists());
        let sealed = SealingKey::open(&path).unwrap().seal(b"s3cret");
        let key = SealingKey::load(&path).unwrap();
        assert_eq!(Seal::open(&key, &sealed).unwrap(), b"s3cret");
        std::fs::write(&path, [7; KEY + 1]).unwrap();
        assert!(matches!(SealingKey::load(&path), Err(SealingKeyError::NotAKey)));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.key");
        SealingKey::open(&path).unwrap();
        for open in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).unwrap();
            let refused = SealingKey::load(&path).unwrap_err();
            assert!(matches!(refused, SealingKeyError::Exposed { mode } if mode == open));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        SealingKey::load(&path).unwrap();
    }
}
