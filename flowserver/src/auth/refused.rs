//! What was refused, on its way to the audit log: counted, so that whoever sends a lot fills no disk.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowruntime::store::AuditEntry;
use flowstore::Home;
use serde_json::{Map, Value as Json, json};
use tokio::sync::Notify;

use super::TokenRecord;
use crate::app::now;
use crate::audit;

/// How long refusals are counted before the next entries: the first of them is written down at once.
const EVERY: Duration = Duration::from_secs(60);

/// How many addresses, and how many tokens and routes, are told apart in that time.
const MOST: usize = 32;

/// How many entries wait for a store that is out of reach; more are only in the server's log.
const MOST_WAITING: usize = 1000;

/// Counts what was refused since it was written down last.
#[derive(Default)]
pub(crate) struct Refused {
    counts: Mutex<Counts>,
    is_news: Notify,
    /// Entries on their way to the store.
    waiting: tokio::sync::Mutex<Vec<AuditEntry>>,
}

#[derive(Default)]
struct Counts {
    /// Wrong tokens, by the address that they came from.
    wrong: BTreeMap<IpAddr, u64>,
    /// Those of other addresses.
    wrong_others: u64,
    /// Requests that a token is not allowed, by its id and the route.
    forbidden: BTreeMap<(String, String), (Arc<TokenRecord>, u64)>,
    forbidden_others: u64,
}

impl Refused {
    /// A wrong token came from this address.
    pub(crate) fn wrong(&self, address: IpAddr) {
        self.count(|counts| {
            let has_room = counts.wrong.len() < MOST;
            match counts.wrong.get_mut(&address) {
                Some(count) => *count += 1,
                None if has_room => drop(counts.wrong.insert(address, 1)),
                None => counts.wrong_others += 1,
            }
        });
    }

    /// A token is not allowed what it asked for.
    pub(crate) fn forbidden(&self, token: &Arc<TokenRecord>, route: String) {
        self.count(|counts| {
            let has_room = counts.forbidden.len() < MOST;
            let key = (token.id.clone(), route);
            match counts.forbidden.get_mut(&key) {
                Some((_, count)) => *count += 1,
                None if has_room => drop(counts.forbidden.insert(key, (token.clone(), 1))),
                None => counts.forbidden_others += 1,
            }
        });
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        self.is_news.notify_one();
    }

    /// The entries of what was counted, which begins anew: one for all wrong tokens, and one for each
    /// token and route.
    fn take(&self) -> Vec<AuditEntry> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { wrong, wrong_others, forbidden, forbidden_others } =
            std::mem::take(&mut *counts);
        drop(counts);
        let mut entries = Vec::new();
        if !wrong.is_empty() {
            let count = wrong.values().sum::<u64>() + wrong_others;
            let addresses: Map<String, Json> = wrong
                .into_iter()
                .map(|(address, count)| (address.to_string(), count.into()))
                .collect();
            let others = (wrong_others > 0).then_some(wrong_others);
            let more = [
                ("count", json!(count)),
                ("addresses", json!(addresses)),
                ("other_addresses", json!(others)),
            ];
            entries.push(audit::own_entry_with("auth.failed", "token", more));
        }
        for ((_, route), (token, count)) in forbidden {
            entries.push(audit::entry_of(
                &token,
                "auth.forbidden",
                &route,
                [("count", json!(count))],
            ));
        }
        if forbidden_others > 0 {
            let more = [("count", json!(forbidden_others))];
            entries.push(audit::own_entry_with("auth.forbidden", "others", more));
        }
        entries
    }

    /// Writes down what is refused, as long as the server lives.
    pub(crate) async fn keep_noting(&self, home: Arc<dyn Home>) {
        loop {
            self.is_news.notified().await;
            self.note(&*home).await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Writes down what was refused by now; what the store does not take waits for the next time.
    pub(crate) async fn note(&self, home: &dyn Home) {
        let mut waiting = self.waiting.lock().await;
        waiting.extend(self.take());
        waiting.truncate(MOST_WAITING);
        if waiting.is_empty() {
            return;
        }
        match home.commit(now(), Vec::new(), waiting.clone()).await {
            Ok(_) => waiting.clear(),
            Err(error) => {
                tracing::warn!(%error, "refusals are not in the audit log yet");
                self.is_news.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s50_a_flood_of_wrong_tokens_is_one_entry() {
        let refused = Refused::default();
        assert_eq!(refused.take(), []);
        for number in 0..10_000_u32 {
            refused.wrong(std::net::Ipv4Addr::from(number % 100).into());
        }
        let entries = refused.take();
        let [entry] = &*entries else { panic!("{entries:?}") };
        let body: Json = serde_json::from_str(&entry.body).unwrap();
        assert_eq!((&body["action"], &body["count"]), (&json!("auth.failed"), &json!(10_000)));
        assert_eq!(body["addresses"].as_object().unwrap().len(), MOST);
        assert_eq!(body["other_addresses"], 100 * (100 - MOST));
        assert!(entry.project.is_none() && entry.body.len() < 2000, "{}", entry.body.len());
        assert_eq!(refused.take(), []);
    }
}
