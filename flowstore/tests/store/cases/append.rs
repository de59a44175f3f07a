//! What owners write.

use flowcore::{ExecutionError, ExecutionStatus};
use flowruntime::store::{Append, Appended, LogLine, Progress, Segment};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::stage::{
    Stage, append, at, blob, digest, ended, id, line, message, new, released, running, segment,
};

pub(crate) async fn events_are_kept_in_order(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.commit(append(execution, 1, 3)).await;
    stage.commit(append(execution, 4, 0)).await;
    stage.commit(append(execution, 4, 1)).await;
    let kept = stage.store.load(execution).await.unwrap().unwrap();
    let expected = [(1, 3), (4, 4)].map(|(first_seq, last_seq)| Segment {
        first_seq,
        last_seq,
        bytes: segment(first_seq, last_seq),
    });
    assert_eq!(kept.segments, expected);
    assert_eq!((kept.row.last_seq, kept.row.status), (4, ExecutionStatus::Running));
}

pub(crate) async fn a_repetition_is_committed_and_changes_nothing(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.store.send(execution, message(1), None).await.unwrap();
    let first = Append {
        blobs: vec![blob("value")],
        logs: vec![line("said")],
        taken: vec![message(1).id],
        ..append(execution, 1, 2)
    };
    stage.commit(first.clone()).await;
    stage.commit(append(execution, 3, 2)).await;
    let before = stage.all(execution).await;
    stage.commit(first).await;
    stage.commit(append(execution, 3, 2)).await;
    assert_eq!(stage.all(execution).await, before);
    // The same numbers with other events are no repetition.
    let other = Append { segment: b"other".to_vec(), ..append(execution, 3, 2) };
    assert_eq!(stage.store.append(other).await, Ok(Appended::OutOfOrder { last_seq: 4 }));
    let longer = append(execution, 3, 3);
    assert_eq!(stage.store.append(longer).await, Ok(Appended::OutOfOrder { last_seq: 4 }));
    assert_eq!(stage.all(execution).await, before);
}

pub(crate) async fn nothing_changes_behind_a_wrong_fence(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.store.create(new(2)).await.unwrap();
    stage.commit(append(execution, 1, 1)).await;
    stage.store.send(execution, message(1), None).await.unwrap();
    let before = (stage.all(execution).await, stage.all(id(2)).await);
    let all = Append {
        blobs: vec![blob("value")],
        logs: vec![line("said")],
        taken: vec![message(1).id],
        progress: ended(70),
        ..append(execution, 2, 1)
    };
    for refused in [
        Append { fence: 0, ..all.clone() },
        Append { fence: 2, ..all.clone() },
        Append { fence: u64::MAX, ..all.clone() },
        // Nobody has this one.
        Append { fence: 0, execution: id(2), first_seq: 1, last_seq: 1, ..all.clone() },
        // There is no such one.
        Append { execution: id(3), first_seq: 1, last_seq: 1, ..all.clone() },
        // Not even a repetition is committed.
        Append { fence: 2, ..append(execution, 1, 1) },
    ] {
        assert_eq!(stage.store.append(refused.clone()).await, Ok(Appended::Fenced), "{refused:?}");
    }
    assert_eq!((stage.all(execution).await, stage.all(id(2)).await), before);
    assert_eq!(stage.store.blobs(&[digest("value")]).await, Ok(vec![]));
    stage.commit(all).await;
}

pub(crate) async fn what_does_not_follow_is_out_of_order(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    for (first_seq, count) in [(2, 1), (0, 1), (5, 0)] {
        let appended = stage.store.append(append(execution, first_seq, count)).await;
        assert_eq!(appended, Ok(Appended::OutOfOrder { last_seq: 0 }), "{first_seq}");
    }
    // What it starts with stands before the first event, and is none.
    let start =
        Append { first_seq: 0, last_seq: 0, segment: new(1).start, ..append(execution, 1, 0) };
    assert_eq!(stage.store.append(start).await, Ok(Appended::OutOfOrder { last_seq: 0 }));
    stage.commit(append(execution, 1, 3)).await;
    for (first_seq, count) in [(1, 2), (3, 2), (5, 1), (u64::MAX, 1)] {
        let out_of_order = Append {
            blobs: vec![blob("value")],
            logs: vec![line("said")],
            ..append(execution, first_seq, count)
        };
        let appended = stage.store.append(out_of_order).await;
        assert_eq!(appended, Ok(Appended::OutOfOrder { last_seq: 3 }), "{first_seq}");
    }
    assert_eq!(stage.store.segments(execution, 0, 9).await.unwrap().len(), 1);
    assert_eq!(stage.store.blobs(&[digest("value")]).await, Ok(vec![]));
    assert_eq!(stage.store.logs(execution, 0, 9).await, Ok(vec![]));
}

pub(crate) async fn nothing_follows_the_end(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let end = Append { progress: ended(70), ..append(execution, 1, 2) };
    stage.commit(end.clone()).await;
    let before = stage.all(execution).await;
    let next = append(execution, 3, 1);
    assert_eq!(stage.store.append(next).await, Ok(Appended::Fenced));
    assert_eq!(stage.store.append(append(execution, 3, 0)).await, Ok(Appended::Fenced));
    stage.commit(end).await;
    assert_eq!(stage.all(execution).await, before);
    assert_eq!(stage.row(execution).await.owner, None);
    assert_eq!(stage.store.claim_one(owner, execution).await, Ok(None));
    assert_eq!(stage.store.claim(owner, at(1000), 9).await, Ok(Default::default()));
}

pub(crate) async fn calls_that_are_not_waited_for_are_made_in_order(stage: Stage) {
    let owner = stage.owner().await;
    let first = stage.owned(1, owner).await;
    let second = stage.owned(2, owner).await;
    let appends = (1..=300).flat_map(|seq| {
        [first, second].map(|execution| stage.store.append(append(execution, seq, 1)))
    });
    let mut answers: Vec<_> = appends.collect();
    // Nobody looks at the earlier ones before the last is answered.
    assert_eq!(answers.pop().unwrap().await, Ok(Appended::Committed));
    for answer in join_all(answers).await {
        assert_eq!(answer, Ok(Appended::Committed));
    }
    for execution in [first, second] {
        assert_eq!(stage.store.segments(execution, 0, 999).await.unwrap().len(), 300);
    }
}

pub(crate) async fn a_refused_one_does_not_undo_its_neighbours(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..60 {
        stage.owned(number, owner).await;
    }
    let appends = (0..60).map(|number| {
        let fence = if number % 3 == 0 { 7 } else { 1 };
        let first_seq = if number % 3 == 1 { 2 } else { 1 };
        let logs = vec![line("said")];
        Append { fence, logs, blobs: vec![blob("value")], ..append(id(number), first_seq, 1) }
    });
    let answers: Vec<_> = appends.map(|append| stage.store.append(append)).collect();
    for (number, answer) in (0..).zip(join_all(answers).await) {
        let expected = match number % 3 {
            0 => Appended::Fenced,
            1 => Appended::OutOfOrder { last_seq: 0 },
            _ => Appended::Committed,
        };
        assert_eq!(answer, Ok(expected), "{number}");
        let lines = stage.store.logs(id(number), 0, 9).await.unwrap().len();
        let is_kept = expected == Appended::Committed;
        assert_eq!(lines, usize::from(is_kept));
        assert_eq!(stage.row(id(number)).await.last_seq, u64::from(is_kept));
    }
}

pub(crate) async fn a_dropped_call_is_done_or_not(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..20 {
        let execution = stage.owned(number, owner).await;
        let first = Append { logs: vec![line("said")], ..append(execution, 1, 2) };
        let mut dropped = stage.store.append(first.clone());
        if number % 2 == 0 {
            let _ = (&mut dropped).now_or_never();
        }
        drop(dropped);
        let next = stage.store.append(append(execution, 3, 1)).await.unwrap();
        let (lines, last_seq) = match next {
            Appended::Committed => (1, 3),
            Appended::OutOfOrder { last_seq: 0 } => (0, 0),
            other => panic!("{other:?}"),
        };
        assert_eq!(stage.row(execution).await.last_seq, last_seq);
        assert_eq!(stage.store.logs(execution, 0, 9).await.unwrap().len(), lines);
        // Whichever it was, it may be asked again.
        stage.commit(first).await;
    }
}

pub(crate) async fn progress_changes_the_row(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let before = stage.row(execution).await;
    let progress = Progress { wake_at: Some(at(90)), ..running() };
    stage.commit(Append { progress, ..append(execution, 1, 1) }).await;
    let row = stage.row(execution).await;
    let mut expected = before;
    expected.status = ExecutionStatus::Running;
    expected.last_seq = 1;
    expected.started_at = Some(at(50));
    expected.wake_at = Some(at(90));
    assert_eq!(row, expected);
    // It starts once.
    let progress = Progress { started_at: Some(at(99)), ..running() };
    stage.commit(Append { progress, ..append(execution, 2, 0) }).await;
    expected.wake_at = None;
    assert_eq!(stage.row(execution).await, expected);
    let progress = Progress { status: ExecutionStatus::Paused, started_at: None, ..running() };
    stage.commit(Append { progress, ..append(execution, 2, 1) }).await;
    expected.status = ExecutionStatus::Paused;
    expected.last_seq = 2;
    assert_eq!(stage.row(execution).await, expected);
    stage.commit(Append { progress: ended(70), ..append(execution, 3, 1) }).await;
    expected.status = ExecutionStatus::Succeeded;
    expected.last_seq = 3;
    expected.owner = None;
    expected.ended_at = Some(at(70));
    assert_eq!(stage.row(execution).await, expected);
}

pub(crate) async fn a_failure_is_kept_with_the_row(stage: Stage) {
    let owner = stage.owner().await;
    let error = ExecutionError {
        code: "http.status".to_owned(),
        message: "the server \0 said 500 é".to_owned(),
        node: Some("each[3].fetch".to_owned()),
        attempts: Some(3),
        hint: Some("try later".to_owned()),
    };
    let statuses = [ExecutionStatus::Failed, ExecutionStatus::Cancelled, ExecutionStatus::TimedOut];
    for (number, status) in (0..).zip(statuses) {
        let execution = stage.owned(number, owner).await;
        // An error of one that goes on is not kept.
        let progress = Progress { error: Some(error.clone()), ..running() };
        stage.commit(Append { progress, ..append(execution, 1, 1) }).await;
        assert_eq!(stage.row(execution).await.error, None);
        let progress = Progress { status, error: Some(error.clone()), ..ended(70) };
        stage.commit(Append { progress, ..append(execution, 2, 1) }).await;
        let row = stage.row(execution).await;
        assert_eq!((row.status, row.error), (status, Some(error.clone())));
    }
}

pub(crate) async fn large_and_empty_segments_are_exact(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    for (first_seq, bytes) in (1..).zip([large, Vec::new(), vec![0]]) {
        stage.commit(Append { segment: bytes.clone(), ..append(execution, first_seq, 1) }).await;
        let segments = stage.store.segments(execution, first_seq - 1, 1).await.unwrap();
        assert!(segments[0].bytes == bytes, "segment {first_seq}");
    }
}

pub(crate) async fn lines_are_numbered(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let odd = LogLine { attempt: u32::MAX, kind: "data".to_owned(), ..line("\0 é \u{1f600}\n") };
    let logs = vec![LogLine { number: 77, ..line("one") }, odd.clone()];
    stage.commit(Append { logs, ..append(execution, 1, 1) }).await;
    stage.commit(append(execution, 2, 1)).await;
    let three = Append { first_line: 3, logs: vec![line("three")], ..append(execution, 3, 0) };
    stage.commit(three).await;
    let numbered = |number, line: &LogLine| LogLine { number, ..line.clone() };
    let expected = [numbered(1, &line("one")), numbered(2, &odd), numbered(3, &line("three"))];
    assert_eq!(stage.store.logs(execution, 0, 99).await.unwrap(), expected);
    assert_eq!(stage.store.logs(execution, 1, 1).await.unwrap(), expected[1..2]);
    assert_eq!(stage.store.logs(execution, u64::MAX, 1).await, Ok(vec![]));
    // They go on where they were, whoever executes it.
    stage.commit(Append { progress: released(None), ..append(execution, 3, 0) }).await;
    let claim = stage.store.claim_one(owner, execution).await.unwrap().unwrap();
    let logs = vec![line("four")];
    let kept = stage.store.load(execution).await.unwrap().unwrap();
    let first_line = kept.last_line + 1;
    stage.commit(Append { fence: claim.fence, first_line, logs, ..append(execution, 3, 0) }).await;
    assert_eq!(stage.store.logs(execution, 3, 9).await, Ok(vec![numbered(4, &line("four"))]));
}

pub(crate) async fn lines_of_a_repetition_are_kept_once(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let logs = |texts: &[&str]| texts.iter().map(|text| line(text)).collect::<Vec<_>>();
    let first = Append { logs: logs(&["one", "two"]), ..append(execution, 1, 0) };
    let second = Append { first_line: 3, logs: logs(&["three"]), ..append(execution, 1, 1) };
    let third = Append { first_line: 4, logs: logs(&["four"]), ..append(execution, 2, 0) };
    stage.commit(first.clone()).await;
    stage.commit(first.clone()).await;
    stage.commit(second.clone()).await;
    stage.commit(third.clone()).await;
    let before = stage.all(execution).await;
    // As after an outcome that is unknown: all that was not answered, in its order.
    let again = [&second, &third, &third].map(|append| stage.store.append(append.clone()));
    for answer in join_all(again).await {
        assert_eq!(answer, Ok(Appended::Committed));
    }
    assert_eq!(stage.all(execution).await, before);
    let lines = stage.store.logs(execution, 0, 9).await.unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "two", "three", "four"]);
    assert_eq!(stage.store.load(execution).await.unwrap().unwrap().last_line, 4);
    // Of one that was done in part by another name, only what is new is kept.
    let longer = Append { first_line: 4, logs: logs(&["four", "five"]), ..append(execution, 2, 0) };
    stage.commit(longer).await;
    let lines = stage.store.logs(execution, 3, 9).await.unwrap();
    let numbers: Vec<(u64, &str)> = lines.iter().map(|l| (l.number, l.text.as_str())).collect();
    assert_eq!(numbers, [(4, "four"), (5, "five")]);
}
