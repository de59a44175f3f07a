//! Chains of audit entries: each link has a hash of itself and of the link before it.
//!
//! A chain belongs to one connection that writes, and ends with it. So no two processes ever wait for
//! each other to make a link, and after an answer that was lost nobody has to know whether the last
//! link was kept: what comes then is a new chain.

use std::collections::HashMap;

use flowcore::{Digest, ProjectId};
use flowruntime::store::AuditEntry;
use uuid::Uuid;

use crate::{AuditCheck, BrokenLink};

/// A chain that grows.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) id: Uuid,
    /// The number and the hash of its last link.
    number: u64,
    hash: Digest,
}

/// A new link: its number and hash.
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) hash: Digest,
}

/// What stands before the first link.
const NOTHING: Digest = Digest::from_bytes([0; 32]);

impl Chain {
    pub(crate) fn new() -> Self {
        Self { id: Uuid::now_v7(), number: 0, hash: NOTHING }
    }

    /// Adds a link.
    pub(crate) fn add(&mut self, entry: &AuditEntry) -> Link {
        self.number += 1;
        let kept = KeptLink {
            chain: self.id,
            number: i64::try_from(self.number).unwrap_or(i64::MAX),
            at: entry.at.as_micros(),
            project: entry.project.as_ref().map(ProjectId::as_str).map(str::as_bytes),
            body: entry.body.as_bytes(),
            hash: &[],
        };
        self.hash = kept.hash_after(&self.hash);
        Link { number: self.number, hash: self.hash }
    }
}

/// A link as it is kept, whatever was made of it.
pub(crate) struct KeptLink<'a> {
    pub(crate) chain: Uuid,
    pub(crate) number: i64,
    pub(crate) at: i64,
    pub(crate) project: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
    pub(crate) hash: &'a [u8],
}

impl KeptLink<'_> {
    fn hash_after(&self, before: &Digest) -> Digest {
        let mut bytes = Vec::with_capacity(128 + self.body.len());
        bytes.extend(before.as_bytes());
        bytes.extend(self.chain.as_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.at.to_be_bytes());
        // An id is never empty, and says here where it ends.
        let project = self.project.unwrap_or_default();
        bytes.extend(u64::try_from(project.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(project);
        bytes.extend(self.body);
        Digest::of_bytes("flow.audit", &bytes)
    }
}

/// Goes through links in the order in which they were kept.
#[derive(Default)]
pub(crate) struct Checker {
    chains: HashMap<Uuid, (i64, Digest)>,
    rows: u64,
    broken: Option<BrokenLink>,
}

impl Checker {
    /// Takes the next link; gives whether to go on.
    pub(crate) fn take(&mut self, link: &KeptLink<'_>) -> bool {
        let (last, hash) = self.chains.entry(link.chain).or_insert((0, NOTHING));
        let next = link.hash_after(hash);
        let is_whole = link.number == *last + 1 && link.hash == next.as_bytes();
        if is_whole {
            (*last, *hash) = (link.number, next);
            self.rows += 1;
        } else {
            let number = u64::try_from(*last + 1).unwrap_or_default();
            self.broken = Some(BrokenLink { chain: link.chain, number });
        }
        is_whole
    }

    pub(crate) fn finish(self) -> AuditCheck {
        let chains = u64::try_from(self.chains.len()).unwrap_or(u64::MAX);
        AuditCheck { chains, rows: self.rows, broken: self.broken }
    }
}

#[cfg(test)]
mod tests {
    use flowcore::Timestamp;

    use super::*;

    fn entry(project: Option<&str>, body: &str) -> AuditEntry {
        let project = project.map(|text| ProjectId::new(text).unwrap());
        AuditEntry { at: Timestamp::from_millis(7), project, body: body.to_owned() }
    }

    #[test]
    fn what_a_link_says_is_hashed_the_same_for_ever() {
        let mut chain = Chain { id: Uuid::from_u128(7), ..Chain::new() };
        let hashes = [entry(Some("p"), "{}"), entry(None, "p{}")].map(|entry| {
            let link = chain.add(&entry);
            format!("{} {}", link.number, link.hash)
        });
        assert_eq!(
            hashes,
            [
                "1 8747019159cc80f3790b9cf3ee02df646757fd151cfb4ebd2f472590a7680055",
                "2 5093d14a057d1d423a2d677e9c2411422b6d016a14447038c42eb235e4859c6f",
            ]
        );
    }

    #[test]
    fn where_a_project_ends_counts() {
        let chain = Chain::new();
        let hash = |project, body| chain.clone().add(&entry(project, body)).hash;
        assert_ne!(hash(Some("ab"), "c"), hash(Some("a"), "bc"));
        assert_ne!(hash(Some("a"), ""), hash(None, "a"));
    }
}
