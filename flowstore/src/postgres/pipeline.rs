//! Statements that are sent one after the other without waiting for answers in between.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::BoxFuture;

/// Waits for all. Each is polled for the first time after the one before it: that is when a statement
/// is sent.
pub(super) async fn in_order<T>(mut steps: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut results: Vec<Option<T>> = steps.iter().map(|_| None).collect();
    poll_fn(move |context| {
        for (step, result) in steps.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(ready) = step.as_mut().poll(context)
            {
                *result = Some(ready);
            }
        }
        if results.iter().all(Option::is_some) {
            Poll::Ready(std::mem::take(&mut results).into_iter().flatten().collect())
        } else {
            Poll::Pending
        }
    })
    .await
}
