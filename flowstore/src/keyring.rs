//! The keys of a store of several processes: they stand in its catalog, wrapped by a key that does
//! not.
//!
//! What is sealed is sealed with a *data key*, which never changes. The *master key* is in a file of
//! whoever runs the processes, and seals nothing but the data key: to change it, one record is
//! written anew, and processes that run go on as before.

use std::fmt;

use flowcore::Digest;
use flowcore::Timestamp;
use flowcore::value::Seal;
use flowruntime::store::{AuditEntry, StoreError};
use zeroize::Zeroizing;

use crate::seal::{SealingKey, joined};
use crate::{Catalog, Change, Committed, Expect, Record, RecordKey};

/// What the record begins with; another form would have another number.
const FORM: &str = "flow keyring 1";

/// How often a change is tried when others change the same.
const TRIES: usize = 10;

/// Why the keys of a store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has keys, and no master key was given.
    #[error("the store holds what is sealed, and its sealing key is missing")]
    Missing,
    /// The master key is that of another store.
    #[error("the sealing key is not the one that this store was made with")]
    Wrong,
    /// The record cannot be read.
    #[error("the record of the sealing key cannot be read")]
    Damaged,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomness,
}

/// The keys of a store. Its memory is wiped when it is dropped.
pub struct Keyring {
    /// Names the data key.
    id: String,
    /// The data key, which seals, and then those that sealed before there was one.
    keys: Vec<SealingKey>,
}

impl Keyring {
    /// The keys of the store, opened with its master key; `None` when it has none and no master key is
    /// given. With a master key, a store without keys gets them: from then on it takes no other one.
    ///
    /// # Errors
    /// [`KeyringError`]; nothing was changed then.
    pub async fn open(
        catalog: &dyn Catalog,
        master: Option<&SealingKey>,
        at: Timestamp,
    ) -> Result<Option<Self>, KeyringError> {
        if let Some(found) = Self::find(catalog, master).await? {
            return Ok(Some(found));
        }
        let Some(master) = master else { return Ok(None) };
        let keyring = Self::random()?;
        let body = keyring.wrapped(master);
        let change = Change {
            key: record_key(),
            expect: Expect::Absent,
            body: Some(body),
            keeps_earlier: false,
        };
        match catalog.commit(at, vec![change], Vec::new()).await? {
            Committed::Done(_) => Ok(Some(keyring)),
            // Another process was faster, and perhaps has another master key.
            Committed::Conflict { .. } => Self::find(catalog, Some(master)).await,
        }
    }

    /// As [`Keyring::open`], but a store without keys stays so: then there is `None`.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn find(
        catalog: &dyn Catalog,
        master: Option<&SealingKey>,
    ) -> Result<Option<Self>, KeyringError> {
        match (catalog.record(&record_key()).await?, master) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(KeyringError::Missing),
            (Some(record), Some(master)) => Self::unwrapped(&record, master).map(Some),
        }
    }

    /// Gives the store another master key; what is sealed stays as it is. Processes that run go on, and
    /// need the new one when they start next.
    ///
    /// # Errors
    /// [`KeyringError`]; nothing was changed then, unless the answer of the store was lost. To repeat it
    /// does no harm.
    pub async fn change_master(
        catalog: &dyn Catalog,
        old: &SealingKey,
        new: &SealingKey,
        audit: AuditEntry,
    ) -> Result<(), KeyringError> {
        for _ in 0..TRIES {
            let record = catalog.record(&record_key()).await?.ok_or(KeyringError::Missing)?;
            // By an earlier call.
            if Self::unwrapped(&record, new).is_ok() {
                return Ok(());
            }
            let mut keyring = Self::unwrapped(&record, old)?;
            if keyring.keys.len() == 1 {
                // What was sealed before there was a data key is opened by the first master key only.
                keyring.keys.push(old.clone());
            }
            let change = Change {
                key: record_key(),
                expect: Expect::Version(record.version),
                body: Some(keyring.wrapped(new)),
                keeps_earlier: false,
            };
            match catalog.commit(audit.at, vec![change], vec![audit.clone()]).await? {
                Committed::Done(_) => return Ok(()),
                Committed::Conflict { .. } => {}
            }
        }
        let message = "others change the sealing key all the time".to_owned();
        Err(StoreError::Unavailable { message }.into())
    }

    /// Whether a record is that of the keys.
    pub fn is_record(key: &RecordKey) -> bool {
        *key == record_key()
    }

    fn random() -> Result<Self, KeyringError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| KeyringError::NoRandomness)?;
        let key = SealingKey::random().map_err(|_| KeyringError::NoRandomness)?;
        Ok(Self { id: to_hex(&id), keys: vec![key] })
    }

    fn wrapped(&self, master: &SealingKey) -> Vec<u8> {
        let mut text = format!("{FORM}\n{}\n", self.id);
        for (place, key) in self.keys.iter().enumerate() {
            text += &to_hex(&master.seal_for(&wrapping(&self.id, place), key.bytes()));
            text.push('\n');
        }
        text.into_bytes()
    }

    fn unwrapped(record: &Record, master: &SealingKey) -> Result<Self, KeyringError> {
        let text = record.body.as_deref().and_then(|body| std::str::from_utf8(body).ok());
        let mut lines = text.ok_or(KeyringError::Damaged)?.lines();
        if lines.next() != Some(FORM) {
            return Err(KeyringError::Damaged);
        }
        let id = lines.next().ok_or(KeyringError::Damaged)?.to_owned();
        let mut keys = Vec::new();
        for (place, line) in lines.enumerate() {
            let sealed = from_hex(line).ok_or(KeyringError::Damaged)?;
            let bytes =
                master.open_for(&wrapping(&id, place), &sealed).ok_or(KeyringError::Wrong)?;
            keys.push(SealingKey::from_slice(&bytes).ok_or(KeyringError::Damaged)?);
        }
        if keys.is_empty() {
            return Err(KeyringError::Damaged);
        }
        Ok(Self { id, keys })
    }

    fn data_key(&self) -> &SealingKey {
        self.keys.first().expect("it has the data key at least")
    }

    /// Names the data key; it says nothing about it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals something that is only opened as what it is: `bound` says that, and is not kept in it.
    /// The name of the key is bound, too.
    pub fn seal_for(&self, bound: &[&str], plain: &[u8]) -> Vec<u8> {
        self.data_key().seal_for(&self.bound(bound), plain)
    }

    /// What was sealed as this; `None` when it was sealed as something else or with another key, or
    /// was changed. Its memory is wiped when it is dropped.
    pub fn open_for(&self, bound: &[&str], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.data_key().open_for(&self.bound(bound), sealed)
    }

    fn bound(&self, bound: &[&str]) -> Vec<u8> {
        let own = ["flow.sealed", self.id.as_str()];
        joined(own.iter().chain(bound).map(|part| part.as_bytes()))
    }

    /// A digest that only holders of the key can make.
    pub fn digest(&self, parts: &[&[u8]]) -> Digest {
        let key: &[u8] = self.data_key().bytes();
        let bytes = Zeroizing::new(joined(std::iter::once(key).chain(parts.iter().copied())));
        Digest::of_bytes("flow.keyed", &bytes)
    }
}

/// What a key is bound to in the record.
fn wrapping(id: &str, place: usize) -> Vec<u8> {
    let place = place.to_string();
    joined(["flow.keyring", id, &place].map(str::as_bytes))
}

fn record_key() -> RecordKey {
    RecordKey { project: None, kind: KIND.to_owned(), id: "data".to_owned() }
}

/// The kind of records that keys are.
pub(crate) const KIND: &str = "sealing-key";

impl Seal for Keyring {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        self.data_key().seal(plain)
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys.iter().find_map(|key| key.open(sealed))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.id).finish()
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::{Access, Home, StoreUrl};

    const AT: Timestamp = Timestamp::from_millis(7);

    async fn open(folder: &Path) -> Arc<dyn Home> {
        let url = StoreUrl::Sqlite(folder.join("flow.db"));
        crate::open_home(&url, Access::Execute).await.unwrap()
    }

    fn key(folder: &Path, name: &str) -> SealingKey {
        SealingKey::open(folder.join(name)).unwrap()
    }

    fn entry() -> AuditEntry {
        AuditEntry { at: AT, project: None, body: "{}".to_owned() }
    }

    #[tokio::test]
    async fn s46_a_store_takes_one_master_key_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let home = open(folder.path()).await;
        let [right, wrong] = ["right", "wrong"].map(|name| key(folder.path(), name));
        assert!(Keyring::open(&*home, None, AT).await.unwrap().is_none());
        assert!(Keyring::find(&*home, Some(&right)).await.unwrap().is_none());
        let first = Keyring::open(&*home, Some(&right), AT).await.unwrap().unwrap();
        let again = Keyring::open(&*home, Some(&right), AT).await.unwrap().unwrap();
        assert_eq!(first.id(), again.id());
        let sealed = first.seal_for(&["a", "bc"], b"s3cret");
        assert_eq!(&**again.open_for(&["a", "bc"], &sealed).unwrap(), b"s3cret");
        assert!(again.open_for(&["ab", "c"], &sealed).is_none());
        let refused = Keyring::open(&*home, Some(&wrong), AT).await.unwrap_err();
        assert_eq!(refused, KeyringError::Wrong);
        assert_eq!(Keyring::open(&*home, None, AT).await.unwrap_err(), KeyringError::Missing);
    }

    #[tokio::test]
    async fn s46_another_master_key_opens_all_that_was_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let home = open(folder.path()).await;
        let [old, new, newer] = ["old", "new", "newer"].map(|name| key(folder.path(), name));
        let before = old.seal(b"before");
        let running = Keyring::open(&*home, Some(&old), AT).await.unwrap().unwrap();
        let during = running.seal(b"during");
        for (from, to) in [(&old, &new), (&old, &new), (&new, &newer)] {
            Keyring::change_master(&*home, from, to, entry()).await.unwrap();
        }
        let refused = Keyring::change_master(&*home, &old, &new, entry()).await.unwrap_err();
        assert_eq!(refused, KeyringError::Wrong);
        let after = running.seal(b"after");
        let keyring = Keyring::find(&*home, Some(&newer)).await.unwrap().unwrap();
        for (sealed, plain) in [(before, "before"), (during, "during"), (after, "after")] {
            assert_eq!(Seal::open(&keyring, &sealed).unwrap(), plain.as_bytes(), "{plain}");
        }
        assert_eq!(home.audit(None, None, 10).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn s46_no_key_is_made_for_a_file_that_was_sealed_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("flow.db.key");
        let home = open(folder.path()).await;
        let master = SealingKey::load(&file).unwrap();
        Keyring::open(&*home, Some(&master), AT).await.unwrap();
        drop(home);
        let home = open(folder.path()).await;
        let sealed = home.seal().unwrap().seal(b"s3cret");
        drop(home);
        std::fs::rename(&file, folder.path().join("elsewhere")).unwrap();
        assert!(open(folder.path()).await.seal().is_none());
        assert!(!file.exists());
        std::fs::rename(folder.path().join("elsewhere"), &file).unwrap();
        let home = open(folder.path()).await;
        // The store brings the keys that its own key opens, not that key.
        assert_eq!(home.seal().unwrap().open(&sealed).unwrap(), b"s3cret");
        assert_eq!(Seal::open(&master, &sealed), None);
    }

    #[test]
    fn a_record_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let master = key(folder.path(), "master");
        let record = |body: &[u8]| Record {
            key: record_key(),
            version: 1,
            at: AT,
            change: 1,
            body: Some(body.into()),
        };
        let good = Keyring::random().unwrap().wrapped(&master);
        Keyring::unwrapped(&record(&good), &master).unwrap();
        let text = String::from_utf8(good).unwrap();
        for bad in ["", "flow keyring 2", "flow keyring 1\nid\n", "flow keyring 1\nid\nxyz\n"] {
            let refused = Keyring::unwrapped(&record(bad.as_bytes()), &master).unwrap_err();
            assert_eq!(refused, KeyringError::Damaged, "{bad}");
        }
        // The name of the key is bound to it.
        let id = text.lines().nth(1).unwrap();
        let renamed = text.replace(id, "0000000000000000");
        let refused = Keyring::unwrapped(&record(renamed.as_bytes()), &master).unwrap_err();
        assert_eq!(refused, KeyringError::Wrong);
    }
}
