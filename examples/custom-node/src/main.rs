//! `flowcli` with one more node type: every verb knows it.

mod slugify;

fn main() -> std::process::ExitCode {
    flowcli::Cli::new().nodes(flownodes::register_all).node(slugify::SlugifyFactory).main()
}
