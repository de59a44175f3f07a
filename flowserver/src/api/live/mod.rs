//! How events get to those who listen.

mod socket;
mod sse;

use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::Problem;

pub(super) use socket::Socket;
pub(super) use sse::to_sse;

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often it is asked whether the token of whoever listens is still worth something.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What is told, one after another.
pub(super) type Items = BoxStream<'static, Next>;

/// What is told next.
pub(super) enum Next {
    /// An event; with an id after which a client that comes again goes on.
    Event { id: Option<String>, name: &'static str, text: String },
    /// Something is missing from here on, because the client was too slow. The last.
    Gap { id: Option<String>, text: String },
    /// What comes cannot be read. The last.
    Problem(Problem),
}

/// Why nothing more is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The server stops.
    Draining,
    /// The token is worth nothing any more.
    Token,
}

/// Returns when nothing more is to be told. Cancel safe.
async fn over(app: &App, caller: &Caller) -> Over {
    let is_refused = async {
        while app.tokens.is_valid(caller.token()) {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::select! {
        () = app.draining.begins() => Over::Draining,
        () = is_refused => Over::Token,
    }
}
