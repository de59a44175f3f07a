//! The audit log: who did what, in chains.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowcore::Timestamp;
use flowruntime::store::{Append, Created, NewExecution, Sent, StoreError};
use flowstore::{Access, AuditCheck, AuditRow, BrokenLink, Expect, Home};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::kinds::HomePlace;
use crate::stage::{append, at, ended, entry, id, key, key_of, message, new, project, put};

async fn executing(place: &HomePlace) -> Arc<dyn Home> {
    (place.open)(Access::Execute).await
}

async fn say(home: &dyn Home, number: i64, of: Option<&str>) {
    let key = key_of("p", "k", &Uuid::now_v7().to_string());
    let entry = entry(number, of, &number.to_string());
    home.commit(at(number), vec![put(&key, Expect::Absent, "")], vec![entry]).await.unwrap();
}

fn times(rows: &[AuditRow]) -> Vec<Timestamp> {
    rows.iter().map(|row| row.entry.at).collect()
}

pub(crate) async fn it_is_read_in_pages(place: HomePlace) {
    let home = executing(&place).await;
    for number in 0..20 {
        let of = [None, Some("p"), Some("q"), Some("p")][usize::try_from(number % 4).unwrap()];
        say(&*home, number, of).await;
    }
    let all = home.audit(None, None, usize::MAX).await.unwrap();
    assert_eq!(times(&all), (0..20).rev().map(at).collect::<Vec<_>>());
    assert_eq!(all[19].entry, entry(0, None, "0"));
    assert_eq!(all[18].entry, entry(1, Some("p"), "1"));
    let mut seen = Vec::new();
    loop {
        let before = seen.last().map(|row: &AuditRow| row.position);
        let page = home.audit(Some(&project("p")), before, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(
        times(&seen),
        (0..20).rev().filter(|number| number % 2 == 1).map(at).collect::<Vec<_>>()
    );
    assert_eq!(home.audit(Some(&project("none")), None, 9).await, Ok(vec![]));
    assert_eq!(home.audit(None, Some(0), 9).await, Ok(vec![]));
    // Several entries of one commit are in their order, with or without a change.
    let both = vec![entry(30, None, "first"), entry(30, None, "second")];
    home.commit(at(30), Vec::new(), both.clone()).await.unwrap();
    let last = home.audit(None, None, 2).await.unwrap();
    let last: Vec<_> = last.into_iter().rev().map(|row| row.entry).collect();
    assert_eq!(last, both);
}

pub(crate) async fn a_start_is_written_down_with_it(place: HomePlace) {
    let home = executing(&place).await;
    let start = |number: u64, of: Option<&str>, print: &str| NewExecution {
        key: of.and_then(|of| key(of, print)),
        audit: Some(entry(i64::try_from(number).unwrap(), Some("p"), "started")),
        ..new(number)
    };
    // Those that are repeated, refused, or say nothing, leave nothing and no gap.
    let starts = [
        start(1, None, ""),
        start(2, Some("k"), "f"),
        start(3, Some("k"), "f"),
        start(4, Some("k"), "other"),
        new(5),
        start(1, None, ""),
        start(6, None, ""),
    ];
    let created = join_all(starts.map(|start| home.create(start))).await;
    let expected = [
        Ok(Created::New),
        Ok(Created::New),
        Ok(Created::Existing(id(2))),
        Err(StoreError::KeyConflict { key: "k".to_owned() }),
        Ok(Created::New),
        Ok(Created::Existing(id(1))),
        Ok(Created::New),
    ];
    assert_eq!(created, expected);
    let rows = home.audit(Some(&project("p")), None, 99).await.unwrap();
    assert_eq!(times(&rows), [6, 2, 1].map(at));
    assert_eq!(rows[0].entry.body, "{\"text\": \"started\"}");
    say(&*home, 7, None).await;
    let check = home.verify_audit().await.unwrap();
    assert_eq!((check.rows, check.broken), (4, None));
}

pub(crate) async fn a_message_is_written_down_with_it(place: HomePlace) {
    let home = executing(&place).await;
    let owner = home.enter().await.unwrap().id;
    let [open, over] = [1, 2].map(id);
    for number in [1, 2] {
        home.create(NewExecution { owner: Some(owner), ..new(number) }).await.unwrap();
    }
    home.append(Append { progress: ended(9), ..append(over, 1, 1) }).await.unwrap();
    let send = |execution, number: u64, says: Option<&str>| {
        let entry = says.map(|says| entry(i64::try_from(number).unwrap(), Some("p"), says));
        home.send(execution, message(number), entry)
    };
    // Those that are repeated, refused, or say nothing, leave nothing and no gap.
    let sends = [
        send(open, 1, Some("first")),
        send(open, 1, Some("again")),
        send(over, 2, Some("late")),
        send(id(3), 3, Some("nobody's")),
        send(open, 4, None),
        send(open, 5, Some("second")),
    ];
    let expected = [
        Ok(Sent::Kept),
        Ok(Sent::Kept),
        Ok(Sent::Finished),
        Ok(Sent::NotFound),
        Ok(Sent::Kept),
        Ok(Sent::Kept),
    ];
    assert_eq!(join_all(sends).await, expected);
    let rows = home.audit(Some(&project("p")), None, 99).await.unwrap();
    let mut entries: Vec<_> = rows.into_iter().map(|row| row.entry).collect();
    entries.sort_by_key(|entry| entry.at);
    // Of two with the same id, either is the one that was kept.
    assert!(["first", "again"].map(|says| entry(1, Some("p"), says)).contains(&entries[0]));
    assert_eq!(entries[1..], [entry(5, Some("p"), "second")]);
    assert_eq!(home.messages(open).await.unwrap().len(), 3);
    say(&*home, 7, None).await;
    send(open, 8, Some("third")).await.unwrap();
    let check = home.verify_audit().await.unwrap();
    assert_eq!((check.rows, check.broken), (4, None));
}

pub(crate) async fn every_link_follows_the_one_before(place: HomePlace) {
    let home = executing(&place).await;
    assert_eq!(home.verify_audit().await, Ok(AuditCheck::default()));
    let visitor = (place.open)(Access::Visit).await;
    for number in 0..5 {
        let both = [&home, &visitor].map(|home| say(&**home, number, Some("p")));
        let more = [&home, &home].map(|home| say(&**home, number, None));
        join_all(both.into_iter().chain(more)).await;
    }
    // One that is not made leaves no gap.
    let never = put(&key_of("p", "k", "never"), Expect::Present, "");
    home.commit(at(9), vec![never], vec![entry(9, None, "never")]).await.unwrap();
    say(&*home, 10, None).await;
    drop((home, visitor));
    let home = executing(&place).await;
    say(&*home, 11, None).await;
    let mut chains: BTreeMap<Uuid, Vec<u64>> = BTreeMap::new();
    for row in home.audit(None, None, 99).await.unwrap().into_iter().rev() {
        chains.entry(row.chain).or_default().push(row.number);
    }
    let mut lengths: Vec<_> = chains.values().map(Vec::len).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 5, 16]);
    assert!(chains.values().all(|numbers| numbers.iter().copied().eq(1..=numbers.len() as u64)));
    let whole = AuditCheck { chains: 3, rows: 22, broken: None };
    assert_eq!(home.verify_audit().await, Ok(whole));
}

/// SQL that is of the first chain only.
macro_rules! of_the_first {
    ($sql:literal) => {
        concat!($sql, " AND chain = (SELECT chain FROM audit ORDER BY chain LIMIT 1)")
    };
}

/// Two chains of six links each; gives the first.
async fn two_chains(place: &HomePlace) -> (Arc<dyn Home>, Uuid) {
    let homes = [executing(place).await, (place.open)(Access::Visit).await];
    for number in 1..=6 {
        for home in &homes {
            say(&**home, number, Some("p")).await;
        }
    }
    let rows = homes[0].audit(None, None, 99).await.unwrap();
    let first = rows.iter().map(|row| row.chain).min().unwrap();
    let [home, _] = homes;
    (home, first)
}

pub(crate) async fn what_was_changed_is_named(place: HomePlace) {
    let (home, chain) = two_chains(&place).await;
    for (number, meddle, undo) in [
        (
            4,
            of_the_first!("UPDATE audit SET body = '{}' WHERE number = 4"),
            of_the_first!("UPDATE audit SET body = '{\"text\": \"4\"}' WHERE number = 4"),
        ),
        (
            1,
            of_the_first!("UPDATE audit SET at = at + 1 WHERE number = 1"),
            of_the_first!("UPDATE audit SET at = at - 1 WHERE number = 1"),
        ),
        (
            6,
            of_the_first!("UPDATE audit SET project = 'q' WHERE number = 6"),
            of_the_first!("UPDATE audit SET project = 'p' WHERE number = 6"),
        ),
        (
            2,
            of_the_first!("UPDATE audit SET project = NULL WHERE number = 2"),
            of_the_first!("UPDATE audit SET project = 'p' WHERE number = 2"),
        ),
        // What stands there is no longer the third link, or any.
        (
            3,
            of_the_first!("UPDATE audit SET number = 9 WHERE number = 3"),
            of_the_first!("UPDATE audit SET number = 3 WHERE number = 9"),
        ),
    ] {
        (place.meddle)(meddle).await;
        let broken = home.verify_audit().await.unwrap().broken;
        assert_eq!(broken, Some(BrokenLink { chain, number }), "{meddle}");
        (place.meddle)(undo).await;
        let whole = AuditCheck { chains: 2, rows: 12, broken: None };
        assert_eq!(home.verify_audit().await, Ok(whole), "{undo}");
    }
}

pub(crate) async fn what_is_missing_is_named(place: HomePlace) {
    let (home, chain) = two_chains(&place).await;
    let broken = async || home.verify_audit().await.unwrap().broken;
    // Of the end nothing tells, as the trait says.
    (place.meddle)(of_the_first!("DELETE FROM audit WHERE number = 6")).await;
    assert_eq!(broken().await, None);
    (place.meddle)(of_the_first!("DELETE FROM audit WHERE number IN (3, 4)")).await;
    assert_eq!(broken().await, Some(BrokenLink { chain, number: 3 }));
    // What is written later heals nothing.
    say(&*home, 7, None).await;
    assert_eq!(broken().await, Some(BrokenLink { chain, number: 3 }));
    (place.meddle)(of_the_first!("DELETE FROM audit WHERE number = 1")).await;
    assert_eq!(broken().await, Some(BrokenLink { chain, number: 1 }));
}
