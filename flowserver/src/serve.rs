//! Connections: how they are accepted, how long they may take, and how they end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// How many connections there may be; more wait to be accepted.
const MOST_CONNECTIONS: usize = 4096;

/// How long the head of a request may take to come, and how long a connection may be silent before
/// it.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// How long accepting pauses when the system has no room for another connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<SocketAddr> for Peer {
    fn connect_info(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// Says when the server is to stop, and that it is about to.
#[derive(Debug, Clone)]
pub(crate) struct Draining(watch::Sender<bool>);

impl Draining {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it has begun. Cancel safe.
    pub(crate) async fn begins(&self) {
        // The sender is here, so there is no error.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

/// Serves connections until the server drains; returns when those that are open have ended, or had
/// `grace` to do so.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    draining: Draining,
    grace: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            biased;
            () = draining.begins() => break,
            (stream, address, place) = accept(&listener, &places) => {
                connect(stream, address, place, router.clone(), &graceful);
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut: they were busy for longer than the server waits");
    }
}

/// The next connection, as soon as there is a place for one. Cancel safe: one that is dropped was not
/// accepted.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let place = places.clone().acquire_owned().await.expect("nobody closes it");
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) => {
                drop(place);
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
        }
    }
}

fn connect(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    graceful: &GracefulShutdown,
) {
    // Answers are small, and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(Peer(address)));
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|e| match e {})) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "a connection ended early");
        }
        drop(place);
    });
}
