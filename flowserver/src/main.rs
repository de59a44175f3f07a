//! The `flowserver` binary: the server with the standard node library.

fn main() -> std::process::ExitCode {
    flowserver::Server::new().nodes(flownodes::register_all).main()
}
