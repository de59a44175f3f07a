//! The kinds of stores, and how to get an empty one.

use std::any::Any;
use std::sync::Arc;
#[cfg(feature = "postgres")]
use std::sync::atomic::{AtomicU32, Ordering};

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

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Place> {
    postgres_with("")
}

/// Nobody holds one connection while asking for another.
#[cfg(feature = "postgres")]
pub(crate) async fn postgres_with_one_connection() -> Option<Place> {
    postgres_with("&pool=1")
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres_with_two_connections() -> Option<Place> {
    postgres_with("&pool=2")
}

#[cfg(feature = "postgres")]
fn postgres_with(more: &str) -> Option<Place> {
    static PLACES: AtomicU32 = AtomicU32::new(0);

    let number = PLACES.fetch_add(1, Ordering::Relaxed);
    let url = format!("{}?sslmode=disable&schema=place_{number}{more}", testkit::postgres()?.url());
    let url: StoreUrl = url.parse().unwrap();
    let open = move |access| {
        let url = url.clone();
        async move { flowstore::open(&url, access).await.unwrap() }.boxed()
    };
    Some(Place { open: Box::new(open), _kept: Box::new(()) })
}
