//! Running code whose recursion depends on what a user wrote.
//!
//! A stack overflow aborts the process, whatever catches panics. The parsers of templates and
//! filters recurse with the length of a chain such as `a + a + a`, and threads of a runtime have
//! 2 MiB: 4,000 operators are enough. A stack of its own costs address space, not memory, and some
//! 30 µs for the thread.

use std::thread;

use flowcore::NodeError;

/// Runs `work` on a thread with this much stack and waits for it. A panic goes on in the caller.
///
/// # Errors
/// `node.no_thread`, retryable, when the system has no room for the thread.
pub(crate) fn run<T: Send>(
    stack_bytes: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NodeError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("flow-deep-stack".to_owned())
            .stack_size(stack_bytes)
            .spawn_scoped(scope, work)
            .map_err(|error| no_thread(&error))?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn no_thread(error: &std::io::Error) -> NodeError {
    NodeError::retryable("node.no_thread", "the system has no room for another thread")
        .with_source(error)
        .with_hint("lower the number of nodes that run at a time, or the load of the machine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_and_panics_go_on() {
        assert_eq!(run(1 << 20, || 2 + 2).unwrap(), 4);
        let panic = std::panic::catch_unwind(|| run(1 << 20, || panic!("as planned")));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"as planned"));
    }

    #[test]
    fn a_thread_that_does_not_fit_is_an_error() {
        let error = run(usize::MAX / 4, || ()).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("node.no_thread", true));
    }
}
