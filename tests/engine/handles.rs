//! What the holder of a handle can rely on.

use flowruntime::{StartError, WaitError};
use futures_util::FutureExt;
use tokio::runtime::Builder;

use crate::stage::{Stage, one};
use crate::support::collect;

/// A tokio runtime on the calling thread.
fn tokio_runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn an_execution_whose_runtime_ended_before_its_first_turn_is_lost() {
    let tokio = tokio_runtime();
    let runtime = Stage::new().runtime();
    let handle = tokio.block_on(async { runtime.start(&one("quick.task"), ()).now_or_never() });
    let handle = handle.unwrap().unwrap();
    drop(tokio);
    assert_eq!(handle.wait().now_or_never().unwrap().unwrap_err(), WaitError::Lost);
}

#[test]
fn an_execution_whose_runtime_ended_while_it_ran_is_lost_for_all_who_wait() {
    for node_type in ["deaf.async", "stubborn.async", "deaf.task", "stubborn.task"] {
        let tokio = tokio_runtime();
        let stage = Stage::new();
        let runtime = stage.runtime();
        let handle = tokio.block_on(async {
            let handle = runtime.start(&one(node_type), ()).await.unwrap();
            stage.started.wait().await;
            handle
        });
        let waits = [handle.clone(), handle.clone()].map(|handle| {
            std::thread::spawn(move || {
                crate::support::on_current_thread(async move { handle.wait().await })
            })
        });
        drop(tokio);
        for wait in waits {
            assert_eq!(wait.join().unwrap().unwrap_err(), WaitError::Lost, "{node_type}");
        }
        assert_eq!(
            StartError::from(handle.wait().now_or_never().unwrap().unwrap_err()).code(),
            "execution.lost"
        );
        assert!(handle.is_ended());
        assert_eq!((stage.running.now(), runtime.running_attempts()), (0, 0));
    }
}

both_flavours! {
    async fn events_end_with_the_execution_and_there_are_none_after_it() {
        let stage = Stage::new();
        let prepared = stage.runtime().prepare(&one("quick.task"), ()).unwrap();
        let mut early = prepared.events();
        let handle = prepared.start().await.unwrap();
        handle.wait().await.unwrap();
        assert_eq!(collect(&mut handle.events()).await, "");
        let expected = "started\na started #1\na completed #1\nended Succeeded";
        assert_eq!(collect(&mut early).await, expected);
        assert_eq!(collect(&mut early).await, "");
        assert_eq!(collect(&mut handle.events()).await, "");
    }

    async fn whoever_subscribes_at_any_moment_sees_the_end_or_nothing() {
        let stage = Stage::new();
        let runtime = stage.runtime();
        for yields in 0..30 {
            let handle = runtime.start(&one("quick.task"), ()).await.unwrap();
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            let seen = collect(&mut handle.events()).await;
            assert!(seen.is_empty() || seen.ends_with("ended Succeeded"), "{seen}");
        }
    }
}

#[test]
fn the_events_of_a_lost_execution_end() {
    let tokio = tokio_runtime();
    let runtime = Stage::new().runtime();
    let prepared = runtime.prepare(&one("deaf.task"), ()).unwrap();
    let mut events = prepared.events();
    let handle = tokio.block_on(async {
        let handle = prepared.start().await.unwrap();
        tokio::task::yield_now().await;
        handle
    });
    let waiting = std::thread::spawn(move || {
        crate::support::on_current_thread(async move { collect(&mut events).await })
    });
    drop(tokio);
    assert_eq!(waiting.join().unwrap(), "started\na started #1");
    assert!(handle.is_ended());
}
