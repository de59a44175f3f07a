//! The server, from its arguments to its end.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use flowcore::{Access as Allowed, NodeFactory, NodeRegistrations, NodeRegistry, Policy};
use flownodes::event::PublishFactory;
use flowruntime::store::StoreError;
use flowruntime::{FlowRuntime, FlowRuntimeBuilder};
use flowstore::{Access, StoreUrl};
use tokio::net::{TcpListener, TcpSocket};
use tower_http::catch_panic::CatchPanicLayer;

use crate::apart::Apart;
use crate::app::{App, Setup, Watched, now};
use crate::args::Args;
use crate::config::{Config, ConfigError};
use crate::connections::serve;
use crate::envelope::{self, Hosts};
use crate::first_token::{self, TokenError};
use crate::limits::Rates;
use crate::metrics::Tally;
use crate::route::router;
use crate::schedules::Scheduler;
use crate::secrets::{self, KeptSecrets, KeyError, check_key_file, open_keyring};
use crate::signals::Signals;
use crate::traces::{Endpoint, Traces};
use crate::triggers::ServerPublisher;
use crate::{api, commands, logs, projects};

/// The configuration makes no sense, as `sysexits.h` calls it.
const BAD_CONFIG: u8 = 78;
/// Somebody else has the store or the address.
const IN_USE: u8 = 75;

/// A server with a set of node types.
#[derive(Default)]
pub struct Server {
    registrations: NodeRegistrations,
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Config(String),
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(KeyError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{address} cannot be listened at: {error}")]
    Listen { address: String, error: io::Error },
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => Self::Store(error),
            other => Self::Key(other),
        }
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Token(TokenError::Open(_) | TokenError::NoToken(_)) => {
                BAD_CONFIG
            }
            Self::Store(StoreError::InUse { .. }) | Self::Listen { .. } => IN_USE,
            Self::Store(StoreError::BadUrl { .. }) | Self::Key(_) => BAD_CONFIG,
            Self::Store(_) | Self::Token(_) => 7,
            Self::Io { .. } => 1,
        }
    }
}

impl Server {
    /// A server without any node type but the control nodes and `event.publish`.
    pub fn new() -> Self {
        Self::default()
    }

    /// A server with the node types that a program has already, as `flowcli::Cli` does.
    pub fn with(registrations: NodeRegistrations) -> Self {
        Self { registrations }
    }

    /// Adds the node types that a function registers, such as `flownodes::register_all`.
    #[must_use]
    pub fn nodes(mut self, register: impl Fn(&mut NodeRegistry) + Send + Sync + 'static) -> Self {
        self.registrations.add(register);
        self
    }

    /// Adds one node type; one of the same name is replaced.
    #[must_use]
    pub fn node(mut self, factory: impl NodeFactory + 'static) -> Self {
        self.registrations.add_node(factory);
        self
    }

    /// Does what the arguments of this process ask for until it is told to stop, and says how the
    /// process should end.
    pub fn main(self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    /// As [`Server::main`], with arguments from elsewhere; the first is the name of the program.
    pub fn run_with(self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        let config = match Config::read(arguments) {
            Ok(config) => config,
            Err(ConfigError::File(error)) => {
                say(&format!("error: {error}"));
                return ExitCode::from(BAD_CONFIG);
            }
            Err(ConfigError::Usage(error)) => {
                // Nobody is there to be told.
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
            }
        };
        if config.args.check_config {
            config.to_string().lines().for_each(say);
        }
        let args = config.args;
        let outcome = logs::install().map_err(Failure::Config).and_then(|()| {
            let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let tokio =
                tokio.map_err(|error| Failure::Io { what: "no threads".to_owned(), error })?;
            let outcome = match &args.command {
                Some(command) => tokio.block_on(commands::run(command, &args)),
                None => tokio.block_on(self.run(&args)).map(|()| ExitCode::SUCCESS),
            };
            tokio.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        });
        match outcome {
            Ok(code) => code,
            Err(failure) => {
                say(&format!("error: {failure}"));
                ExitCode::from(failure.exit_code())
            }
        }
    }

    async fn run(self, args: &Args) -> Result<(), Failure> {
        if let Some(reason) = args.refuse_bind() {
            return Err(Failure::Config(reason));
        }
        no_core_dumps();
        make_folder(&args.data_dir)?;
        let url = store_url(args)?;
        let named = args.sealing_key.as_deref();
        check_key_file(&url, named)?;
        let endpoint = args.otlp_endpoint.as_deref().filter(|url| !url.is_empty());
        let endpoint = endpoint.map(Endpoint::new).transpose().map_err(Failure::Config)?;
        // What is checked may be in use by a server.
        let access = if args.check_config { Access::Visit } else { Access::Execute };
        let home = flowstore::open_home(&url, access).await?;
        let keyring = open_keyring(&*home, &url, named, args.check_config).await?.map(Arc::new);
        let secrets = KeptSecrets::new(home.clone(), keyring.clone(), secrets::of_environment());
        let secrets = Arc::new(secrets);
        let publisher = ServerPublisher::default();
        let registry = self.registry(&publisher);
        let mut watched = Watched {
            tally: Arc::new(Tally::new(&registry)),
            has_metrics_apart: args.metrics_bind.is_some(),
            ..Watched::default()
        };
        let sending = endpoint.map(|endpoint| {
            let (traces, sending) = Traces::start(endpoint, watched.exports.clone());
            watched.traces = Some(traces);
            sending
        });
        let starts = Arc::new(args.starts(&url, home.clone()));
        let runtime = runtime_of(args, registry).store(home.clone()).admission(starts);
        let runtime = match keyring {
            Some(keyring) => runtime.sealing(keyring),
            None => runtime,
        };
        let runtime = runtime.secret_source(secrets.clone()).observer(watched.observer()).build();
        let runtime = runtime.map_err(|error| Failure::Config(error.to_string()))?;
        let setup = Setup {
            hosts: Hosts::new(args.hosts()),
            is_behind_tls: args.behind_proxy,
            allows_in_memory: args.allow_in_memory,
            has_others: matches!(url, StoreUrl::Postgres(_)),
            rates: Rates::new(args.limits.rate_limit),
            places: args.places(),
            watched,
        };
        let app = Arc::new(App::new(runtime, home, secrets, setup));
        publisher.serve(&app);
        app.look().await?;
        if args.check_config {
            say("the configuration is good");
            return Ok(());
        }
        projects::ensure_default(&*app.home).await?;
        let token_file = first_token::ensure(&app, &args.data_dir).await?;
        let listener = listen(args.bind)?;
        let apart = args.metrics_bind.map(listen).transpose()?;
        app.runtime.open().await?;
        tokio::spawn(app.clone().keep_looking());
        let noting = app.clone();
        tokio::spawn(async move { noting.refused.keep_noting(noting.home.clone()).await });
        let scheduler = tokio::spawn(Scheduler::new(app.clone(), now).run());
        let signals = Signals::new();
        let signals = signals
            .map_err(|error| Failure::Io { what: "no signal is heard".to_owned(), error })?;
        tokio::spawn(signals.watch(app.clone()));
        let apart = apart.map(|listener| Apart::serve(listener, &app));
        greet(&listener, &token_file);
        serve(listener, routes(&app), app.door(), args.grace()).await;
        tracing::info!(target: "flow", "the server stops");
        // It stops when the server drains, after what it has begun.
        let _ = tokio::time::timeout(args.grace(), scheduler).await;
        // What was refused at the last is written down, if the store takes it.
        let _ = tokio::time::timeout(args.grace(), app.refused.note(&*app.home)).await;
        app.runtime.close().await;
        if let Some(sending) = sending {
            sending.close().await;
        }
        if let Some(apart) = apart {
            apart.close().await;
        }
        Ok(())
    }

    fn registry(&self, publisher: &ServerPublisher) -> NodeRegistry {
        let mut registry = self.registrations.registry();
        // In a server there is somebody who listens.
        registry.register(PublishFactory::new(Arc::new(publisher.clone())));
        registry
    }
}

/// What the options say of the runtime.
fn runtime_of(args: &Args, registry: NodeRegistry) -> FlowRuntimeBuilder {
    FlowRuntime::builder().registry(registry).policy(policy(args)).retention(args.retention())
}

/// What nodes may touch: what the operator has listed, and, unless the operator says otherwise, the
/// public Internet.
fn policy(args: &Args) -> Policy {
    fn only<T>(listed: Vec<T>) -> Allowed<T> {
        if listed.is_empty() { Allowed::None } else { Allowed::Only(listed) }
    }
    let base = Policy::deny_all();
    let base = if args.listed_targets_only { base } else { base.public_hosts() };
    base.hosts(only(args.allow_targets.clone()))
        .programs(only(args.allow_programs.clone()))
        .read(only(args.allow_dirs.clone()))
        .write(only(args.allow_dirs.clone()))
        .directory(&args.data_dir)
}

/// The store that is named, or the file in the data folder.
pub(crate) fn store_url(args: &Args) -> Result<StoreUrl, StoreError> {
    match &args.store {
        Some(text) => text.parse(),
        None => Ok(StoreUrl::Sqlite(args.data_dir.join("flow.db"))),
    }
}

fn routes(app: &Arc<App>) -> Router {
    wrap(app, router(app, api::routes(app)))
}

/// What holds for every request.
pub(crate) fn wrap(app: &Arc<App>, router: Router<Arc<App>>) -> Router {
    router
        .fallback(envelope::not_found)
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(from_fn_with_state(app.clone(), envelope::envelope))
        .with_state(app.clone())
}

/// A core dump would be a file with every secret in it.
fn no_core_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if let Err(error) = setrlimit(Resource::Core, none) {
            tracing::warn!(%error, "core dumps cannot be turned off");
        }
    }
}

/// Makes the data folder, for its owner only.
fn make_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(path);
    made.map_err(|error| Failure::Io { what: format!("{} cannot be made", path.display()), error })
}

/// How many connections may wait to be accepted, as far as the system lets them: all that there may be
/// come at once when a proxy starts. What does not fit tries again a second later.
const BACKLOG: u32 = 4096;

/// Has to be called within a runtime.
fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // The connections of the server before may not be quite gone.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listener().map_err(|error| Failure::Listen { address: address.to_string(), error })
}

/// Says where the server is, and how to ask it for something.
fn greet(listener: &TcpListener, token_file: &Path) {
    let Ok(address) = listener.local_addr() else { return };
    let file = token_file.display();
    say(&format!(
        "flowserver {} listens at http://{address}\nthe token is in {file}; try:\n  curl -H \
         \"Authorization: Bearer $(cat {file})\" http://{address}/api/v1/executions",
        env!("CARGO_PKG_VERSION"),
    ));
}

pub(crate) fn say(text: &str) {
    // Nobody is there to be told.
    let _ = writeln!(io::stderr(), "{text}");
}
