//! What nodes may touch outside Flow. Nodes ask; they never decide for themselves.

mod address;

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::NodeError;

/// Which things of a kind are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access<T> {
    /// All of them.
    All,
    /// None of them.
    None,
    /// Only these.
    Only(Vec<T>),
}

/// How far a host that may be reached may be: see [`Policy::reach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Wherever it is.
    Anywhere,
    /// If all of its addresses belong to the public Internet: whoever connects looks at them, and
    /// connects to what was looked at.
    Public,
}

impl Reach {
    /// Checks an address that the name of a host leads to.
    ///
    /// # Errors
    /// `policy.host_denied` when it may only be public, and is not.
    pub fn check(self, host: &str, address: IpAddr) -> Result<(), NodeError> {
        match self {
            Self::Public if !address::is_public(address) => {
                let hint = "it leads to an address that is not public: whoever runs the workflow \
                            may list the host";
                Err(denied("policy.host_denied", "host", host).with_hint(hint))
            }
            Self::Anywhere | Self::Public => Ok(()),
        }
    }
}

/// Which hosts, programs and directories the nodes of an execution may touch, and where relative
/// paths start.
///
/// Paths are judged by their text: a symbolic link inside an allowed directory may lead out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    directory: PathBuf,
    hosts: Access<String>,
    public_hosts: bool,
    programs: Access<String>,
    read: Access<PathBuf>,
    write: Access<PathBuf>,
}

impl Policy {
    /// Everything is allowed; relative paths start at `directory`.
    pub fn allow_all(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            hosts: Access::All,
            public_hosts: false,
            programs: Access::All,
            read: Access::All,
            write: Access::All,
        }
    }

    /// Nothing outside is allowed: no network, no program, no file.
    pub fn deny_all() -> Self {
        Self {
            directory: PathBuf::from("."),
            hosts: Access::None,
            public_hosts: false,
            programs: Access::None,
            read: Access::None,
            write: Access::None,
        }
    }

    /// Says which hosts may be reached: `example.org`, `*.example.org` (not `example.org` itself),
    /// or either with a port, `127.0.0.1:8080`.
    #[must_use]
    pub fn hosts(mut self, hosts: Access<String>) -> Self {
        self.hosts = hosts;
        self
    }

    /// Allows all hosts of the public Internet, besides those that are listed: names that lead to
    /// public addresses only, and such addresses. Nodes that cannot look at the addresses, such as
    /// `sql.query`, still reach only what is listed.
    #[must_use]
    pub fn public_hosts(mut self) -> Self {
        self.public_hosts = true;
        self
    }

    /// Says which programs may be started, by the exact text that a workflow names.
    #[must_use]
    pub fn programs(mut self, programs: Access<String>) -> Self {
        self.programs = programs;
        self
    }

    /// Says in which directories files may be read.
    #[must_use]
    pub fn read(mut self, directories: Access<PathBuf>) -> Self {
        self.read = directories;
        self
    }

    /// Says in which directories files may be written.
    #[must_use]
    pub fn write(mut self, directories: Access<PathBuf>) -> Self {
        self.write = directories;
        self
    }

    /// Says where relative paths start.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Where relative paths start.
    pub fn base_directory(&self) -> &Path {
        &self.directory
    }

    /// Checks that a host may be reached, wherever it is.
    ///
    /// # Errors
    /// `policy.host_denied`.
    pub fn check_host(&self, host: &str, port: Option<u16>) -> Result<(), NodeError> {
        match self.reach(host, port)? {
            Reach::Anywhere => Ok(()),
            Reach::Public if parse_address(host).is_some() => Ok(()),
            Reach::Public => Err(denied("policy.host_denied", "host", host)),
        }
    }

    /// Whether a host may be reached, and how far it may be. An address that stands there is looked at
    /// already.
    ///
    /// # Errors
    /// `policy.host_denied`.
    pub fn reach(&self, host: &str, port: Option<u16>) -> Result<Reach, NodeError> {
        let matches = |pattern: &String| {
            let with_port =
                port.is_some_and(|port| host_matches(pattern, &format!("{host}:{port}")));
            with_port || host_matches(pattern, host)
        };
        let is_listed = match &self.hosts {
            Access::All => true,
            Access::None => false,
            Access::Only(patterns) => patterns.iter().any(matches),
        };
        if is_listed {
            return Ok(Reach::Anywhere);
        }
        let is_public = parse_address(host).is_none_or(address::is_public);
        match self.public_hosts && is_public {
            true => Ok(Reach::Public),
            false => Err(denied("policy.host_denied", "host", host)),
        }
    }

    /// Checks that a program may be started.
    ///
    /// # Errors
    /// `policy.program_denied`.
    pub fn check_program(&self, program: &str) -> Result<(), NodeError> {
        let allowed = match &self.programs {
            Access::All => true,
            Access::None => false,
            Access::Only(programs) => programs.iter().any(|allowed| allowed == program),
        };
        allowed.then_some(()).ok_or_else(|| denied("policy.program_denied", "program", program))
    }

    /// The full path of a file or folder that is to be read.
    ///
    /// # Errors
    /// `policy.path_denied`.
    pub fn read_path(&self, path: &str) -> Result<PathBuf, NodeError> {
        self.resolve(path, &self.read)
    }

    /// The full path of a file that is to be written.
    ///
    /// # Errors
    /// `policy.path_denied`.
    pub fn write_path(&self, path: &str) -> Result<PathBuf, NodeError> {
        self.resolve(path, &self.write)
    }

    fn resolve(&self, path: &str, access: &Access<PathBuf>) -> Result<PathBuf, NodeError> {
        let full = normalize(&self.directory.join(path));
        let inside =
            |directory: &PathBuf| full.starts_with(normalize(&self.directory.join(directory)));
        let allowed = match access {
            Access::All => true,
            Access::None => false,
            Access::Only(directories) => directories.iter().any(inside),
        };
        allowed.then_some(full).ok_or_else(|| denied("policy.path_denied", "path", path))
    }
}

/// An address, as it stands in a URL.
fn parse_address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => {
            let start = host.len().checked_sub(suffix.len());
            start.is_some_and(|start| {
                start > 0
                    && host.is_char_boundary(start)
                    && host[start..].eq_ignore_ascii_case(suffix)
            })
        }
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn denied(code: &'static str, kind: &str, name: &str) -> NodeError {
    NodeError::new(code, format!("the policy does not allow the {kind} `{name}`"))
        .with_hint("whoever runs the workflow decides what it may touch")
}

/// Resolves `.` and `..` by text.
fn normalize(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => {
                normal.pop();
            }
            // At the root, `..` is the root itself.
            Component::ParentDir if normal.has_root() => {}
            other => normal.push(other),
        }
        normal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_hosts_are_reached_besides_those_that_are_listed() {
        let listed = Access::Only(vec!["10.0.0.1:5432".to_owned(), "db.local".to_owned()]);
        let policy = Policy::deny_all().hosts(listed).public_hosts();
        let reach = |host: &str, port| policy.reach(host, Some(port)).ok();
        for (host, port, expected) in [
            ("10.0.0.1", 5432, Some(Reach::Anywhere)),
            ("10.0.0.1", 80, None),
            ("db.local", 1, Some(Reach::Anywhere)),
            ("example.org", 443, Some(Reach::Public)),
            ("1.1.1.1", 443, Some(Reach::Public)),
            ("[2600::1]", 443, Some(Reach::Public)),
            ("127.0.0.1", 443, None),
            ("[::1]", 443, None),
            ("[::ffff:7f00:1]", 443, None),
        ] {
            assert_eq!(reach(host, port), expected, "{host}");
        }
        // What cannot look at addresses reaches no name that might lead anywhere.
        assert!(policy.check_host("example.org", None).is_err());
        assert!(policy.check_host("1.1.1.1", None).is_ok());
        assert!(Policy::allow_all(".").hosts(Access::None).reach("1.1.1.1", None).is_err());
        let own = "127.0.0.1".parse().unwrap();
        assert_eq!(Reach::Public.check("x", own).unwrap_err().code(), "policy.host_denied");
        assert!(Reach::Anywhere.check("x", own).is_ok());
    }

    #[test]
    fn paths_are_confined() {
        let policy =
            Policy::deny_all().directory("/base").read(Access::Only(vec![PathBuf::from("in")]));
        let read = |path: &str| policy.read_path(path).map_err(|error| error.code().to_owned());
        assert_eq!(read("in/a.txt"), Ok(PathBuf::from("/base/in/a.txt")));
        assert_eq!(read("./in/./b/../a.txt"), Ok(PathBuf::from("/base/in/a.txt")));
        for path in ["a.txt", "in/../a.txt", "in/../../etc/passwd", "/etc/passwd", "inside/a", ""] {
            assert_eq!(read(path), Err("policy.path_denied".to_owned()), "{path}");
        }
        assert!(policy.write_path("in/a.txt").is_err());
        let free = Policy::allow_all("/base");
        assert_eq!(free.write_path("../../../x").unwrap(), PathBuf::from("/x"));
    }

    #[test]
    fn hosts_match_exactly_or_by_subdomain() {
        let only = |hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            Policy::deny_all().hosts(Access::Only(hosts))
        };
        let policy = only(&["example.org", "*.example.com", "127.0.0.1:80"]);
        assert!(policy.check_host("EXAMPLE.org", Some(443)).is_ok());
        assert!(policy.check_host("a.example.com", None).is_ok());
        assert!(policy.check_host("127.0.0.1", Some(80)).is_ok());
        for (host, port) in [("a.example.org", 443), ("example.com", 443), ("127.0.0.1", 81)] {
            let error = policy.check_host(host, Some(port)).unwrap_err();
            assert_eq!(error.code(), "policy.host_denied");
        }
        assert!(Policy::deny_all().check_host("example.org", None).is_err());
        assert!(Policy::deny_all().check_program("sh").is_err());
        assert!(Policy::allow_all(".").check_program("sh").is_ok());
    }
}
