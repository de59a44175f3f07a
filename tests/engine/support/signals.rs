//! How tests and nodes tell each other where they are: no sleeping, no polling.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::Semaphore;

/// Something that happened, any number of times.
#[derive(Clone)]
pub(crate) struct Signal(Arc<Semaphore>);

impl Signal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn give(&self) {
        self.0.add_permits(1);
    }

    /// Waits for it, once for each time.
    pub(crate) async fn wait(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// Holds threads back until it is opened, or dropped.
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// What a thread waits with.
#[derive(Clone)]
pub(crate) struct GateKeeper(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn keeper(&self) -> GateKeeper {
        GateKeeper(self.0.clone())
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl GateKeeper {
    /// Blocks the thread.
    pub(crate) fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// Lines, in the order in which they were noted.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn joined(&self) -> String {
        self.lines().join(", ")
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|other| *other == line).count()
    }
}

/// How many are running.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<AtomicUsize>);

/// Counts as running until it is dropped.
pub(crate) struct Guard(Running);

impl Running {
    pub(crate) fn enter(&self) -> Guard {
        self.0.fetch_add(1, Ordering::SeqCst);
        Guard(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
