//! The `shell.*` nodes; on Unix only.

#[cfg(unix)]
mod capture;
#[cfg(unix)]
mod exec;
#[cfg(unix)]
mod outcome;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod program;
#[cfg(unix)]
mod supervise;

use flowcore::NodeRegistry;

#[cfg(unix)]
pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(exec::ExecFactory);
}

#[cfg(not(unix))]
pub(crate) fn register(_registry: &mut NodeRegistry) {}
