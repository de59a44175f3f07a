//! Which server commands are for, and who asks.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::ServerError;
use crate::error::CliError;
use crate::source::read_text;

/// The token of whoever asks. There is no option for it: others see command lines.
const TOKEN: &str = "FLOW_TOKEN";

/// The folder of a server that nobody has told another one.
const DATA_DIR: &str = "flow-data";

/// Which server commands are for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// Asks this server instead of doing it here, such as `http://127.0.0.1:8080`.
    #[arg(long, global = true, value_name = "URL", env = "FLOW_SERVER")]
    server: Option<String>,

    /// A file with the token for the server; else it is FLOW_TOKEN, and for a server on this machine
    /// what stands in `flow-data/token`.
    #[arg(long, global = true, value_name = "FILE", env = "FLOW_TOKEN_FILE")]
    token_file: Option<PathBuf>,

    /// A file with the certificates (PEM) by which the server is known; those of the system unless
    /// given.
    #[arg(long, global = true, value_name = "FILE", env = "FLOW_CA_FILE")]
    ca_file: Option<PathBuf>,
}

/// A server, and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct ServerSettings {
    /// Its address.
    pub(crate) url: String,
    token_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
}

impl ServerArgs {
    /// The server, if one is named.
    pub(crate) fn resolve(&self) -> Option<ServerSettings> {
        let url = self.server.clone().filter(|url| !url.is_empty())?;
        Some(ServerSettings {
            url,
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
        })
    }
}

impl ServerSettings {
    /// The address as a URL of a server: with a scheme and a host, and nothing after the path.
    pub(super) fn parse(&self) -> Result<Url, ServerError> {
        let bad = |problem: &str| ServerError::BadUrl {
            url: self.url.clone(),
            problem: problem.to_owned(),
        };
        let url = self.url.parse::<Url>().map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it begins with `http://` or `https://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a name or password has no place in it"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("nothing may follow its path"));
        }
        Ok(url)
    }

    /// The token of whoever asks.
    pub(super) fn token(&self, url: &Url) -> Result<String, CliError> {
        if let Some(file) = &self.token_file {
            return read(file);
        }
        if let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty()) {
            return Ok(token.trim().to_owned());
        }
        let folder = std::env::var_os("FLOW_DATA_DIR").unwrap_or_else(|| DATA_DIR.into());
        let file = Path::new(&folder).join("token");
        if is_loopback(url) && file.exists() {
            return read(&file);
        }
        Err(ServerError::NoToken { url: self.url.clone() }.into())
    }
}

fn read(file: &Path) -> Result<String, CliError> {
    read_text(&file.to_string_lossy()).map(|text| text.trim().to_owned())
}

/// Whether a server runs on this machine: only then a token that lies here is meant for it.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ServerSettings {
        ServerSettings { url: url.to_owned(), token_file: None, ca_file: None }
    }

    #[test]
    fn addresses_of_servers_are_read() {
        for good in ["http://localhost:8080", "https://flow.example.org/base/", "http://[::1]:1"] {
            assert!(settings(good).parse().is_ok(), "{good}");
        }
        for bad in [
            "localhost:8080",
            "flow.example.org",
            "ftp://host",
            "http://",
            "http://ada:pw@host",
            "http://host/?x=1",
            "http://host/#x",
        ] {
            assert!(settings(bad).parse().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_that_lies_here_is_for_servers_of_this_machine_only() {
        let check = |url: &str| is_loopback(&settings(url).parse().unwrap());
        for own in ["http://localhost:1", "http://127.0.0.1:8080", "http://[::1]/", "http://127.1"]
        {
            assert!(check(own), "{own}");
        }
        for other in ["http://localhost.evil.test", "http://10.0.0.1", "https://127.0.0.1.nip.io"] {
            assert!(!check(other), "{other}");
        }
    }
}
