//! WebSocket: each event is a message; what the client says is not heard.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, interval_at, timeout};

use super::{Items, KEEP_ALIVE, Next, Over, over};
use crate::app::App;
use crate::auth::Caller;
use crate::connections::Place;
use crate::problem::Problem;

/// The largest message of a client; none has anything to say.
const MOST_SAID: usize = 4 << 10;

/// How long a client may be silent: it answers pings, which come more often.
const SILENCE: Duration = Duration::from_secs(40);

/// How long a client may take for a message.
const TAKING: Duration = Duration::from_secs(60);

/// How long the other side may take to close, too.
const CLOSING: Duration = Duration::from_secs(1);

/// A client that wants to hear over WebSocket, if it can.
pub(in super::super) struct Socket {
    upgrade: Option<WebSocketUpgrade>,
    /// The connection stays one of those that are counted.
    place: Option<Arc<Place>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Socket {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let place = parts.extensions.get::<Arc<Place>>().cloned();
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await.ok();
        Ok(Self { upgrade, place })
    }
}

impl Socket {
    /// Whether the client speaks WebSocket.
    pub(in super::super) fn check(&self) -> Result<(), Problem> {
        if self.upgrade.is_some() { Ok(()) } else { Err(no_socket()) }
    }

    /// Tells the client all of it.
    pub(in super::super) fn tell(
        self,
        app: Arc<App>,
        caller: Caller,
        items: Items,
    ) -> Result<Response, Problem> {
        let upgrade = self.upgrade.ok_or_else(no_socket)?;
        let upgrade = upgrade.max_message_size(MOST_SAID).max_frame_size(MOST_SAID);
        let place = self.place;
        Ok(upgrade.on_upgrade(move |socket| async move {
            let (sink, heard) = socket.split();
            Teller { sink, heard }.tell(&app, &caller, items).await;
            drop(place);
        }))
    }
}

fn no_socket() -> Problem {
    let status = StatusCode::UPGRADE_REQUIRED;
    Problem::new(status, "request.no_websocket", "this is for clients that speak WebSocket")
        .hint("the same path without `/ws` has the events as server-sent events")
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
}

/// The client is gone, or was too slow.
struct Gone;

struct Teller {
    sink: SplitSink<WebSocket, Message>,
    heard: SplitStream<WebSocket>,
}

impl Teller {
    async fn tell(mut self, app: &App, caller: &Caller, items: Items) {
        let end = tokio::select! {
            biased;
            over = over(app, caller) => Ok(match over {
                Over::Draining => (close_code::RESTART, "the server stops"),
                Over::Token => (close_code::POLICY, "the token is not valid any more"),
            }),
            end = self.tell_items(items) => end,
        };
        let Ok((code, reason)) = end else { return };
        let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let closes = async {
            if self.sink.send(close).await.is_ok() {
                // What the client still says is not lost on the way to its close.
                while let Some(Ok(_)) = self.heard.next().await {}
            }
        };
        // A client that does not close is left alone.
        let _ = timeout(CLOSING, closes).await;
    }

    /// Tells all items; gives how the connection is to be closed after them.
    async fn tell_items(&mut self, mut items: Items) -> Result<(u16, &'static str), Gone> {
        let mut pings = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        let mut heard_at = Instant::now();
        loop {
            let next = tokio::select! {
                biased;
                said = self.heard.next() => {
                    match said {
                        None | Some(Err(_) | Ok(Message::Close(_))) => return Err(Gone),
                        Some(Ok(_)) => heard_at = Instant::now(),
                    }
                    continue;
                }
                _ = pings.tick() => {
                    if heard_at.elapsed() >= SILENCE {
                        return Err(Gone);
                    }
                    self.send(Message::Ping(Vec::new().into())).await?;
                    continue;
                }
                next = items.next() => next,
            };
            match next {
                Some(Next::Event { text, .. }) => self.send(Message::Text(text.into())).await?,
                Some(Next::Gap { text, .. }) => {
                    self.send(Message::Text(text.into())).await?;
                    return Ok((close_code::AGAIN, "the client was too slow"));
                }
                Some(Next::Problem(problem)) => {
                    self.send(Message::Text(problem.to_json().into())).await?;
                    return Ok((close_code::ERROR, "what comes cannot be read"));
                }
                None => return Ok((close_code::NORMAL, "that was all")),
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(TAKING, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}
