//! The server, from its arguments to its end.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use clap::Parser;
use flowcore::{Access as Allowed, NodeFactory, NodeRegistry, Policy, Secrets};
use flowruntime::FlowRuntime;
use flowruntime::store::StoreError;
use flowstore::{Access, StoreUrl};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::{App, Watched, now};
use crate::args::Args;
use crate::envelope::{self, AnyAddress, Hosts};
use crate::first_token::{self, TokenError};
use crate::metrics::Tally;
use crate::route::router;
use crate::schedules::Scheduler;
use crate::serve::{Draining, serve};
use crate::traces::{Endpoint, Traces};
use crate::{api, logs};

/// The configuration makes no sense, as `sysexits.h` calls it.
const BAD_CONFIG: u8 = 78;
/// Somebody else has the store or the address.
const IN_USE: u8 = 75;

/// How long connections that ask for metrics may be busy when everything else has ended.
const APART_GRACE: Duration = Duration::from_secs(1);

type Register = Arc<dyn Fn(&mut NodeRegistry) + Send + Sync>;

/// A server with a set of node types.
#[derive(Default)]
pub struct Server {
    registrations: Vec<Register>,
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(String),
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{address} cannot be listened at: {error}")]
    Listen { address: String, error: io::Error },
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Token(TokenError::Open(_) | TokenError::NoToken(_)) => {
                BAD_CONFIG
            }
            Self::Store(StoreError::InUse { .. }) | Self::Listen { .. } => IN_USE,
            Self::Store(StoreError::BadUrl { .. }) => BAD_CONFIG,
            Self::Store(_) | Self::Token(_) => 7,
            Self::Io { .. } => 1,
        }
    }
}

impl Server {
    /// A server without any node type but the control nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the node types that a function registers, such as `flownodes::register_all`.
    #[must_use]
    pub fn nodes(mut self, register: impl Fn(&mut NodeRegistry) + Send + Sync + 'static) -> Self {
        self.registrations.push(Arc::new(register));
        self
    }

    /// Adds one node type; one of the same name is replaced.
    #[must_use]
    pub fn node(self, factory: impl NodeFactory + 'static) -> Self {
        let factory: Arc<dyn NodeFactory> = Arc::new(factory);
        self.nodes(move |registry| {
            registry.register_shared(factory.clone());
        })
    }

    /// Does what the arguments of this process ask for until it is told to stop, and says how the
    /// process should end.
    pub fn main(self) -> ExitCode {
        self.run_with(std::env::args_os())
    }

    fn run_with(self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        let args = match Args::try_parse_from(arguments) {
            Ok(args) => args,
            Err(error) => {
                // Nobody is there to be told.
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
            }
        };
        let outcome = logs::install().map_err(Failure::Config).and_then(|()| {
            let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let tokio =
                tokio.map_err(|error| Failure::Io { what: "no threads".to_owned(), error })?;
            let outcome = tokio.block_on(self.run(&args));
            tokio.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        });
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
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
        make_folder(&args.data_dir)?;
        let url = match &args.store {
            Some(text) => text.parse()?,
            None => StoreUrl::Sqlite(args.data_dir.join("flow.db")),
        };
        let endpoint = args.otlp_endpoint.as_deref().filter(|url| !url.is_empty());
        let endpoint = endpoint.map(Endpoint::new).transpose().map_err(Failure::Config)?;
        let home = flowstore::open_home(&url, Access::Execute).await?;
        let registry = self.registry();
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
        let runtime = runtime(args, registry, home.clone(), &watched)?;
        let hosts = Hosts::new(args.hosts());
        let app = Arc::new(App::new(runtime, home, hosts, args.behind_proxy, watched));
        app.look().await?;
        if args.check_config {
            say("the configuration is good");
            return Ok(());
        }
        let token_file = first_token::ensure(&app, &args.data_dir).await?;
        let listener = listen(args.bind).await?;
        let apart = match args.metrics_bind {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        app.runtime.open().await?;
        tokio::spawn(app.clone().keep_looking());
        let scheduler = tokio::spawn(Scheduler::new(app.clone(), now).run());
        tokio::spawn(Signals::new()?.watch(app.clone()));
        let apart = apart.map(|listener| Apart::serve(listener, &app));
        greet(&listener, &token_file);
        serve(listener, routes(&app), app.draining.clone(), args.grace()).await;
        tracing::info!(target: "flow", "the server stops");
        // It stops when the server drains, after what it has begun.
        let _ = tokio::time::timeout(args.grace(), scheduler).await;
        app.runtime.close().await;
        if let Some(sending) = sending {
            sending.close().await;
        }
        if let Some(apart) = apart {
            apart.close().await;
        }
        Ok(())
    }

    fn registry(&self) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        self.registrations.iter().for_each(|register| register(&mut registry));
        registry
    }
}

fn runtime(
    args: &Args,
    registry: NodeRegistry,
    home: Arc<dyn flowstore::Home>,
    watched: &Watched,
) -> Result<FlowRuntime, Failure> {
    let runtime = FlowRuntime::builder().registry(registry).store(home);
    let runtime = runtime.policy(policy(args)).secrets(secrets()).observer(watched.observer());
    runtime.build().map_err(|error| Failure::Config(error.to_string()))
}

/// The listener for metrics alone. It answers until everything else has ended, so that whoever watches
/// sees how the server stops.
struct Apart {
    task: JoinHandle<()>,
    stopping: Draining,
}

impl Apart {
    fn serve(listener: TcpListener, app: &Arc<App>) -> Self {
        if let Ok(address) = listener.local_addr() {
            say(&format!("metrics are at http://{address}/metrics"));
        }
        let stopping = Draining::new();
        // Its address may be reached by many names, and no browser can be tricked by one without.
        let router = wrap(app, router(app, api::routes_apart())).layer(Extension(AnyAddress));
        let task = tokio::spawn(serve(listener, router, stopping.clone(), APART_GRACE));
        Self { task, stopping }
    }

    async fn close(self) {
        self.stopping.begin();
        // It panicked, and said so.
        let _ = self.task.await;
    }
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

/// The secrets in the environment.
fn secrets() -> Secrets {
    let named = std::env::vars().filter_map(|(variable, value)| {
        Some(Secrets::named_by(&variable)?.map(|name| (name, value.clone().into())))
    });
    Secrets::new(named.flatten())
}

fn routes(app: &Arc<App>) -> Router {
    wrap(app, router(app, api::routes(app)))
}

/// What holds for every request.
fn wrap(app: &Arc<App>, router: Router<Arc<App>>) -> Router {
    router
        .fallback(envelope::not_found)
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(from_fn_with_state(app.clone(), envelope::envelope))
        .with_state(app.clone())
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

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| Failure::Listen { address: address.to_string(), error })
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

fn say(text: &str) {
    // Nobody is there to be told.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The signals that tell the server to stop. They are heard from when this is made.
struct Signals {
    #[cfg(unix)]
    all: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hear = |kind| {
                let heard = signal(kind);
                heard.map_err(|error| Failure::Io { what: "no signal is heard".to_owned(), error })
            };
            Ok(Self { all: [hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?] })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.all;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// The first signal lets the server finish what it does, the second ends it at once; whatever was
    /// accepted goes on at the next start.
    async fn watch(mut self, app: Arc<App>) {
        self.next().await;
        tracing::info!(target: "flow", "the server was told to stop, and finishes what it does");
        app.draining.begin();
        self.next().await;
        say("the server was told to stop twice, and ends at once");
        std::process::exit(1);
    }
}
