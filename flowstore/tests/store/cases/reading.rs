//! What is kept is read.

use flowcore::{ExecutionId, ExecutionStatus};
use flowruntime::store::{Append, Blob, Cursor, NewExecution, Progress, Query};

use crate::stage::{
    Stage, append, at, blob, definition, digest, ended, id, new, project, running, workflow_id,
};

async fn ids(stage: &Stage, query: &Query) -> Vec<ExecutionId> {
    stage.store.executions(query).await.unwrap().iter().map(|row| row.id).collect()
}

pub(crate) async fn a_list_is_read_in_pages(stage: Stage) {
    // Four of each time.
    for number in 0..20 {
        let created_at = at(i64::try_from(number / 4).unwrap());
        stage.store.create(NewExecution { created_at, ..new(number) }).await.unwrap();
    }
    let mut query = Query { limit: 3, ..Query::default() };
    let mut seen = Vec::new();
    loop {
        let page = stage.store.executions(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = Some(Cursor { created_at: last.created_at, id: last.id });
        assert!(page.len() <= 3);
        seen.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(seen, (0..20).rev().map(id).collect::<Vec<_>>());
    assert_eq!(ids(&stage, &Query { limit: 0, ..Query::default() }).await, []);
    let all = Query { limit: usize::MAX, ..Query::default() };
    assert_eq!(ids(&stage, &all).await, seen);
}

pub(crate) async fn a_list_is_filtered(stage: Stage) {
    let owner = stage.owner().await;
    let statuses = [
        ExecutionStatus::Queued,
        ExecutionStatus::Running,
        ExecutionStatus::Waiting,
        ExecutionStatus::Paused,
        ExecutionStatus::Succeeded,
        ExecutionStatus::Failed,
        ExecutionStatus::Cancelled,
        ExecutionStatus::TimedOut,
    ];
    for number in 0..16 {
        let workflow = workflow_id(if number < 8 { "orders" } else { "Orders" });
        let owned = NewExecution { workflow_id: workflow, owner: Some(owner), ..new(number) };
        stage.store.create(owned).await.unwrap();
        let status = statuses[usize::try_from(number % 8).unwrap()];
        if status != ExecutionStatus::Queued {
            let progress = Progress { status, ..running() };
            stage.commit(Append { progress, ..append(id(number), 1, 1) }).await;
        }
    }
    let check = async |query: Query, expected: &[u64]| {
        let expected: Vec<_> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(ids(&stage, &query).await, expected, "{query:?}");
    };
    let any = Query::default;
    for (position, status) in (0..).zip(statuses) {
        check(Query { statuses: vec![status], ..any() }, &[position + 8, position]).await;
    }
    let orders = Some(workflow_id("orders"));
    check(Query { workflow_id: orders.clone(), ..any() }, &[7, 6, 5, 4, 3, 2, 1, 0]).await;
    check(Query { workflow_id: Some(workflow_id("none")), ..any() }, &[]).await;
    let two = vec![ExecutionStatus::Failed, ExecutionStatus::Running];
    check(Query { statuses: two.clone(), workflow_id: orders.clone(), ..any() }, &[5, 1]).await;
    let ended = vec![ExecutionStatus::Failed, ExecutionStatus::TimedOut];
    check(Query { statuses: ended.clone(), limit: 3, ..any() }, &[15, 13, 7]).await;
    let open = vec![ExecutionStatus::Queued, ExecutionStatus::Paused, ExecutionStatus::Running];
    check(Query { statuses: open, ..any() }, &[11, 9, 8, 3, 1, 0]).await;
    check(Query { created_from: Some(at(14)), ..any() }, &[15, 14]).await;
    check(Query { created_before: Some(at(2)), ..any() }, &[1, 0]).await;
    let (created_from, created_before) = (Some(at(3)), Some(at(6)));
    check(Query { created_from, created_before, ..any() }, &[5, 4, 3]).await;
    let after = Some(Cursor { created_at: at(13), id: id(13) });
    check(Query { statuses: ended, after, ..any() }, &[7, 5]).await;
    let (statuses, workflow_id) = (statuses.to_vec(), orders);
    let all =
        Query { workflow_id, statuses, created_from, created_before, after, limit: 2, ..any() };
    check(all, &[5, 4]).await;
}

pub(crate) async fn a_list_is_of_one_project(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..12 {
        let project = project(["a", "b", "default"][usize::try_from(number % 3).unwrap()]);
        let of = NewExecution { project, owner: Some(owner), ..new(number) };
        stage.store.create(of).await.unwrap();
        let status = match number / 3 {
            0 => continue,
            1 => ExecutionStatus::Running,
            2 => ExecutionStatus::Failed,
            _ => ExecutionStatus::Succeeded,
        };
        let progress = Progress { status, ..running() };
        stage.commit(Append { progress, ..append(id(number), 1, 1) }).await;
    }
    let check = async |query: Query, expected: &[u64]| {
        let expected: Vec<_> = expected.iter().map(|number| id(*number)).collect();
        assert_eq!(ids(&stage, &query).await, expected, "{query:?}");
    };
    let of = |name: &str| Query { project: project(name), ..Query::default() };
    check(of("a"), &[9, 6, 3, 0]).await;
    check(of("b"), &[10, 7, 4, 1]).await;
    check(Query::default(), &[11, 8, 5, 2]).await;
    check(of("A"), &[]).await;
    let open = vec![ExecutionStatus::Queued, ExecutionStatus::Running];
    check(Query { statuses: open, ..of("a") }, &[3, 0]).await;
    check(Query { statuses: vec![ExecutionStatus::Failed], ..of("b") }, &[7]).await;
    let orders = Some(workflow_id("orders"));
    let after = Some(Cursor { created_at: at(9), id: id(9) });
    check(Query { workflow_id: orders, after, limit: 2, ..of("a") }, &[6, 3]).await;
}

pub(crate) async fn what_has_ended_since_is_listed(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..6 {
        stage.owned(number, owner).await;
        if number < 4 {
            // Those that came first end last.
            let progress = ended(70 - i64::try_from(number).unwrap());
            stage.commit(Append { progress, ..append(id(number), 1, 1) }).await;
        }
    }
    let since = |second| Query { ended_from: Some(at(second)), ..Query::default() };
    assert_eq!(ids(&stage, &since(69)).await, [id(1), id(0)]);
    assert_eq!(ids(&stage, &since(71)).await, []);
    let after = Some(Cursor { created_at: at(2), id: id(2) });
    assert_eq!(ids(&stage, &Query { after, limit: 1, ..since(0) }).await, [id(1)]);
    let orders = Some(workflow_id("orders"));
    assert_eq!(ids(&stage, &Query { workflow_id: orders, ..since(70) }).await, [id(0)]);
}

pub(crate) async fn those_that_wait_for_their_turn_are_counted(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..12 {
        let of = project(["default", "p"][usize::from(number % 4 == 3)]);
        // Some belong to somebody, others to nobody.
        let owner = Some(owner).filter(|_| number % 2 == 0);
        stage.store.create(NewExecution { project: of, owner, ..new(number) }).await.unwrap();
    }
    for (number, status) in [
        (0, ExecutionStatus::Running),
        (2, ExecutionStatus::Succeeded),
        (4, ExecutionStatus::Queued),
    ] {
        let progress = Progress { status, ..running() };
        stage.commit(Append { progress, ..append(id(number), 1, 1) }).await;
    }
    let queued = async |of: &str, at_most| stage.store.queued(&project(of), at_most).await;
    assert_eq!(queued("default", usize::MAX).await, Ok(7));
    assert_eq!(queued("default", 5).await, Ok(5));
    assert_eq!(queued("p", 100).await, Ok(3));
    assert_eq!(queued("none", 100).await, Ok(0));
    assert_eq!(queued("p", 0).await, Ok(0));
}

pub(crate) async fn those_that_have_gone_on_are_found(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..4 {
        stage.owned(number, owner).await;
        stage.commit(append(id(number), 1, number + 1)).await;
    }
    let known = [(id(0), 0), (id(1), 2), (id(2), 1), (id(3), 9), (id(9), 0)];
    let mut found = stage.store.gone_on(&known).await.unwrap();
    found.sort_by_key(|row| row.id);
    assert_eq!(found, [stage.row(id(0)).await, stage.row(id(2)).await]);
    assert_eq!(stage.store.gone_on(&[]).await, Ok(vec![]));
}

pub(crate) async fn segments_are_read_in_parts(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    for first_seq in [1, 4, 7, 10] {
        stage.commit(append(execution, first_seq, 3)).await;
    }
    let read = async |after, limit| -> Vec<(u64, u64)> {
        let segments = stage.store.segments(execution, after, limit).await.unwrap();
        segments.iter().map(|segment| (segment.first_seq, segment.last_seq)).collect()
    };
    assert_eq!(read(0, usize::MAX).await, [(1, 3), (4, 6), (7, 9), (10, 12)]);
    assert_eq!(read(0, 2).await, [(1, 3), (4, 6)]);
    assert_eq!(read(3, 1).await, [(4, 6)]);
    // One that is only partly after it is given whole.
    assert_eq!(read(5, 9).await, [(4, 6), (7, 9), (10, 12)]);
    assert_eq!(read(12, 9).await, []);
    assert_eq!(read(u64::MAX, 9).await, []);
    assert_eq!(read(0, 0).await, []);
}

pub(crate) async fn values_are_kept_once(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let blobs = vec![blob("a"), blob(""), blob("a")];
    stage.commit(Append { blobs, ..append(execution, 1, 1) }).await;
    // The first to come stays; a digest says that they are the same.
    let other = Blob { bytes: b"other".as_slice().into(), ..blob("a") };
    stage.commit(Append { blobs: vec![other], ..append(execution, 2, 1) }).await;
    let found = stage.store.blobs(&[digest(""), digest("none"), digest("a")]).await;
    assert_eq!(found, Ok(vec![blob(""), blob("a")]));
    // So it is with what is run.
    let mut same = definition("{}").as_ref().clone();
    same.text = "other".to_owned();
    let execution = NewExecution { definition: same.into(), ..new(2) };
    stage.store.create(execution).await.unwrap();
    assert_eq!(stage.store.definition(digest("{}")).await, Ok(Some(definition("{}"))));
}

pub(crate) async fn what_is_not_there_is_left_out(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.commit(Append { progress: ended(70), ..append(execution, 1, 1) }).await;
    assert_eq!(stage.store.execution(id(2)).await, Ok(None));
    assert_eq!(stage.store.load(id(2)).await, Ok(None));
    assert_eq!(stage.store.segments(id(2), 0, 9).await, Ok(vec![]));
    assert_eq!(stage.store.logs(id(2), 0, 9).await, Ok(vec![]));
    assert_eq!(stage.store.blobs(&[]).await, Ok(vec![]));
    assert_eq!(stage.store.definition(digest("none")).await, Ok(None));
}
