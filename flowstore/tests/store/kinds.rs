//! The kinds of stores, and how to get an empty one.

use std::any::Any;
use std::sync::Arc;

use flowruntime::store::{MemoryStore, Store};
use flowstore::{Access, StoreUrl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Where a store is; gone when it is dropped.
pub(crate) struct Place {
    /// Opens it, once more if it is open.
    pub(crate) open: Box<dyn Fn(Access) -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>,
    /// What must live as long.
    pub(crate) _kept: Box<dyn Any + Send + Sync>,
}

pub(crate) async fn memory() -> Option<Place> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = move |_| std::future::ready(store.clone()).boxed();
    Some(Place { open: Box::new(open), _kept: Box::new(()) })
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Place> {
    // In memory where there is such a folder: nothing here is about the disk itself.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("flow.db"));
    let open = move |access| {
        let url = url.clone();
        async move { flowstore::open(&url, access).await.unwrap() }.boxed()
    };
    Some(Place { open: Box::new(open), _kept: Box::new(folder) })
}
