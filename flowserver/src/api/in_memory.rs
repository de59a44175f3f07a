//! Executions that are kept nowhere: they live as long as the request that waits for them.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flowcore::CancelReason;
use flowruntime::history::ExecutionReport;
use flowruntime::{ExecutionHandle, PreparedExecution, WaitError};

use super::start::How;
use crate::app::App;
use crate::problem::Problem;

/// What is refused where executions have to be kept.
pub(super) fn not_allowed() -> Problem {
    let detail = "with `settings.durability` `none`, executions are lost when the server stops";
    Problem::unprocessable("execution.not_durable", detail).hint(
        "leave the setting out, or let the operator start the server with `--allow-in-memory`",
    )
}

/// Runs an execution to its end, and answers with all of it. One that takes longer than its request
/// waits is told to stop, and so is one whose client goes away.
pub(super) async fn run(
    app: &App,
    prepared: PreparedExecution,
    how: How,
) -> Result<Response, Problem> {
    if !app.allows_in_memory {
        return Err(not_allowed());
    }
    let How { wait: Some(wait), key: None } = how else {
        let detail = "the execution is kept nowhere: it can neither be looked up nor repeated";
        return Err(Problem::unprocessable("execution.must_be_waited_for", detail)
            .hint("wait for it with `?wait=30s`, without an `Idempotency-Key`"));
    };
    let client = Client(prepared.watched().start().await?);
    match client.waits(wait).await {
        Ok(Some(report)) => Ok((StatusCode::OK, Json(report)).into_response()),
        Ok(None) => Err(lost("it was told before")),
        Err(error) => Err(lost(&error.to_string())),
    }
}

fn lost(why: &str) -> Problem {
    let detail = format!("nobody knows what came of the execution: {why}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "execution.lost", detail)
}

/// Who waits for an execution.
struct Client(ExecutionHandle);

impl Client {
    async fn waits(&self, wait: Duration) -> Result<Option<ExecutionReport>, WaitError> {
        tokio::select! {
            reported = self.0.report() => return reported,
            () = tokio::time::sleep(wait) => {}
        }
        self.0.cancel_because(CancelReason::ExecutionTimeout, None);
        self.0.report().await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // After the end there is nothing to stop.
        self.0.cancel();
    }
}
