//! Both tokio flavours.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Runs each test on `current_thread` and on a multi-thread runtime with two workers.
macro_rules! both_flavours {
    ($($(#[$attribute:meta])* async fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "not every body needs its surroundings")]
            use super::*;

            async fn test() $body

            #[test]
            fn current_thread() {
                $crate::support::on_current_thread(test());
            }

            #[test]
            fn multi_thread() {
                $crate::support::on_multi_thread(test());
            }
        }
    )*};
}

/// A test that takes longer than this hangs. No test waits for it to pass.
const HANG: Duration = Duration::from_secs(60);

/// The same under paused time, where a hang is found at once.
const PAUSED_HANG: Duration = Duration::from_secs(86_400 * 365);

/// Runs a test on the calling thread.
pub(crate) fn on_current_thread<F: Future>(test: F) -> F::Output {
    run(Builder::new_current_thread().enable_all().build().unwrap(), HANG, test)
}

/// Runs a test on two worker threads.
pub(crate) fn on_multi_thread<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    run(runtime, HANG, test)
}

/// Runs a test on the calling thread, with time that moves on only when everybody waits for it.
pub(crate) fn paused<F: Future>(test: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    run(runtime, PAUSED_HANG, test)
}

/// Lets everything else on this thread run until nothing moves any more.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Moves paused time on, and lets everybody notice.
pub(crate) async fn advance(time: Duration) {
    settle().await;
    tokio::time::advance(time).await;
    settle().await;
}

/// The same with one thread for functions that block.
pub(crate) fn paused_with_one_thread<F: Future>(test: F) -> F::Output {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_all().start_paused(true).max_blocking_threads(1);
    run(builder.build().unwrap(), PAUSED_HANG, test)
}

fn run<F: Future>(runtime: Runtime, hang: Duration, test: F) -> F::Output {
    let watched = async { tokio::time::timeout(hang, test).await.expect("the test hangs") };
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(watched)));
    // A test that failed may have left a thread that waits for it.
    runtime.shutdown_background();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
