//! The listener for metrics alone.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api;
use crate::app::App;
use crate::connections::{Door, Draining, Places, serve};
use crate::envelope::AnyAddress;
use crate::route::router;
use crate::server::{say, wrap};

/// How many connections that ask for metrics there may be.
const APART_CONNECTIONS: usize = 64;

/// How long connections that ask for metrics may be busy when everything else has ended.
const APART_GRACE: Duration = Duration::from_secs(1);

/// It answers until everything else has ended, so that whoever watches sees how the server stops.
pub(crate) struct Apart {
    task: JoinHandle<()>,
    stopping: Draining,
}

impl Apart {
    pub(crate) fn serve(listener: TcpListener, app: &Arc<App>) -> Self {
        if let Ok(address) = listener.local_addr() {
            say(&format!("metrics are at http://{address}/metrics"));
        }
        let stopping = Draining::new();
        // Its address may be reached by many names, and no browser can be tricked by one without.
        let router = wrap(app, router(app, api::routes_apart())).layer(Extension(AnyAddress));
        let (places, draining) = (Places::new(APART_CONNECTIONS, None), stopping.clone());
        let door = Door { places, draining, metrics: app.metrics.clone() };
        let task = tokio::spawn(serve(listener, router, door, APART_GRACE));
        Self { task, stopping }
    }

    pub(crate) async fn close(self) {
        self.stopping.begin();
        // It panicked, and said so.
        let _ = self.task.await;
    }
}
