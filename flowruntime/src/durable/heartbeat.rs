//! Telling a store that this process lives, on a thread of its own: however busy the threads of tokio
//! are, nobody takes the process for dead.

use std::pin::pin;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use super::Durable;

/// How often within one lease the store is told: a few may get lost.
const PER_LEASE: u32 = 4;

/// Beats until it is dropped.
pub(super) struct Heartbeat(#[expect(dead_code, reason = "its end is what is heard")] Sender<()>);

impl Heartbeat {
    /// Starts to tell the store, if this process has a lease.
    pub(super) fn start(durable: &Arc<Durable>, lease: Duration) -> std::io::Result<Self> {
        let (alive, end) = channel();
        let durable = Arc::downgrade(durable);
        let beat = move || {
            while end.recv_timeout(lease / PER_LEASE) == Err(RecvTimeoutError::Timeout) {
                if !renew(&durable) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("flow-heartbeat".to_owned());
        // Nobody waits for it: it ends by itself when it is not heard any more.
        thread.spawn(beat).map(|_| Self(alive))
    }
}

/// Tells the store once; gives whether there is still somebody to tell it for.
fn renew(durable: &Weak<Durable>) -> bool {
    let Some(durable) = durable.upgrade() else { return false };
    let Some(owner) = durable.owner_now() else { return false };
    match block_on(durable.store.renew(owner.id)) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!("the lease of this process is over: others may go on");
            if let Err(error) = block_on(durable.enter()) {
                tracing::warn!(%error, "this process could not enter again");
            }
        }
        Err(error) => tracing::warn!(%error, "the lease was not renewed"),
    }
    true
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread. What a store does for it happens elsewhere.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
