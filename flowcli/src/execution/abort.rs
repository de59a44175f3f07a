//! Letting go of a runtime in which something may still run.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long what still runs may take to be dropped.
///
/// Dropping ends the programs that nodes have started. A plain function cannot be ended: nobody
/// waits for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Drops a runtime, and waits for that only so long.
pub(crate) fn shut_down(runtime: impl Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let drop_it = move || {
        drop(runtime);
        let _ = done.send(());
    };
    // Without a thread for it, the end of the process has to do.
    if thread::Builder::new().name("flow-end".to_owned()).spawn(drop_it).is_ok() {
        let _ = is_done.recv_timeout(PATIENCE);
    }
}
