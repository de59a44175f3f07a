//! What Flow is to reach: ratios to an anchor of the same run.

/// The highest ratio to its anchor that a row may have.
///
/// The inline rows come from absolute figures on the machine where the anchors were first measured,
/// so the ratio is the figure divided by that machine's limit B.
pub fn ratio(workload: &str, row: &str) -> Option<f64> {
    let ratio = match (workload, row) {
        ("chain", "Flow") => 0.25 / 0.116,
        ("fan", "Flow") => 0.25 / 0.154,
        ("layered", "Flow") => 0.40 / 0.146,
        ("million", "Flow") => 0.60 / 0.275,
        ("diamonds", "Flow") => 0.30 / 0.074,
        ("large", "Flow") => 0.30 / 0.13,
        ("sleep", "Flow") => 1.3,
        ("chain", "Flow, task") => 2.0,
        ("fan" | "layered", "Flow, task") => 1.3,
        _ => return None,
    };
    Some(ratio)
}

/// The figure in microseconds per node that the target says to expect on the machine of the anchors.
pub fn expected_micros(workload: &str, row: &str) -> Option<f64> {
    let micros = match (workload, row) {
        ("chain" | "fan", "Flow") => 0.25,
        ("layered", "Flow") => 0.40,
        ("million", "Flow") => 0.60,
        ("diamonds" | "large", "Flow") => 0.30,
        _ => return None,
    };
    Some(micros)
}

/// What an item of `control.for_each` takes, in times of a plain node.
pub const EACH: f64 = 3.0;
/// What a message takes, in times of what it takes dataflow-rs when that captures no changes.
pub const MESSAGES: f64 = 1.0;
/// The messages per second that this means on the machine of the anchors.
pub const MESSAGES_PER_SECOND: u32 = 399_000;
/// Loading and checking 10,000 nodes, in milliseconds.
pub const LOAD_MILLIS: f64 = 150.0;
/// What `flowcli run` of a tiny workflow takes beyond `flowcli --version`, in milliseconds.
pub const CLI_MILLIS: f64 = 15.0;
/// How much faster CPU-bound nodes are on two cores than on one.
pub const SPEED_UP: f64 = 1.9;

/// What only the build that counts allocations compares with.
#[cfg(feature = "memory")]
pub mod memory {
    /// Bytes of a plan for each node.
    pub const PLAN_BYTES_PER_NODE: f64 = 500.0;
    /// Bytes of a plan for each connection.
    pub const PLAN_BYTES_PER_CONNECTION: f64 = 24.0;
    /// Bytes of an execution beyond its plan for each node.
    pub const EXECUTION_BYTES_PER_NODE: f64 = 400.0;
}

/// Executions that are kept.
#[cfg(feature = "durable")]
pub mod durable {
    use std::time::Duration;

    /// Executions of ten pure steps per second, 256 at the same time, on the machine of the anchors.
    pub const PURE_PER_SECOND: u32 = 20_000;
    /// The same with steps that may change something: each waits for a flush.
    pub const IDEMPOTENT_PER_SECOND: u32 = 4_000;
    /// The part of what bare SQLite reaches with the same rows in as many commits.
    pub const PART_OF_BARE: f64 = 0.5;
    /// The part of what SQLite reaches that PostgreSQL does, on the same machine.
    #[cfg(feature = "postgres")]
    pub const PART_OF_SQLITE: f64 = 0.5;
    /// A step, in times of a commit of one row.
    pub const STEP: f64 = 1.3;
    /// From the opening of the file to the first node that runs again.
    pub const FIRST_RECOVERED: Duration = Duration::from_secs(1);
    /// From the opening of the file to when all nodes run again.
    pub const ALL_RECOVERED: Duration = Duration::from_secs(2);
    /// What 10,000 executions add that wait.
    pub const WAITING_BYTES: u64 = 20_000_000;
}
