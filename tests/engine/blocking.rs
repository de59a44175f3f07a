//! The same API without async.

use flowcore::{ExecutionStatus, WorkflowId};
use flowruntime::{BlockingRuntime, StartError, WaitError};

use crate::stage::{Stage, one};

fn blocking(stage: &Stage, workers: usize) -> BlockingRuntime {
    BlockingRuntime::builder(stage.runtime()).worker_threads(workers).build().unwrap()
}

#[test]
fn executions_run_on_the_calling_thread_or_on_threads_of_their_own() {
    for workers in [0, 2] {
        let stage = Stage::new();
        let runtime = blocking(&stage, workers);
        for node_type in ["quick.inline", "quick.async", "quick.task", "quick.blocking"] {
            let workflow = one(node_type);
            assert!(runtime.execute(&workflow, ()).unwrap().is_success());
            let handle = runtime.start(&workflow, ()).unwrap();
            assert!(runtime.wait(&handle).unwrap().is_success());
            assert!(runtime.block_on(handle.wait()).unwrap().is_success());
            let id = runtime.flow().register(workflow).unwrap();
            assert!(runtime.execute_by_id(&id, ()).unwrap().is_success());
        }
        let unknown = WorkflowId::new("unknown").unwrap();
        let error = runtime.execute_by_id(&unknown, ()).unwrap_err();
        assert!(matches!(error, StartError::NoSuchWorkflow(_)));
        assert_eq!(stage.log.len(), 12);
    }
}

#[test]
fn a_running_execution_can_be_cancelled() {
    for workers in [0, 2] {
        let stage = Stage::new();
        let runtime = blocking(&stage, workers);
        let handle = runtime.start(&one("deaf.task"), ()).unwrap();
        runtime.block_on(stage.started.wait());
        handle.cancel();
        assert_eq!(runtime.wait(&handle).unwrap().status, ExecutionStatus::Cancelled);
    }
}

/// The thread hears nothing; whoever drops the runtime does not wait for it.
#[test]
fn dropping_the_runtime_waits_for_nothing() {
    for workers in [0, 2] {
        let stage = Stage::new();
        let runtime = blocking(&stage, workers);
        let handle = runtime.start(&one("busy"), ()).unwrap();
        runtime.block_on(stage.started.wait());
        drop(runtime);
        assert_eq!(stage.running.now(), 1);
        let wait = crate::support::on_current_thread(handle.wait());
        assert_eq!(wait.unwrap_err(), WaitError::Lost);
    }
}

#[test]
fn it_may_be_dropped_where_blocking_is_not_allowed() {
    let stage = Stage::new();
    let runtime = blocking(&stage, 2);
    crate::support::on_current_thread(async move { drop(runtime) });
}
