//! Records are changed, all at once or not at all, and read.

use std::sync::Arc;
use std::time::Duration;

use flowcore::Timestamp;
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Access, Change, Committed, Expect, Home, MAX_RECORD_KEY, Record, RecordKey};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::kinds::HomePlace;
use crate::stage::{at, entry, key_of, project, put};

async fn executing(place: &HomePlace) -> Arc<dyn Home> {
    (place.open)(Access::Execute).await
}

/// Commits changes that must be made; gives the versions.
async fn commit(home: &dyn Home, at: Timestamp, changes: Vec<Change>) -> Vec<u64> {
    match home.commit(at, changes.clone(), Vec::new()).await.unwrap() {
        Committed::Done(versions) => versions,
        conflict => panic!("{conflict:?}: {changes:?}"),
    }
}

fn shown(record: &Record) -> (u64, Option<&str>) {
    (record.version, record.body.as_deref().map(|body| std::str::from_utf8(body).unwrap()))
}

/// The versions of a record, the newest first.
async fn versions(home: &dyn Home, key: &RecordKey) -> Vec<(u64, Option<String>)> {
    let records = home.record_versions(key, None, usize::MAX).await.unwrap();
    let shown = records.iter().map(shown);
    shown.map(|(version, body)| (version, body.map(str::to_owned))).collect()
}

pub(crate) async fn each_has_its_versions(place: HomePlace) {
    let home = executing(&place).await;
    let key = key_of("p", "workflow", "w");
    assert_eq!(home.record(&key).await, Ok(None));
    assert_eq!(commit(&*home, at(1), vec![put(&key, Expect::Absent, "one")]).await, [1]);
    assert_eq!(commit(&*home, at(2), vec![put(&key, Expect::Version(1), "two")]).await, [2]);
    assert_eq!(commit(&*home, at(3), vec![put(&key, Expect::Present, "three")]).await, [3]);
    let record = home.record(&key).await.unwrap().unwrap();
    assert_eq!((shown(&record), record.at, &record.key), ((3, Some("three")), at(3), &key));
    let second = home.record_version(&key, 2).await.unwrap().unwrap();
    assert_eq!((shown(&second), second.at), ((2, Some("two")), at(2)));
    assert_eq!(home.record_version(&key, 3).await, Ok(Some(record.clone())));
    assert_eq!(home.record_version(&key, 4).await, Ok(None));
    assert_eq!(home.record_version(&key, u64::MAX).await, Ok(None));
    let two = home.record_versions(&key, None, 2).await.unwrap();
    assert_eq!(two, [record, second.clone()]);
    let earlier = home.record_versions(&key, Some(3), 1).await.unwrap();
    assert_eq!(earlier, [second]);
    // Its namesakes are others.
    for other in [
        key_of("q", "workflow", "w"),
        key_of("p", "schedule", "w"),
        key_of("p", "workflow", "W"),
        RecordKey { project: None, ..key.clone() },
    ] {
        assert_eq!(home.record(&other).await, Ok(None), "{other:?}");
        assert_eq!(commit(&*home, at(4), vec![put(&other, Expect::Absent, "other")]).await, [1]);
    }
    assert_eq!(versions(&*home, &key).await.len(), 3);
    // What keeps no earlier versions forgets them all.
    let secret = Change { keeps_earlier: false, ..put(&key, Expect::Version(3), "four") };
    assert_eq!(commit(&*home, at(5), vec![secret]).await, [4]);
    assert_eq!(versions(&*home, &key).await, [(4, Some("four".to_owned()))]);
    drop(home);
    let home = executing(&place).await;
    assert_eq!(versions(&*home, &key).await, [(4, Some("four".to_owned()))]);
}

pub(crate) async fn what_is_not_as_expected_changes_nothing(place: HomePlace) {
    let home = executing(&place).await;
    let (there, gone) = (key_of("p", "k", "there"), key_of("p", "k", "gone"));
    let never = key_of("p", "k", "never");
    commit(&*home, at(1), vec![put(&there, Expect::Absent, "a")]).await;
    commit(&*home, at(1), vec![put(&gone, Expect::Absent, "a")]).await;
    let delete = Change { body: None, ..put(&gone, Expect::Version(1), "") };
    commit(&*home, at(2), vec![delete]).await;
    let before = home.changes_after(0, usize::MAX).await.unwrap();
    for (key, expect, found) in [
        (&there, Expect::Absent, Some(1)),
        (&there, Expect::Version(2), Some(1)),
        (&there, Expect::Version(0), Some(1)),
        (&there, Expect::Version(u64::MAX), Some(1)),
        (&gone, Expect::Present, None),
        (&gone, Expect::Version(1), None),
        (&gone, Expect::Version(2), None),
        (&never, Expect::Present, None),
        (&never, Expect::Version(0), None),
    ] {
        let other = put(&key_of("p", "k", "other"), Expect::Absent, "b");
        let changes = vec![other, put(key, expect, "b"), put(&there, Expect::Absent, "b")];
        let committed = home.commit(at(3), changes, vec![entry(3, Some("p"), "no")]).await;
        let conflict = Committed::Conflict { position: 1, found };
        assert_eq!(committed, Ok(conflict), "{key:?} {expect:?}");
    }
    assert_eq!(home.changes_after(0, usize::MAX).await, Ok(before));
    assert_eq!(home.audit(None, None, 9).await, Ok(vec![]));
    // Others that come at the same moment are not undone with one that conflicts.
    let many = (0..40).map(|number| {
        let expect = if number % 4 == 0 { Expect::Present } else { Expect::Absent };
        let key = key_of("p", "many", &number.to_string());
        home.commit(at(4), vec![put(&key, expect, "b")], Vec::new())
    });
    let conflict = |committed: &Result<_, _>| matches!(committed, Ok(Committed::Conflict { .. }));
    let committed = join_all(many).await;
    assert_eq!(committed.iter().filter(|committed| conflict(committed)).count(), 10);
    let kept = home.records(Some(&project("p")), "many", None, usize::MAX).await.unwrap();
    assert_eq!(kept.len(), 30);
}

pub(crate) async fn a_repeated_commit_is_made_once(place: HomePlace) {
    let home = executing(&place).await;
    let (first, second) = (key_of("p", "k", "a"), key_of("p", "k", "b"));
    let delete = |key: &RecordKey, expect| Change { body: None, ..put(key, expect, "") };
    let calls = [
        (vec![put(&first, Expect::Absent, "1"), put(&second, Expect::Anything, "1")], vec![1, 1]),
        (vec![put(&first, Expect::Version(1), "2"), delete(&second, Expect::Present)], vec![2, 2]),
        (vec![delete(&first, Expect::Version(2)), delete(&second, Expect::Anything)], vec![3, 2]),
        (vec![put(&first, Expect::Absent, "4"), put(&second, Expect::Present, "no")], vec![]),
        (vec![put(&first, Expect::Absent, "4")], vec![4]),
        (vec![put(&first, Expect::Anything, "5")], vec![5]),
    ];
    let mut entries = 0;
    for (second, (changes, versions)) in (10..).zip(calls) {
        let mut seen = Vec::new();
        for _ in 0..3 {
            let audit = vec![entry(second, Some("p"), "said"), entry(second, None, "again")];
            seen.push((
                home.commit(at(second), changes.clone(), audit).await.unwrap(),
                home.changes_after(0, 9).await.unwrap(),
                home.audit(None, None, 99).await.unwrap(),
            ));
        }
        match &seen[0].0 {
            Committed::Done(found) => {
                assert_eq!(*found, versions);
                entries += 2;
            }
            conflict => {
                assert_eq!(
                    (conflict, versions.len()),
                    (&Committed::Conflict { position: 1, found: None }, 0)
                );
            }
        }
        assert_eq!(seen[0].2.len(), entries);
        assert!(seen[1] == seen[0] && seen[2] == seen[0], "{seen:?}");
    }
    // At another time, or with another body, it is another change.
    let again = vec![put(&first, Expect::Anything, "5")];
    assert_eq!(commit(&*home, at(99), again).await, [6]);
    let other = vec![put(&first, Expect::Version(5), "other")];
    let conflict = Committed::Conflict { position: 0, found: Some(6) };
    assert_eq!(home.commit(at(99), other, Vec::new()).await, Ok(conflict));
    // The one that follows what was expected is the same whenever it was made.
    let same = vec![put(&first, Expect::Version(5), "5")];
    assert_eq!(commit(&*home, at(100), same).await, [6]);
}

pub(crate) async fn a_number_is_never_used_again(place: HomePlace) {
    let home = executing(&place).await;
    let key = key_of("p", "k", "a");
    let delete =
        |keeps_earlier| Change { body: None, keeps_earlier, ..put(&key, Expect::Present, "") };
    // What was never there is not deleted, and has no version after.
    let nothing = Change { expect: Expect::Anything, ..delete(true) };
    assert_eq!(commit(&*home, at(1), vec![nothing.clone()]).await, [0]);
    assert_eq!(home.changes_after(0, 9).await, Ok(vec![]));
    commit(&*home, at(2), vec![put(&key, Expect::Absent, "one")]).await;
    assert_eq!(commit(&*home, at(3), vec![delete(true)]).await, [2]);
    assert_eq!(home.record(&key).await, Ok(None));
    assert_eq!(home.records(Some(&project("p")), "k", None, 9).await, Ok(vec![]));
    // Its versions can still be read, and the deletion is one.
    let one = (1, Some("one".to_owned()));
    assert_eq!(versions(&*home, &key).await, [(2, None), one.clone()]);
    assert_eq!(shown(&home.record_version(&key, 2).await.unwrap().unwrap()), (2, None));
    assert_eq!(commit(&*home, at(4), vec![put(&key, Expect::Absent, "three")]).await, [3]);
    assert_eq!(versions(&*home, &key).await, [(3, Some("three".to_owned())), (2, None), one]);
    let last = home.record(&key).await.unwrap().unwrap().change;
    assert_eq!(commit(&*home, at(5), vec![delete(false)]).await, [4]);
    assert_eq!(versions(&*home, &key).await, [(4, None)]);
    assert_eq!(commit(&*home, at(6), vec![nothing]).await, [4]);
    drop(home);
    let home = executing(&place).await;
    assert_eq!(commit(&*home, at(7), vec![put(&key, Expect::Absent, "five")]).await, [5]);
    let record = home.record(&key).await.unwrap().unwrap();
    assert_eq!(shown(&record), (5, Some("five")));
    assert!(record.change > last + 1, "{} after {last}", record.change);
}

pub(crate) async fn lists_are_read_in_pages(place: HomePlace) {
    let home = executing(&place).await;
    let ids: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
    for some in ids.chunks(50) {
        // In the other order.
        let changes = some.iter().rev().map(|id| put(&key_of("p", "k", id), Expect::Absent, id));
        commit(&*home, at(1), changes.collect()).await;
    }
    let delete =
        |id: &str| Change { body: None, ..put(&key_of("p", "k", id), Expect::Present, "") };
    commit(&*home, at(2), vec![delete("000"), delete("150"), delete("299")]).await;
    let elsewhere = [key_of("q", "k", "010x"), key_of("p", "K", "010x")];
    let installation = RecordKey { project: None, ..key_of("p", "k", "010x") };
    let others = elsewhere.iter().chain([&installation]);
    commit(&*home, at(3), others.map(|key| put(key, Expect::Absent, "")).collect()).await;
    let left: Vec<_> =
        ids.into_iter().filter(|id| !["000", "150", "299"].contains(&&**id)).collect();
    let project = project("p");
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().map(String::as_str);
        let page = home.records(Some(&project), "k", after, 7).await.unwrap();
        assert!(page.iter().all(|record| record.key.project.as_ref() == Some(&project)));
        assert!(page.iter().all(|record| record.body.as_deref() == Some(record.key.id.as_bytes())));
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|record| record.key.id));
    }
    assert_eq!(seen, left);
    assert_eq!(home.records(Some(&project), "k", None, usize::MAX).await.unwrap().len(), 297);
    assert_eq!(home.records(Some(&project), "k", None, 0).await, Ok(vec![]));
    let own = home.records(None, "k", None, 9).await.unwrap();
    assert_eq!(own.iter().map(|record| &record.key).collect::<Vec<_>>(), [&installation]);
}

pub(crate) async fn a_follower_sees_the_newest_of_each(place: HomePlace) {
    let home = executing(&place).await;
    let key = |number: u64| key_of(["p", "q"][usize::from(number > 4)], "k", &number.to_string());
    let all = (0..9).map(|number| put(&key(number), Expect::Absent, "1"));
    commit(&*home, at(1), all.collect()).await;
    let first = home.changes_after(0, usize::MAX).await.unwrap();
    let ids: Vec<_> = first.iter().map(|record| record.key.clone()).collect();
    assert_eq!(ids, (0..9).map(key).collect::<Vec<_>>());
    assert!(first.is_sorted_by(|one, next| one.change < next.change), "{first:?}");
    let seen = first.last().unwrap().change;
    assert_eq!(home.changes_after(seen, 9).await, Ok(vec![]));
    for body in ["2", "3"] {
        commit(&*home, at(2), vec![put(&key(7), Expect::Present, body)]).await;
    }
    let gone = Change { body: None, keeps_earlier: false, ..put(&key(3), Expect::Present, "") };
    commit(&*home, at(3), vec![gone, put(&key(1), Expect::Version(1), "2")]).await;
    let after = async |change, limit| {
        let records = home.changes_after(change, limit).await.unwrap();
        let shown =
            |record: &Record| (record.key.id.clone(), record.version, record.body.is_some());
        (records.iter().map(shown).collect::<Vec<_>>(), records.last().map(|record| record.change))
    };
    let news = [("7", 3, true), ("3", 2, false), ("1", 2, true)]
        .map(|(id, version, is_there)| (id.to_owned(), version, is_there));
    assert_eq!(after(seen, 9).await.0, news);
    let (two, last) = after(seen, 2).await;
    assert_eq!(two, news[..2]);
    assert_eq!(after(last.unwrap(), 2).await.0, news[2..]);
    assert_eq!(after(0, usize::MAX).await.0.len(), 9);
    assert_eq!(after(u64::MAX, 9).await.0, []);
}

pub(crate) async fn bodies_and_names_may_be_anything(place: HomePlace) {
    let home = executing(&place).await;
    let odd = "a\0b \u{1f600} \u{feff}'\"\\ é";
    let key = key_of("p", odd, odd);
    let bodies = [vec![0, 255, 7], Vec::new(), vec![42; 3_000_000]];
    for (version, body) in (1..).zip(bodies) {
        let change = Change { body: Some(body.clone()), ..put(&key, Expect::Anything, "") };
        assert_eq!(commit(&*home, at(version), vec![change]).await, [version.unsigned_abs()]);
        let record = home.record(&key).await.unwrap().unwrap();
        assert_eq!(record.key, key);
        assert!(record.body.as_deref() == Some(&*body), "{version}");
    }
    // In the order of their bytes.
    let mut ids = ["", "b", "B", "é", "a\0", "a", "~", "\u{1f600}"].map(str::to_owned);
    let all = ids.iter().map(|id| put(&key_of("p", "k", id), Expect::Absent, ""));
    commit(&*home, at(9), all.collect()).await;
    ids.sort();
    let list = home.records(Some(&project("p")), "k", None, 99).await.unwrap();
    assert_eq!(list.into_iter().map(|record| record.key.id).collect::<Vec<_>>(), ids);
    let longest = key_of("p", "k", &"x".repeat(MAX_RECORD_KEY - 1));
    commit(&*home, at(9), vec![put(&longest, Expect::Absent, "")]).await;
    let longer = RecordKey { id: longest.id + "x", ..longest };
    let refused = home.commit(at(9), vec![put(&longer, Expect::Absent, "")], Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
    assert_eq!(home.record(&longer).await, Ok(None));
}

/// Several processes count one record up, while one follows the changes.
pub(crate) async fn many_who_change_one_lose_nothing(place: HomePlace) {
    const EACH: u64 = 15;
    let home = executing(&place).await;
    let homes =
        [home.clone(), (place.open)(Access::Visit).await, (place.open)(Access::Visit).await];
    let key = key_of("p", "k", "counter");
    commit(&*home, at(0), vec![put(&key, Expect::Absent, "0")]).await;
    let counts = homes.iter().enumerate().map(|(who, home)| {
        let (home, key) = (home.clone(), key.clone());
        tokio::spawn(async move {
            for step in 0..EACH {
                loop {
                    let record = home.record(&key).await.unwrap().unwrap();
                    let (version, body) = shown(&record);
                    let next = body.unwrap().split(' ').next().unwrap().parse::<u64>().unwrap() + 1;
                    // The body says who made it, or it could be taken for that of another.
                    let count = put(&key, Expect::Version(version), &format!("{next} {who}"));
                    let own =
                        put(&key_of("p", "own", &format!("{who} {step}")), Expect::Absent, "");
                    let done = home.commit(at(1), vec![count, own], Vec::new()).await.unwrap();
                    if let Committed::Done(versions) = done {
                        assert_eq!(versions, [version + 1, 1]);
                        break;
                    }
                }
            }
        })
    });
    let counts = counts.collect::<Vec<_>>();
    let mut own: Vec<Record> = Vec::new();
    let (mut last, mut is_over) = (0, false);
    loop {
        let changes = home.changes_after(last, 3).await.unwrap();
        if changes.is_empty() && is_over {
            break;
        }
        is_over = counts.iter().all(|count| count.is_finished());
        last = changes.last().map_or(last, |record| record.change);
        own.extend(changes.into_iter().filter(|record| record.key.kind == "own"));
        tokio::task::yield_now().await;
    }
    for count in counts {
        count.await.unwrap();
    }
    let record = home.record(&key).await.unwrap().unwrap();
    let all = 3 * EACH;
    assert!(shown(&record).1.unwrap().starts_with(&format!("{all} ")), "{record:?}");
    assert_eq!(record.version, all + 1);
    assert_eq!(u64::try_from(own.len()).unwrap(), all, "the follower missed something");
    assert_eq!(versions(&*home, &key).await.len(), usize::try_from(all).unwrap() + 1);
}

pub(crate) async fn a_dropped_commit_is_done_or_not(place: HomePlace) {
    let home = executing(&place).await;
    for number in 0..20_i64 {
        let key = |part: &str| key_of("p", part, &number.to_string());
        let changes = ["a", "b"].map(|part| put(&key(part), Expect::Absent, part)).to_vec();
        let audit: Vec<AuditEntry> = vec![entry(number, Some("p"), "both")];
        let mut dropped = home.commit(at(number), changes.clone(), audit.clone());
        if number % 2 == 0 {
            let _ = dropped.as_mut().now_or_never();
        }
        drop(dropped);
        // What comes after it is made after it.
        commit(&*home, at(99), vec![put(&key("c"), Expect::Absent, "c")]).await;
        let mut made = 0;
        for part in ["a", "b"] {
            made += usize::from(home.record(&key(part)).await.unwrap().is_some());
        }
        let rows = home.audit(None, None, 99).await.unwrap();
        let written = rows.iter().filter(|row| row.entry == audit[0]).count();
        assert!((made, written) == (2, 1) || (made, written) == (0, 0), "{made} {written}");
        // Whichever it was, it may be asked again.
        assert_eq!(home.commit(at(number), changes, audit).await, Ok(Committed::Done(vec![1, 1])));
        let rows = home.audit(None, None, 99).await.unwrap();
        assert_eq!(i64::try_from(rows.len()).unwrap(), number + 1);
    }
}

pub(crate) async fn the_bell_rings_here_and_elsewhere(place: HomePlace) {
    let home = executing(&place).await;
    let visitor = (place.open)(Access::Visit).await;
    let mut bell = home.bell();
    for (number, from) in [(1, &home), (2, &visitor)] {
        bell.borrow_and_update();
        let key = key_of("p", "k", &number.to_string());
        commit(&**from, at(1), vec![put(&key, Expect::Absent, "")]).await;
        let rang = tokio::time::timeout(Duration::from_secs(20), bell.changed()).await;
        rang.expect("the bell rings").unwrap();
    }
}
