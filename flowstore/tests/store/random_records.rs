//! The same random commits, given to a catalog and to a plain list of versions: every answer is the
//! same, and so is what is there in the end.

use flowcore::{ProjectId, Timestamp};
use flowruntime::store::AuditEntry;
use flowstore::{Access, Change, Committed, Expect, Home, Record, RecordKey};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kinds::HomePlace;
use crate::stage::{at, entry, key_of, put};

/// What the answers show, or the calls are not worth much.
const OF_NOTE: [&str; 6] = [
    "Done([1])",
    "Done([0])",
    "Done([4])",
    "found: None",
    "Conflict { position: 1, found: Some(",
    "Done([2, 2])",
];

/// A call of `commit`, and how often it is made.
#[derive(Debug, Clone)]
struct Call {
    at: Timestamp,
    changes: Vec<Change>,
    audit: Vec<AuditEntry>,
    times: usize,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let expect = prop_oneof![
        2 => Just(Expect::Anything),
        2 => Just(Expect::Absent),
        2 => Just(Expect::Present),
        4 => (0_u64..4).prop_map(Expect::Version),
    ];
    let change = (0_usize..3, expect, prop::option::weighted(0.8, 0_u8..3), any::<bool>())
        .prop_map(|(id, expect, body, keeps_earlier)| Change {
            body: body.map(|number| vec![number]),
            keeps_earlier,
            ..put(&keys()[id], expect, "")
        });
    let audit = vec((0_i64..9).prop_map(|number| entry(number, Some("p"), "said")), 0..3);
    let call = (0_i64..4, vec(change, 0..3), audit, 1_usize..3).prop_map(
        |(second, changes, audit, times)| {
            // One that has a record twice may not be repeated.
            let is_twice = matches!(&*changes, [one, other] if one.key == other.key);
            Call { at: at(second), changes, audit, times: if is_twice { 1 } else { times } }
        },
    );
    vec(call, 1..40)
}

fn keys() -> [RecordKey; 3] {
    [
        key_of("p", "k", "a"),
        key_of("p", "k", "b"),
        RecordKey { project: None, ..key_of("p", "k", "a") },
    ]
}

/// All versions that there ever were, the newest last.
#[derive(Default, Clone)]
struct Model {
    versions: Vec<(Record, IsKept)>,
    audit: Vec<AuditEntry>,
}

type IsKept = bool;

impl Model {
    fn of(&self, key: &RecordKey) -> Vec<Record> {
        let own = self.versions.iter().filter(|(record, is_kept)| record.key == *key && *is_kept);
        own.map(|(record, _)| record.clone()).collect()
    }

    fn commit(&mut self, call: &Call) -> Committed {
        let before = self.clone();
        let mut versions = Vec::new();
        for (position, change) in call.changes.iter().enumerate() {
            match self.change(call.at, change) {
                Ok(version) => versions.push(version),
                Err(found) => {
                    *self = before;
                    return Committed::Conflict { position, found };
                }
            }
        }
        if call.changes.is_empty() || self.versions.len() > before.versions.len() {
            self.audit.extend(call.audit.clone());
        }
        Committed::Done(versions)
    }

    /// Gives the version, or the one that is in the way.
    fn change(&mut self, at: Timestamp, change: &Change) -> Result<u64, Option<u64>> {
        let newest = self.of(&change.key).pop();
        let version = newest.as_ref().map_or(0, |record| record.version);
        let current = newest.as_ref().filter(|record| record.body.is_some());
        if let Some(newest) = &newest
            && newest.body.as_deref() == change.body.as_deref()
            && (newest.at == at
                || change.expect == Expect::Absent && version == 1
                || matches!(change.expect, Expect::Version(before) if version == before + 1))
        {
            return Ok(version);
        }
        let fits = match change.expect {
            Expect::Anything => true,
            Expect::Absent => current.is_none(),
            Expect::Present => current.is_some(),
            Expect::Version(expected) => current.is_some_and(|record| record.version == expected),
        };
        if !fits {
            return Err(current.map(|record| record.version));
        }
        if current.is_none() && change.body.is_none() {
            return Ok(version);
        }
        if !change.keeps_earlier {
            let own = self.versions.iter_mut().filter(|(record, _)| record.key == change.key);
            own.for_each(|(_, is_kept)| *is_kept = false);
        }
        let record = Record {
            key: change.key.clone(),
            version: version + 1,
            at,
            change: u64::try_from(self.versions.len()).unwrap() + 1,
            body: change.body.as_deref().map(Into::into),
        };
        self.versions.push((record, true));
        Ok(version + 1)
    }

    fn newest(&self) -> Vec<Record> {
        let mut newest: Vec<_> = keys().iter().filter_map(|key| self.of(key).pop()).collect();
        newest.sort_by_key(|record| record.change);
        newest
    }
}

async fn same(model: &Model, home: &dyn Home) {
    let mut found = home.changes_after(0, usize::MAX).await.unwrap();
    assert!(found.is_sorted_by(|one, next| one.change < next.change), "{found:?}");
    // How far apart the numbers are is no promise.
    let mut expected = model.newest();
    found.iter_mut().chain(&mut expected).for_each(|record| record.change = 0);
    assert_eq!(found, expected);
    for key in keys() {
        let mut expected = model.of(&key);
        let current = expected.last().filter(|record| record.body.is_some()).cloned();
        let mut found = home.record_versions(&key, None, usize::MAX).await.unwrap();
        found.reverse();
        let current_found = home.record(&key).await.unwrap();
        assert_eq!(current_found.as_ref(), found.last().filter(|record| record.body.is_some()));
        assert_eq!(current_found.is_some(), current.is_some());
        let list = home.records(key.project.as_ref(), "k", None, 9).await.unwrap();
        assert_eq!(list.into_iter().find(|record| record.key == key), current_found);
        found.iter_mut().chain(&mut expected).for_each(|record| record.change = 0);
        assert_eq!(found, expected);
    }
    let mut rows = home.audit(ProjectId::new("p").ok().as_ref(), None, usize::MAX).await.unwrap();
    rows.reverse();
    let entries: Vec<_> = rows.into_iter().map(|row| row.entry).collect();
    assert_eq!(entries, model.audit);
    assert_eq!(home.verify_audit().await.unwrap().broken, None);
}

async fn compare(calls: &[Call], place: HomePlace) -> Vec<String> {
    let home = (place.open)(Access::Execute).await;
    let mut model = Model::default();
    let mut answers = Vec::new();
    for call in calls {
        for _ in 0..call.times {
            let expected = model.commit(call);
            let found = home.commit(call.at, call.changes.clone(), call.audit.clone()).await;
            assert_eq!(found, Ok(expected), "{call:?}");
            answers.push(format!("{found:?}"));
        }
    }
    same(&model, &*home).await;
    answers
}

/// Checks a kind of store; `fresh` gives an empty one, or `None` where it cannot be tested.
pub(crate) fn agrees<F: Future<Output = Option<HomePlace>>>(fresh: impl Fn() -> F) {
    crate::random::run(&calls(), &OF_NOTE, fresh, compare);
}
