//! Why a server did not do what was asked.

use std::path::PathBuf;

use super::problem::Problem;
use crate::exit_code::ExitCode;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The address is none of a server.
    #[error("`{url}` is not the address of a server: {problem}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is not said who asks.
    #[error("there is no token for {url}")]
    NoToken {
        /// The server.
        url: String,
    },
    /// What was given is no token.
    #[error("the token has characters that no token has")]
    BadToken,
    /// No certificates can be read from a file.
    #[error("`{}` has no certificates in PEM form", .0.display())]
    NoCertificates(PathBuf),
    /// There is no client, so nothing can be asked.
    #[error("no HTTP client could be made")]
    NoClient(#[source] reqwest::Error),
    /// The server does not answer.
    #[error("{url} does not answer")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The server did not come back.
    #[error("{url} is gone, and did not come back for {seconds} s")]
    Lost {
        /// The server.
        url: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Something else than Flow answers there.
    #[error("{url} answers with {status}, and not as a Flow server does")]
    NotFlow {
        /// The server.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// An answer is larger than any that is expected.
    #[error("the answer has more than {mib} MiB")]
    TooLarge {
        /// How much is read.
        mib: usize,
    },
    /// An answer cannot be understood.
    #[error("the answer of the server cannot be read: {0}")]
    Unreadable(String),
    /// The server says why.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
}

impl ServerError {
    /// The stable code; what a server refuses has the one that it says.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::BadUrl { .. } => "cli.bad_server",
            Self::NoToken { .. } => "cli.no_token",
            Self::BadToken => "cli.bad_token",
            Self::NoCertificates(_) => "cli.no_certificates",
            Self::NoClient(_) | Self::Unreachable { .. } => "cli.server_unreachable",
            Self::Lost { .. } => "cli.server_lost",
            Self::NotFlow { .. } => "cli.not_a_server",
            Self::TooLarge { .. } | Self::Unreadable(_) => "cli.server_unreadable",
            Self::Refused(problem) => &problem.code,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::BadUrl { .. } => Some("such as `http://127.0.0.1:8080`".to_owned()),
            Self::NoToken { .. } | Self::BadToken => Some(
                "`--token-file FILE` names a file with one, or FLOW_TOKEN has it; a server writes \
                 its first one to `flow-data/token`"
                    .to_owned(),
            ),
            Self::Unreachable { source, .. } if is_about_certificates(source) => Some(
                "`--ca-file FILE` names the certificates of an authority of your own".to_owned(),
            ),
            Self::Unreachable { source, .. } if source.is_connect() => {
                Some("is it running? `flowcli serve` starts a server on this machine".to_owned())
            }
            Self::Lost { .. } => Some(
                "what it has accepted goes on as soon as it runs: `flowcli executions watch ID` \
                 follows it"
                    .to_owned(),
            ),
            Self::NotFlow { .. } => {
                Some("the address is that of the server, without `/api/v1`".to_owned())
            }
            Self::TooLarge { .. } | Self::Unreadable(_) => Some(format!(
                "use a flowcli of the version that the server has; this is {}",
                env!("CARGO_PKG_VERSION")
            )),
            Self::Refused(problem) if problem.status == 401 => {
                Some("`--token-file FILE` or FLOW_TOKEN names another token".to_owned())
            }
            Self::Refused(problem) if problem.code == "request.no_such_path" => Some(format!(
                "the address is that of the server, without `/api/v1`; else the server is of another \
                 version than this flowcli, which is {}",
                env!("CARGO_PKG_VERSION")
            )),
            Self::Refused(problem) => problem.hint.clone(),
            Self::NoCertificates(_) | Self::NoClient(_) | Self::Unreachable { .. } => None,
        }
    }

    /// How the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::BadUrl { .. } | Self::NoToken { .. } | Self::BadToken => ExitCode::Usage,
            Self::NoCertificates(_) => ExitCode::NotFound,
            Self::NoClient(_)
            | Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::NotFlow { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable(_) => ExitCode::Unreachable,
            Self::Refused(problem) if problem.code == "execution.key_conflict" => {
                ExitCode::Conflict
            }
            Self::Refused(problem) => match problem.status {
                404 => ExitCode::NotFound,
                409 | 412 | 428 => ExitCode::Conflict,
                400 | 413 | 415 | 422 => ExitCode::Invalid,
                _ => ExitCode::Unreachable,
            },
        }
    }
}

/// Whether TLS failed because of who the server says it is.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}
