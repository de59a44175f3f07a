//! Other engines in Rust.
//!
//! Each is used as its documentation says, in the way that is fastest for it, and does in its nodes
//! what ours do. Graphs that an engine can run only once are built anew before each run, and the
//! building is not timed.

mod async_dag;
mod dagrs;
mod dagx;
mod graph_flow;
mod narrow;
mod operese_dagx;
mod sayiir;

use std::time::Duration;

use crate::engine::{Load, Threads};
use crate::rows::{LIMIT_A, LIMIT_B, LIMIT_C, Row};
use crate::workload::{Work, Workload, burn};

/// The rows of the peers.
pub fn rows(workload: &Workload) -> Vec<Row> {
    let sleeps = matches!(workload.work, Work::Sleep(_));
    let one_anchor = if sleeps { LIMIT_A } else { LIMIT_B };
    let one = |name, load: Load, note| Row {
        name,
        threads: Threads::One,
        load,
        anchor: one_anchor,
        note,
    };
    let two =
        |name, load: Load, note| Row { name, threads: Threads::Two, load, anchor: LIMIT_C, note };
    vec![
        one("async_dag 0.1.2", async_dag::load, async_dag::NOTE),
        one("operese-dagx 0.4.1", operese_dagx::polled, operese_dagx::NOTE),
        two("operese-dagx 0.4.1, 2 workers", operese_dagx::spawned, operese_dagx::NOTE),
        one("dagx 0.3.1", dagx::load, dagx::NOTE),
        two("dagx 0.3.1, 2 workers", dagx::load, dagx::NOTE),
        one("dagrs 0.9.0", dagrs::load, dagrs::NOTE),
        two("dagrs 0.9.0, 2 workers", dagrs::load, dagrs::NOTE),
        one("graph-flow 0.8.1", graph_flow::load, graph_flow::NOTE),
        two("graph-flow 0.8.1, 2 workers", graph_flow::load, graph_flow::NOTE),
        one("sayiir 1.0.0", sayiir::load, sayiir::NOTE),
        two("sayiir 1.0.0, 2 workers", sayiir::load, sayiir::NOTE),
    ]
}

/// What a node does: the same as ours, for engines whose nodes are Rust values.
#[derive(Clone, Copy)]
struct Step {
    work: Work,
    /// What it adds to the sum of what it reads.
    plus: u64,
}

impl Step {
    /// A node of a workload.
    fn node(work: Work) -> Self {
        Self { work, plus: 1 }
    }

    /// Gives the sum of these values, plus one.
    async fn run(self, values: impl IntoIterator<Item = u64>) -> u64 {
        let sum = values.into_iter().fold(self.plus, u64::wrapping_add);
        match self.work {
            Work::Add | Work::Pass => sum,
            Work::Sleep(time) => {
                sleep(time).await;
                sum
            }
            Work::Burn(rounds) => burn(sum, rounds),
        }
    }
}

/// Boxed, so that the futures of nodes that do not sleep stay small.
async fn sleep(time: Duration) {
    Box::pin(tokio::time::sleep(time)).await;
}
