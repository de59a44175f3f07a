//! Where executions are kept while they are measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowruntime::store::Store;
use flowstore::{Access, SqliteStore};
use tempfile::TempDir;

use crate::options::Options;

/// A folder of its own, which goes when this is dropped.
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// A new folder, in the one of `--store-dir`.
    pub fn new(options: &Options) -> Self {
        let parent = parent(options);
        let folder = tempfile::Builder::new().prefix("flow-bench-").tempdir_in(&parent);
        let folder = folder.unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
        Self { folder }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A store in a file in it; a new one if there is none.
    pub async fn open(&self) -> Arc<dyn Store> {
        let store = SqliteStore::open(self.file("flow.db"), Access::Execute).await;
        Arc::new(store.expect("the store opens"))
    }
}

/// The folder that stores are made in.
pub fn parent(options: &Options) -> PathBuf {
    options.store_dir.as_ref().map_or_else(std::env::temp_dir, PathBuf::from)
}

/// The kind of the file system that the stores are on: a flush of one in memory costs nothing.
pub fn file_system(options: &Options) -> String {
    let folder = parent(options);
    let folder = folder.canonicalize().unwrap_or(folder);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let on = mounts.filter(|(mounted, _)| folder.starts_with(Path::new(mounted)));
    on.max_by_key(|(mounted, _)| mounted.len()).map_or("unknown", |(_, kind)| kind).to_owned()
}
