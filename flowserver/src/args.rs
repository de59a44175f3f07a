//! What the server is told when it starts.

use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};
use flowruntime::store::Retention;
use flowstore::{Home, StoreUrl};

use crate::connections::Places;
use crate::limits::{Disk, Queue, Rate, Starts};

const EXAMPLES: &str = "Examples:
  flowserver
  flowserver --data-dir /var/lib/flow --bind 127.0.0.1:9000
  flowserver --config /etc/flow/flowserver.toml
  flowserver --store postgres://flow@db/flow --bind 0.0.0.0:8080 --behind-proxy \\
    --allow-host flow.example.org

The first start writes a token to <DATA_DIR>/token.

Environment:
  FLOW_LOG            which logs to show: a level, or levels by crate (flowruntime=debug,info)
  FLOW_SECRET_<NAME>  a secret of workflows
  FLOW_<OPTION>       most options; the help of each names it";

/// Serves the Flow workflow engine over HTTP.
#[derive(Debug, Parser)]
#[command(name = "flowserver", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What is done instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// A TOML file with options, by their names with `_`; arguments and variables win over it.
    #[arg(long, value_name = "FILE", env = "FLOW_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Where the server keeps what is its own; made when it is not there.
    #[arg(
        long,
        value_name = "DIR",
        env = "FLOW_DATA_DIR",
        default_value = "flow-data",
        global = true
    )]
    pub(crate) data_dir: PathBuf,

    /// Where executions and workflows are kept; `flow.db` in the data folder unless said otherwise.
    #[arg(long, value_name = "URL", env = "FLOW_STORE", hide_env_values = true, global = true)]
    pub(crate) store: Option<String>,

    /// A file with 32 random bytes, for the eyes of its owner only, with which secrets are kept; all
    /// servers of a database need the same. A SQLite file brings a key of its own.
    #[arg(long, value_name = "FILE", env = "FLOW_SEALING_KEY_FILE", global = true)]
    pub(crate) sealing_key: Option<PathBuf>,

    /// The address to listen at.
    #[arg(long, value_name = "ADDRESS", env = "FLOW_BIND", default_value = "127.0.0.1:8080")]
    pub(crate) bind: SocketAddr,

    /// Another address to listen at, for `/metrics`, `/livez` and `/readyz` alone, without a token; a
    /// port is one of this machine. `/metrics` is then nowhere else.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FLOW_METRICS_BIND",
        value_parser = address_or_port
    )]
    pub(crate) metrics_bind: Option<SocketAddr>,

    /// Where traces are sent, over OTLP and HTTP, such as `http://localhost:4318`. Nowhere unless said
    /// otherwise.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,

    /// A proxy in front of the server speaks TLS with clients; needed to listen beyond this machine.
    #[arg(long, env = "FLOW_BEHIND_PROXY", action = ArgAction::SetTrue)]
    pub(crate) behind_proxy: bool,

    /// A name that clients call the server by, besides those of this machine; may be given often.
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        env = "FLOW_ALLOW_HOST",
        value_delimiter = ','
    )]
    pub(crate) allow_hosts: Vec<String>,

    /// A program that `shell.exec` may run; may be given often. None unless said otherwise.
    #[arg(
        long = "allow-program",
        value_name = "PROGRAM",
        env = "FLOW_ALLOW_PROGRAM",
        value_delimiter = ','
    )]
    pub(crate) allow_programs: Vec<String>,

    /// A folder that `file.*` may read and write; may be given often. None unless said otherwise.
    #[arg(long = "allow-dir", value_name = "DIR", env = "FLOW_ALLOW_DIR", value_delimiter = ',')]
    pub(crate) allow_dirs: Vec<PathBuf>,

    /// A host that nodes may reach besides those of the public Internet, such as `db.internal`,
    /// `*.internal` or `10.0.0.1:5432`; may be given often.
    #[arg(
        long = "allow-target",
        value_name = "HOST",
        env = "FLOW_ALLOW_TARGET",
        value_delimiter = ','
    )]
    pub(crate) allow_targets: Vec<String>,

    /// Nodes reach only the hosts that are listed, and nothing else of the Internet.
    #[arg(long, env = "FLOW_LISTED_TARGETS_ONLY", action = ArgAction::SetTrue)]
    pub(crate) listed_targets_only: bool,

    /// Workflows with `"durability": "none"` may run: kept nowhere, as long as a request waits for them.
    #[arg(long, env = "FLOW_ALLOW_IN_MEMORY", action = ArgAction::SetTrue)]
    pub(crate) allow_in_memory: bool,

    #[command(flatten, next_help_heading = "Limits")]
    pub(crate) limits: LimitArgs,

    /// How many seconds the server waits for what it does when it is told to stop.
    #[arg(long, value_name = "SECONDS", env = "FLOW_SHUTDOWN_TIMEOUT", default_value = "30")]
    pub(crate) shutdown_timeout: u64,

    /// How many days ended executions are kept; for ever unless said otherwise.
    #[arg(long, value_name = "DAYS", env = "FLOW_KEEP_DAYS")]
    pub(crate) keep_days: Option<u32>,

    /// How many ended executions are kept, the newest of all projects; all unless said otherwise.
    #[arg(long, value_name = "NUMBER", env = "FLOW_KEEP_EXECUTIONS")]
    pub(crate) keep_executions: Option<u64>,

    /// Checks all of this, and whether the store opens, says what differs from the defaults and
    /// where it comes from, and does not serve.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) check_config: bool,
}

/// What is done instead of serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Looks into the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Looks after the key that secrets are kept with.
    #[command(subcommand)]
    Secrets(SecretsCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Goes through every chain of the audit log, and names the first link that is missing or was
    /// changed; servers may run meanwhile.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Gives the store another sealing key. Servers that run go on, and need the new one when they
    /// start next. The key of a SQLite file is replaced where it is.
    RotateKey {
        /// The file of the new key, which has to be there; not for a SQLite file with its own key.
        #[arg(long, value_name = "FILE")]
        new_key: Option<PathBuf>,
    },
}

/// An address, or a port of the loopback address.
fn address_or_port(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) => text.parse(),
    }
}

/// How much the server takes on.
#[derive(Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// How many connections there may be; more are refused.
    #[arg(long, value_name = "N", env = "FLOW_MAX_CONNECTIONS", default_value = "4096")]
    pub(crate) max_connections: NonZeroUsize,

    /// How many of them may come from one address beyond this machine, 0 for any number; 64 unless said
    /// otherwise, and any number behind a proxy, from which all of them come.
    #[arg(long, value_name = "N", env = "FLOW_MAX_CONNECTIONS_PER_ADDRESS")]
    pub(crate) max_connections_per_address: Option<usize>,

    /// How many requests a second a token may make, such as `100/s`, and twice as many at once; any
    /// number unless said otherwise.
    #[arg(long, value_name = "RATE", env = "FLOW_RATE_LIMIT")]
    pub(crate) rate_limit: Option<Rate>,

    /// How many executions of a project may wait for their turn, 0 for any number; more are not
    /// started.
    #[arg(long, value_name = "N", env = "FLOW_MAX_QUEUED", default_value = "10000")]
    pub(crate) max_queued: usize,

    /// How many MiB of the disk of a SQLite store have to be free, or 5 % of a disk on which that is
    /// less, for executions to be started; 0 for none.
    #[arg(long, value_name = "MIB", env = "FLOW_MIN_FREE_DISK", default_value = "256")]
    pub(crate) min_free_disk: u64,
}

/// How many connections may come from one address, when there is no proxy and nothing is said.
const MOST_OF_ADDRESS: usize = 64;

impl Args {
    /// The places for connections.
    pub(crate) fn places(&self) -> Arc<Places> {
        let limits = &self.limits;
        let usual = if self.behind_proxy { 0 } else { MOST_OF_ADDRESS };
        let of_address = limits.max_connections_per_address.unwrap_or(usual);
        Places::new(limits.max_connections.get(), Some(of_address).filter(|most| *most > 0))
    }

    /// Whether one more execution may be started, with executions kept in this store.
    pub(crate) fn starts(&self, url: &StoreUrl, home: Arc<dyn Home>) -> Starts {
        let limits = &self.limits;
        let most = Some(limits.max_queued).filter(|most| *most > 0);
        let folder = match url {
            StoreUrl::Sqlite(file) => file.parent().map(|folder| match folder.as_os_str() {
                empty if empty.is_empty() => Path::new("."),
                _ => folder,
            }),
            _ => None,
        };
        let folder = folder.filter(|_| limits.min_free_disk > 0);
        let least = limits.min_free_disk.saturating_mul(1 << 20);
        Starts { queue: Queue::new(home, most), disk: folder.map(|at| Disk::new(at, least)) }
    }

    /// Why the server may not listen there, if it may not.
    pub(crate) fn refuse_bind(&self) -> Option<String> {
        let is_open = !self.bind.ip().is_loopback();
        (is_open && !self.behind_proxy).then(|| {
            format!(
                "{} is reached from other machines, and tokens would cross the network in clear \
                 text; listen at a loopback address, or say `--behind-proxy` if a proxy in front \
                 of the server speaks TLS",
                self.bind
            )
        })
    }

    /// The names that clients call the server by.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts = self.allow_hosts.clone();
        let ip = self.bind.ip();
        if !ip.is_unspecified() {
            hosts.push(match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        hosts
    }

    /// Which ended executions may go.
    pub(crate) fn retention(&self) -> Retention {
        let day = Duration::from_secs(24 * 60 * 60);
        Retention {
            max_age: self.keep_days.map(|days| day.saturating_mul(days)),
            max_count: self.keep_executions,
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_makes_sense() {
        Args::command().debug_assert();
    }

    #[test]
    fn s52_a_port_for_metrics_is_one_of_this_machine() {
        let parse = |address| {
            let args = Args::try_parse_from(["flowserver", "--metrics-bind", address]);
            args.map(|args| args.metrics_bind.unwrap().to_string()).ok()
        };
        assert_eq!(parse("9464").as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(parse("10.0.0.1:9464").as_deref(), Some("10.0.0.1:9464"));
        assert_eq!([parse("70000"), parse("localhost"), parse("")], [None, None, None]);
    }

    #[test]
    fn s02_beyond_loopback_only_behind_a_proxy() {
        let parse =
            |args: &[&str]| Args::try_parse_from(["flowserver"].iter().chain(args)).unwrap();
        assert!(parse(&[]).refuse_bind().is_none());
        assert!(parse(&["--bind", "[::1]:80"]).refuse_bind().is_none());
        for open in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
            assert!(parse(&["--bind", open]).refuse_bind().is_some(), "{open}");
            assert!(parse(&["--bind", open, "--behind-proxy"]).refuse_bind().is_none(), "{open}");
        }
    }
}
