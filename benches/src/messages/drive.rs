//! Many messages at the same time: tasks that each process theirs one after the other.
//!
//! The program in `benches/dataflow` is built with this file, too.

use std::time::{Duration, Instant};

/// How many messages are under way at the same time.
pub const AT_ONCE: usize = 32;

/// What a run took.
pub struct Figures {
    /// From the first message to the end of the last.
    pub total: Duration,
    /// Of each message, sorted.
    pub latencies: Vec<Duration>,
}

impl Figures {
    /// The latency that this part of the messages stays below.
    pub fn latency(&self, part: f64) -> Duration {
        let last = (self.latencies.len() - 1) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
        self.latencies[(last * part) as usize]
    }
}

/// Processes messages on two workers; gives what became of each, in the order of the messages.
pub fn drive<M, R, P, F>(messages: Vec<M>, process: P) -> (Figures, Vec<R>)
where
    M: Send + 'static,
    R: Send + 'static,
    P: Fn(M) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = R> + Send,
{
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a tokio runtime is made");
    let count = messages.len();
    let mut messages = messages.into_iter();
    let mut parts = Vec::with_capacity(AT_ONCE);
    while messages.len() > 0 {
        parts.push(messages.by_ref().take(count.div_ceil(AT_ONCE)).collect::<Vec<_>>());
    }
    runtime.block_on(async move {
        let began = Instant::now();
        let start = |part: Vec<M>| {
            let process = process.clone();
            tokio::spawn(async move {
                let mut done = Vec::with_capacity(part.len());
                for message in part {
                    let started = Instant::now();
                    let result = process(message).await;
                    done.push((started.elapsed(), result));
                }
                done
            })
        };
        let tasks: Vec<_> = parts.into_iter().map(start).collect();
        let mut done = Vec::with_capacity(count);
        for task in tasks {
            done.extend(task.await.expect("no task panics"));
        }
        let total = began.elapsed();
        let (mut latencies, results): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        latencies.sort_unstable();
        (Figures { total, latencies }, results)
    })
}
