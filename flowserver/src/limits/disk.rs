//! How much room the disk of the store has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flowruntime::StartError;
use tokio::time::Instant;

/// How long it is known how much room there is: not long enough to fill what has to be free.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// On a small disk, one part in so many has to be free, and no more.
const LEAST_PART: u64 = 20;

/// Lets no more executions in when the disk is nearly full, so that those that are there can go on.
pub(crate) struct Disk {
    folder: PathBuf,
    /// How many bytes have to be free, or a [`LEAST_PART`] of a disk on which that is less.
    least: u64,
    known: Mutex<Option<(Instant, Result<Room, io::ErrorKind>)>>,
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy)]
struct Room {
    free: u64,
    all: u64,
}

impl Disk {
    /// The disk of this folder, of which so many bytes have to be free.
    pub(crate) fn new(folder: &Path, least: u64) -> Self {
        Self { folder: folder.to_owned(), least, known: Mutex::default() }
    }

    /// Whether there is room. A disk that does not say is taken to have some: the store says so when it
    /// has none.
    pub(crate) async fn check(&self) -> Result<(), StartError> {
        let Ok(room) = self.room().await else { return Ok(()) };
        let least = self.least.min(room.all / LEAST_PART);
        if room.free >= least {
            return Ok(());
        }
        Err(StartError::Refused {
            code: "store.disk_low",
            reason: format!(
                "the disk of the store has {} MiB free, and {} MiB are kept for what runs already",
                room.free >> 20,
                least >> 20
            ),
            hint: "make room; `--min-free-disk` says how much has to be free",
        })
    }

    async fn room(&self) -> Result<Room, io::ErrorKind> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, room)) = known
            && at.elapsed() < LOOK_EVERY
        {
            return room;
        }
        let at = Instant::now();
        let folder = self.folder.clone();
        // A disk of another machine may take its time.
        let looked = tokio::task::spawn_blocking(move || look(&folder)).await;
        let room = looked.unwrap_or(Err(io::ErrorKind::Other));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, room));
        room
    }
}

#[cfg(unix)]
fn look(folder: &Path) -> Result<Room, io::ErrorKind> {
    let room = rustix::fs::statvfs(folder).map_err(|error| io::Error::from(error).kind())?;
    let bytes = |blocks: u64| blocks.saturating_mul(room.f_frsize);
    // What only root may use is not free.
    Ok(Room { free: bytes(room.f_bavail), all: bytes(room.f_blocks) })
}

#[cfg(not(unix))]
fn look(_: &Path) -> Result<Room, io::ErrorKind> {
    Err(io::ErrorKind::Unsupported)
}
