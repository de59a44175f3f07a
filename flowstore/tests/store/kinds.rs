//! The kinds of stores, and how to get an empty one.

use std::any::Any;
use std::sync::Arc;

use flowruntime::store::{MemoryStore, Store};
use flowstore::Access;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use flowstore::{Home, StoreUrl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Opens a store, once more if it is open.
type Open<S> = Box<dyn Fn(Access) -> BoxFuture<'static, Arc<S>> + Send + Sync>;

/// Where a store is; gone when it is dropped.
pub(crate) struct Place {
    pub(crate) open: Open<dyn Store>,
    /// What must live as long.
    pub(crate) _kept: Box<dyn Any + Send + Sync>,
}

/// Where a store with a catalog is.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) struct HomePlace {
    pub(crate) open: Open<dyn Home>,
    /// Executes SQL in its tables, as somebody who is no store.
    pub(crate) meddle: Box<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>,
    pub(crate) kept: Box<dyn Any + Send + Sync>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl HomePlace {
    pub(crate) fn open(url: StoreUrl) -> Open<dyn Home> {
        Box::new(move |access| {
            let url = url.clone();
            async move { flowstore::open_home(&url, access).await.unwrap() }.boxed()
        })
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<HomePlace> for Place {
    fn from(HomePlace { open, kept, .. }: HomePlace) -> Self {
        let open: Open<dyn Store> = Box::new(move |access| {
            let opening = open(access);
            async move {
                let store: Arc<dyn Store> = opening.await;
                store
            }
            .boxed()
        });
        Self { open, _kept: kept }
    }
}

pub(crate) async fn memory() -> Option<Place> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = move |_| std::future::ready(store.clone()).boxed();
    Some(Place { open: Box::new(open), _kept: Box::new(()) })
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<HomePlace> {
    // In memory where there is such a folder: nothing here is about the disk itself.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("flow.db");
    let open = HomePlace::open(StoreUrl::Sqlite(path.clone()));
    let meddle = move |sql| {
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        std::future::ready(()).boxed()
    };
    Some(HomePlace { open, meddle: Box::new(meddle), kept: Box::new(folder) })
}
