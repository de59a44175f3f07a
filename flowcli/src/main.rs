//! The `flowcli` binary: the command line with the standard node library.

fn main() -> std::process::ExitCode {
    flowcli::Cli::new().nodes(flownodes::register_all).main()
}
