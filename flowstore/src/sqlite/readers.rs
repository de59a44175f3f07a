//! Threads that read, each with a connection of its own: they hold up nobody who writes, and no thread
//! of a runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flowruntime::store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::{is_of_the_disk, to_store_error};
use super::file::DatabaseFile;

/// How many: a few large reads leave some for small ones.
pub(super) const READERS: usize = 4;

type Job = Box<dyn FnOnce(&mut Reader) + Send>;

struct Reader {
    file: DatabaseFile,
    /// Opened when it is needed.
    connection: Option<Connection>,
}

impl Reader {
    fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.file.open_to_read()?,
        };
        self.file.check()?;
        let result = work(&connection);
        // After a failed read, one that is new may do better.
        if !result.as_ref().is_err_and(is_of_the_disk) {
            self.connection = Some(connection);
        }
        result.map_err(|error| to_store_error(&error))
    }
}

pub(super) struct Readers {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    busy: AtomicUsize,
}

impl Readers {
    pub(super) fn start(file: &DatabaseFile) -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let counts = Arc::new(Counts::default());
        let threads = (0..READERS).map(|_| {
            let reader = Reader { file: file.clone(), connection: None };
            let (waiting, counts) = (waiting.clone(), counts.clone());
            let work = move || run(reader, &waiting, &counts);
            let thread = std::thread::Builder::new().name("flow-store-read".to_owned());
            thread.spawn(work).map_err(|error| no_thread(&error))
        });
        Ok(Self { threads: threads.collect::<Result<_, _>>()?, jobs: Some(jobs), counts })
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = move |reader: &mut Reader| {
            // Whoever asked may have gone.
            if !answer.is_closed() {
                let _ = answer.send(reader.read(work));
            }
        };
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) fn waiting(&self) -> usize {
        self.counts.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn busy(&self) -> usize {
        self.counts.busy.load(Ordering::Relaxed)
    }

    /// Waits until what was asked for is read, and closes.
    pub(super) fn close(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn run(mut reader: Reader, waiting: &Mutex<Receiver<Job>>, counts: &Counts) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        counts.busy.fetch_add(1, Ordering::Relaxed);
        job(&mut reader);
        counts.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn no_thread(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable { message: format!("cannot start a thread: {error}") }
}
