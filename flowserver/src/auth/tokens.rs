//! The tokens that are known.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect, Home, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::{Role, Token};

/// The kind of records that tokens are.
const KIND: &str = "token";

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) project: ProjectId,
    /// Whether its holder may also make projects, and tokens in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_of_installation: bool,
    /// [`Token::digest`].
    pub(crate) digest: String,
    pub(crate) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
}

impl TokenRecord {
    fn key(id: &str) -> RecordKey {
        RecordKey { project: None, kind: KIND.to_owned(), id: id.to_owned() }
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// The tokens of all projects, in memory: a request asks for its token without waiting.
pub(crate) struct Tokens {
    home: Arc<dyn Home>,
    now: fn() -> Timestamp,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_digest: HashMap<String, Arc<TokenRecord>>,
    digests: HashMap<String, String>,
}

impl Tokens {
    pub(crate) fn new(home: Arc<dyn Home>, now: fn() -> Timestamp) -> Self {
        Self { home, now, known: RwLock::default() }
    }

    /// What is known of a token that is valid now.
    pub(crate) fn find(&self, token: &Token) -> Option<Arc<TokenRecord>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // Found by its digest: how long that takes says nothing about the tokens that are known.
        let record = known.by_digest.get(&token.digest())?;
        record.is_valid((self.now)()).then(|| record.clone())
    }

    /// What is known of a token by its id, also when it is no longer valid.
    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<TokenRecord>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.by_digest.get(known.digests.get(id)?).cloned()
    }

    /// Whether a token that was found before is still valid.
    pub(crate) fn is_valid(&self, token: &TokenRecord) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let record = known.by_digest.get(&token.digest);
        record.is_some_and(|record| record.is_valid((self.now)()))
    }

    /// The tokens of a project, the oldest first.
    pub(crate) fn of(&self, project: &ProjectId) -> Vec<Arc<TokenRecord>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let own = known.by_digest.values().filter(|token| token.project == *project);
        let mut own: Vec<_> = own.cloned().collect();
        own.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        own
    }

    /// Keeps a token. It is valid when this returns, and on other servers soon.
    pub(crate) async fn keep(
        &self,
        record: TokenRecord,
        audit: AuditEntry,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_vec(&record).expect("it has string keys only");
        let change = Change {
            key: TokenRecord::key(&record.id),
            expect: Expect::Anything,
            body: Some(body),
            keeps_earlier: false,
        };
        self.home.commit((self.now)(), vec![change], vec![audit]).await?;
        self.put(record);
        Ok(())
    }

    /// Takes a token back; gives whether there was one. It is valid nowhere soon after.
    pub(crate) async fn revoke(&self, id: &str, audit: AuditEntry) -> Result<bool, StoreError> {
        let key = TokenRecord::key(id);
        let change = Change { key, expect: Expect::Present, body: None, keeps_earlier: false };
        let committed = self.home.commit((self.now)(), vec![change], vec![audit]).await?;
        self.remove(id);
        Ok(matches!(committed, Committed::Done(_)))
    }

    /// Takes notice of a record that has changed, here or elsewhere.
    pub(crate) fn notice(&self, record: &Record) {
        if record.key.kind != KIND || record.key.project.is_some() {
            return;
        }
        match &record.body {
            None => self.remove(&record.key.id),
            Some(body) => match serde_json::from_slice(body) {
                Ok(token) => self.put(token),
                Err(error) => {
                    tracing::error!(id = record.key.id, %error, "a token cannot be read");
                    self.remove(&record.key.id);
                }
            },
        }
    }

    fn put(&self, record: TokenRecord) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = known.digests.insert(record.id.clone(), record.digest.clone()) {
            known.by_digest.remove(&old);
        }
        known.by_digest.insert(record.digest.clone(), Arc::new(record));
    }

    fn remove(&self, id: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = known.digests.remove(id) {
            known.by_digest.remove(&digest);
        }
    }
}
