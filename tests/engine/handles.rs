//! What the holder of a handle can rely on.

use flowruntime::{StartError, WaitError};
use futures_util::FutureExt;
use tokio::runtime::Builder;

use crate::stage::{Stage, one};

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
