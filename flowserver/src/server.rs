//! The server, from its arguments to its end.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use clap::Parser;
use flowcore::{Access as Allowed, NodeFactory, NodeRegistry, Policy, Secrets};
use flowruntime::FlowRuntime;
use flowruntime::store::StoreError;
use flowstore::{Access, StoreUrl};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::{App, Setup, now};
use crate::args::Args;
use crate::connections::serve;
use crate::envelope::{self, Hosts};
use crate::first_token::{self, TokenError};
use crate::limits::Rates;
use crate::route::router;
use crate::schedules::Scheduler;
use crate::{api, logs};

/// The configuration makes no sense, as `sysexits.h` calls it.
const BAD_CONFIG: u8 = 78;
/// Somebody else has the store or the address.
const IN_USE: u8 = 75;

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
        let home = flowstore::open_home(&url, Access::Execute).await?;
        let runtime = self.runtime(args, &url, home.clone())?;
        let setup = Setup {
            hosts: Hosts::new(args.hosts()),
            is_behind_tls: args.behind_proxy,
            has_others: matches!(url, StoreUrl::Postgres(_)),
            rates: Rates::new(args.limits.rate_limit),
            places: args.places(),
        };
        let app = Arc::new(App::new(runtime, home, setup));
        app.look().await?;
        if args.check_config {
            say("the configuration is good");
            return Ok(());
        }
        let token_file = first_token::ensure(&app, &args.data_dir).await?;
        let listener = listen(args).await?;
        app.runtime.open().await?;
        tokio::spawn(app.clone().keep_looking());
        let scheduler = tokio::spawn(Scheduler::new(app.clone(), now).run());
        tokio::spawn(Signals::new()?.watch(app.clone()));
        greet(&listener, &token_file);
        serve(listener, routes(&app), &app, args.grace()).await;
        tracing::info!(target: "flow", "the server stops");
        // It stops when the server drains, after what it has begun.
        let _ = tokio::time::timeout(args.grace(), scheduler).await;
        app.runtime.close().await;
        Ok(())
    }

    fn runtime(
        &self,
        args: &Args,
        url: &StoreUrl,
        home: Arc<dyn flowstore::Home>,
    ) -> Result<FlowRuntime, Failure> {
        let mut registry = NodeRegistry::new();
        self.registrations.iter().for_each(|register| register(&mut registry));
        let starts = Arc::new(args.starts(url, home.clone()));
        let runtime = FlowRuntime::builder().registry(registry).store(home).admission(starts);
        let runtime = runtime.policy(policy(args)).secrets(secrets()).build();
        runtime.map_err(|error| Failure::Config(error.to_string()))
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
    router(app, api::routes())
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

async fn listen(args: &Args) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(args.bind).await;
    listener.map_err(|error| Failure::Listen { address: args.bind.to_string(), error })
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
