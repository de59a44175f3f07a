//! The secrets that the server keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowcore::{ProjectId, Secrets, Timestamp, Value};
use flowruntime::SecretSource;
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect, Home, Keyring, Record, RecordKey};
use serde::{Deserialize, Serialize};

use crate::app::now;

/// The kind of records that secrets are.
const KIND: &str = "secret";

/// How often a change is tried when others change the same.
const TRIES: usize = 10;

/// What a record says.
#[derive(Serialize, Deserialize)]
struct Body {
    /// Names the key that sealed it.
    key: String,
    /// The value, sealed, in base64.
    sealed: String,
    fingerprint: String,
}

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    /// The last digits of a keyed digest: whether it is another value can be seen, and nothing else.
    pub(crate) fingerprint: String,
    /// Tainted; `None` when the secret was deleted or could not be opened.
    value: Option<Value>,
}

/// Why a secret was not saved.
#[derive(Debug)]
pub(crate) enum SaveError {
    /// The server has no sealing key.
    NoKey,
    Store(StoreError),
}

impl From<StoreError> for SaveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The secrets of all projects, in memory.
pub(crate) struct KeptSecrets {
    home: Arc<dyn Home>,
    keyring: Option<Arc<Keyring>>,
    environment: Secrets,
    projects: RwLock<HashMap<ProjectId, OfProject>>,
}

#[derive(Default)]
struct OfProject {
    /// By name; deletions stay, so that what was read before one does not come back.
    known: BTreeMap<String, Known>,
    /// As executions get them, those of the environment included.
    all: Secrets,
}

impl OfProject {
    fn put(&mut self, name: &str, new: Known, environment: &Secrets) {
        if self.known.get(name).is_some_and(|known| known.version >= new.version) {
            return;
        }
        self.known.insert(name.to_owned(), new);
        let own = self.known.iter().filter_map(|(name, one)| Some((name, one.value.as_ref()?)));
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        // Of two with the same name the later one counts.
        self.all = Secrets::new(copied(environment).chain(own));
    }
}

fn copied(secrets: &Secrets) -> impl Iterator<Item = (String, Value)> {
    secrets.names().filter_map(|name| Some((name.to_owned(), secrets.get(name)?.clone())))
}

fn key(project: &ProjectId, name: &str) -> RecordKey {
    RecordKey { project: Some(project.clone()), kind: KIND.to_owned(), id: name.to_owned() }
}

impl KeptSecrets {
    pub(crate) fn new(
        home: Arc<dyn Home>,
        keyring: Option<Arc<Keyring>>,
        environment: Secrets,
    ) -> Self {
        Self { home, keyring, environment, projects: RwLock::default() }
    }

    /// Those of a project that the server keeps, by name, after this one, at most so many.
    pub(crate) fn list(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, Known)> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        let known = projects.get(project).into_iter().flat_map(|of| &of.known);
        let known = known.filter(|(name, one)| {
            one.value.is_some() && after.is_none_or(|after| name.as_str() > after)
        });
        known.take(limit).map(|(name, one)| (name.clone(), one.clone())).collect()
    }

    /// Keeps a value; gives what is known of it, and whether the secret is new. Executions that start
    /// or go on here get it when this returns, and on other servers soon. `audit` makes the entry of a
    /// new secret, or of one that is replaced.
    pub(crate) async fn save(
        &self,
        project: &ProjectId,
        name: &str,
        value: &str,
        audit: impl Fn(bool) -> AuditEntry,
    ) -> Result<(Known, bool), SaveError> {
        let keyring = self.keyring.as_ref().ok_or(SaveError::NoKey)?;
        let key = key(project, name);
        let digest = keyring.digest(&[project.as_str(), name, value].map(str::as_bytes));
        let digest = digest.to_string();
        let fingerprint = digest[digest.len() - 4..].to_owned();
        for _ in 0..TRIES {
            let newest = self.home.record_versions(&key, None, 1).await?;
            let newest = newest.first();
            let is_new = newest.is_none_or(|record| record.body.is_none());
            let last = newest.map_or(0, |record| record.version);
            let (version, at) = (last + 1, now());
            let sealed =
                keyring.seal_for(&[project.as_str(), name, &version.to_string()], value.as_bytes());
            let body = Body {
                key: keyring.id().to_owned(),
                sealed: STANDARD.encode(sealed),
                fingerprint: fingerprint.clone(),
            };
            let change = Change {
                key: key.clone(),
                expect: if is_new { Expect::Absent } else { Expect::Version(last) },
                body: Some(serde_json::to_vec(&body).expect("it has string keys only")),
                keeps_earlier: false,
            };
            let committed = self.home.commit(at, vec![change], vec![audit(is_new)]).await?;
            // Another version than the one that it is bound to: it was made and deleted meanwhile.
            if committed == Committed::Done(vec![version]) {
                let value = Some(Value::from(value).tainted());
                let known = Known { version, at, fingerprint, value };
                self.put(project, name, known.clone());
                return Ok((known, is_new));
            }
        }
        let message = "others change the secret all the time".to_owned();
        Err(StoreError::Unavailable { message }.into())
    }

    /// Deletes a secret; gives whether there was one.
    pub(crate) async fn delete(
        &self,
        project: &ProjectId,
        name: &str,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let (key, at) = (key(project, name), now());
        let change = Change { key, expect: Expect::Present, body: None, keeps_earlier: false };
        match self.home.commit(at, vec![change], vec![audit]).await? {
            Committed::Done(versions) => {
                let version = versions.first().copied().unwrap_or_default();
                let gone = Known { version, at, fingerprint: String::new(), value: None };
                self.put(project, name, gone);
                Ok(true)
            }
            Committed::Conflict { .. } => Ok(false),
        }
    }

    /// Takes notice of a record that has changed, here or elsewhere.
    pub(crate) fn notice(&self, record: &Record) {
        if self.keyring.is_none() && Keyring::is_record(&record.key) {
            tracing::error!(
                "another server gave the store a sealing key: start this one with it, too"
            );
        }
        let Some(project) = record.key.project.as_ref().filter(|_| record.key.kind == KIND) else {
            return;
        };
        let name = &record.key.id;
        let body = record.body.as_deref().map(serde_json::from_slice::<Body>);
        let opened = match body {
            None => Ok((String::new(), None)),
            Some(Ok(body)) => self
                .open(project, name, record.version, &body)
                .map(|value| (body.fingerprint, Some(value)))
                .ok_or("it was sealed with another key, or changed since"),
            Some(Err(_)) => Err("its record cannot be read"),
        };
        let (fingerprint, value) = opened.unwrap_or_else(|problem| {
            tracing::error!(%project, secret = name, problem, "a secret cannot be used");
            (String::new(), None)
        });
        let (version, at) = (record.version, record.at);
        self.put(project, name, Known { version, at, fingerprint, value });
    }

    fn open(&self, project: &ProjectId, name: &str, version: u64, body: &Body) -> Option<Value> {
        let sealed = STANDARD.decode(&body.sealed).ok()?;
        let keyring = self.keyring.as_ref().filter(|keyring| keyring.id() == body.key)?;
        let plain = keyring.open_for(&[project.as_str(), name, &version.to_string()], &sealed)?;
        Some(Value::from(std::str::from_utf8(&plain).ok()?).tainted())
    }

    fn put(&self, project: &ProjectId, name: &str, new: Known) {
        let mut projects = self.projects.write().unwrap_or_else(PoisonError::into_inner);
        projects.entry(project.clone()).or_default().put(name, new, &self.environment);
    }
}

impl SecretSource for KeptSecrets {
    fn secrets_of(&self, project: &ProjectId) -> Secrets {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        projects.get(project).map_or_else(|| self.environment.clone(), |of| of.all.clone())
    }
}

#[cfg(test)]
mod tests {
    use flowstore::{Access, SealingKey, StoreUrl};

    use super::*;

    struct Stage {
        _folder: tempfile::TempDir,
        home: Arc<dyn Home>,
        keyring: Arc<Keyring>,
    }

    impl Stage {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = StoreUrl::Sqlite(folder.path().join("flow.db"));
            let home = flowstore::open_home(&url, Access::Execute).await.unwrap();
            let key = SealingKey::open(folder.path().join("flow.db.key")).unwrap();
            let keyring = Keyring::open(&*home, Some(&key), now()).await.unwrap().unwrap();
            Self { _folder: folder, home, keyring: Arc::new(keyring) }
        }

        fn server(&self) -> KeptSecrets {
            let environment = [("base", "from outside"), ("both", "from outside")];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.into()));
            let keyring = Some(self.keyring.clone());
            KeptSecrets::new(self.home.clone(), keyring, Secrets::new(environment))
        }

        async fn notice_all(&self, server: &KeptSecrets) {
            for record in self.home.changes_after(0, 1000).await.unwrap() {
                server.notice(&record);
            }
        }
    }

    fn entry(_: bool) -> AuditEntry {
        AuditEntry { at: now(), project: None, body: "{}".to_owned() }
    }

    fn read(server: &KeptSecrets, project: &ProjectId, name: &str) -> Option<String> {
        let secrets = server.secrets_of(project);
        secrets.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    #[tokio::test]
    async fn s46_what_is_kept_wins_over_the_environment_and_is_of_its_project_only() {
        let stage = Stage::new().await;
        let (one, other) = (stage.server(), stage.server());
        let [mine, theirs] = ["mine", "theirs"].map(|id| ProjectId::new(id).unwrap());
        let (known, is_new) = one.save(&mine, "both", "kept", entry).await.unwrap();
        assert!(is_new && known.version == 1 && known.fingerprint.len() == 4);
        stage.notice_all(&other).await;
        for server in [&one, &other] {
            assert_eq!(read(server, &mine, "both").as_deref(), Some("kept"));
            assert_eq!(read(server, &mine, "base").as_deref(), Some("from outside"));
            assert_eq!(read(server, &theirs, "both").as_deref(), Some("from outside"));
            assert!(server.list(&theirs, None, 10).is_empty());
        }
        let (again, is_new) = one.save(&mine, "both", "other", entry).await.unwrap();
        assert!(!is_new && again.version == 2 && again.fingerprint != known.fingerprint);
        assert!(one.delete(&mine, "both", entry(true)).await.unwrap());
        assert!(!one.delete(&mine, "both", entry(true)).await.unwrap());
        assert_eq!(read(&one, &mine, "both").as_deref(), Some("from outside"));
        let (anew, is_new) = one.save(&mine, "both", "anew", entry).await.unwrap();
        assert!(is_new && anew.version == 4);
        stage.notice_all(&other).await;
        assert_eq!(read(&other, &mine, "both").as_deref(), Some("anew"));
    }

    #[tokio::test]
    async fn s46_a_record_that_was_moved_or_taken_from_before_is_not_opened() {
        let stage = Stage::new().await;
        let server = stage.server();
        let [mine, theirs] = ["mine", "theirs"].map(|id| ProjectId::new(id).unwrap());
        server.save(&mine, "token", "s3cret", entry).await.unwrap();
        let record = stage.home.record(&key(&mine, "token")).await.unwrap().unwrap();
        let moved = [
            Record { key: key(&theirs, "token"), ..record.clone() },
            Record { key: key(&mine, "other"), ..record.clone() },
            Record { version: 7, ..record.clone() },
        ];
        for moved in moved {
            let fresh = stage.server();
            fresh.notice(&moved);
            let project = moved.key.project.as_ref().unwrap();
            assert_eq!(read(&fresh, project, &moved.key.id), None, "{:?}", moved.key);
        }
        let fresh = stage.server();
        fresh.notice(&record);
        assert_eq!(read(&fresh, &mine, "token").as_deref(), Some("s3cret"));
    }

    #[tokio::test]
    async fn what_was_read_before_a_deletion_does_not_come_back() {
        let stage = Stage::new().await;
        let server = stage.server();
        let mine = ProjectId::default();
        server.save(&mine, "token", "s3cret", entry).await.unwrap();
        let late = stage.home.record(&key(&mine, "token")).await.unwrap().unwrap();
        server.delete(&mine, "token", entry(true)).await.unwrap();
        server.notice(&late);
        assert_eq!(read(&server, &mine, "token"), None);
    }

    #[tokio::test]
    async fn without_a_key_nothing_is_kept() {
        let stage = Stage::new().await;
        let server = KeptSecrets::new(stage.home.clone(), None, Secrets::default());
        let saved = server.save(&ProjectId::default(), "token", "s3cret", entry).await;
        assert!(matches!(saved, Err(SaveError::NoKey)));
    }
}
