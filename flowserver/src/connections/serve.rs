//! How connections are accepted, served and ended.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::paced::{Answering, Pace, Paced, Slow, TIMES, Times};
use super::places::NoPlace;
use super::{Draining, Place, Places};
use crate::metrics::Metrics;
use crate::problem::Problem;

/// How large the head of a request may be, and how much of a body is read ahead.
const MOST_READ_AHEAD: usize = 64 << 10;

/// How long accepting pauses when the system has no room for another connection.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);

/// How many connections are told at once that there is no place for them; others just end.
const MOST_REFUSALS: usize = 64;

/// How long one that is refused may take to read why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<SocketAddr> for Peer {
    fn connect_info(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// What the connections of a listener come through.
pub(crate) struct Door {
    /// How many there may be.
    pub(crate) places: Arc<Places>,
    /// When there are no more.
    pub(crate) draining: Draining,
    /// Where those that are refused are counted.
    pub(crate) metrics: Arc<Metrics>,
}

/// What all connections share.
#[derive(Clone)]
struct Shared {
    router: Router,
    draining: Draining,
    metrics: Arc<Metrics>,
    times: Times,
}

/// Serves connections until the server drains; returns when those that are open have ended, or had
/// `grace` to do so.
pub(crate) async fn serve(listener: TcpListener, router: Router, door: Door, grace: Duration) {
    let Door { places, draining, metrics } = door;
    let shared = Shared { router, draining: draining.clone(), metrics, times: TIMES };
    let refusals = Arc::new(Semaphore::new(MOST_REFUSALS));
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = draining.begins() => break,
            accepted = accept(&listener) => accepted,
        };
        match places.take(address.ip()) {
            Ok(place) => {
                // Answers are small, and somebody waits for each.
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, address, place, shared.clone()));
            }
            Err(why) => refuse(stream, why, &shared.metrics, &refusals),
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, places.are_empty()).await.is_err() {
        tracing::warn!("connections were cut: they were busy for longer than the server waits");
    }
}

/// The next connection. Cancel safe: one that is dropped was not accepted.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
        }
    }
}

/// Says that there is no place, and why, to whoever connects.
fn refuse(mut stream: TcpStream, why: NoPlace, metrics: &Metrics, refusals: &Arc<Semaphore>) {
    let (reason, detail, hint) = match why {
        NoPlace::Full => (
            "too_many",
            "the server has as many connections as it may have",
            "try again; `--max-connections` says how many there may be",
        ),
        NoPlace::OfAddress => (
            "too_many_of_address",
            "as many connections as may come from this address are there",
            "`--max-connections-per-address` says how many there may be",
        ),
    };
    metrics.connection_refused(reason);
    let Ok(turn) = refusals.clone().try_acquire_owned() else { return };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let body = Problem::new(status, "server.too_many_connections", detail).hint(hint).to_json();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: 1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        let told = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // Who closes what was not read takes the answer back.
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).await? > 0 {}
            std::io::Result::Ok(())
        };
        // Whoever does not listen is not told.
        let _ = tokio::time::timeout(REFUSAL_TIME, told).await;
        drop(turn);
    });
}

/// Serves one connection, to its end.
async fn connection<S>(stream: S, address: SocketAddr, place: Place, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Shared { router, draining, metrics, times } = shared;
    let (pace, place) = (Pace::new(), Arc::new(place));
    let (stream, slow) = (Paced::new(stream, pace.clone(), times), pace.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        pace.has_head();
        let mut request: Request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(Peer(address)));
        // Whoever takes the connection over keeps its place.
        extensions.insert(place.clone());
        let (router, pace) = (router.clone(), pace.clone());
        async move {
            let response = router.oneshot(request).await.unwrap_or_else(|error| match error {});
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                pace.is_upgraded();
                return Ok::<_, Infallible>(response);
            }
            Ok(response.map(|body| Body::new(Answer { body, _until_dropped: Answering(pace) })))
        }
    });
    let mut http = http1::Builder::new();
    // The stream itself sees to it that heads come in time.
    http.header_read_timeout(None).max_buf_size(MOST_READ_AHEAD);
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining.begins() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match slow.slow() {
        Some(Slow::Head) => metrics.connection_refused("slow_head"),
        Some(Slow::Taking) => metrics.connection_refused("slow_reader"),
        // To have nothing more to ask is no fault.
        Some(Slow::Idle) | None => {}
    }
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "a connection ended early");
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    _until_dropped: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
