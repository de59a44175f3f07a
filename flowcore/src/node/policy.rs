//! What nodes may touch outside Flow. Nodes ask; they never decide for themselves.

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

/// Which hosts, programs and directories the nodes of an execution may touch, and where relative
/// paths start.
///
/// Paths are judged by their text: a symbolic link inside an allowed directory may lead out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    directory: PathBuf,
    hosts: Access<String>,
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

    /// Checks that a host may be reached.
    ///
    /// # Errors
    /// `policy.host_denied`.
    pub fn check_host(&self, host: &str, port: Option<u16>) -> Result<(), NodeError> {
        let matches = |pattern: &String| {
            let with_port =
                port.is_some_and(|port| host_matches(pattern, &format!("{host}:{port}")));
            with_port || host_matches(pattern, host)
        };
        let allowed = match &self.hosts {
            Access::All => true,
            Access::None => false,
            Access::Only(patterns) => patterns.iter().any(matches),
        };
        allowed.then_some(()).ok_or_else(|| denied("policy.host_denied", "host", host))
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
