//! How the process ends, for those who call it.

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// It did what was asked.
    Success = 0,
    /// The execution failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The workflow or its inputs are invalid.
    Invalid = 3,
    /// A file, store, execution, node type or code does not exist.
    NotFound = 4,
    /// Something is in the way.
    Conflict = 5,
    /// The execution took too long.
    TimedOut = 6,
    /// The store or server cannot be reached.
    Unreachable = 7,
    /// A bug in Flow.
    Bug = 70,
    /// Somebody pressed Ctrl-C, or the process was told to end.
    Interrupted = 130,
}

impl ExitCode {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 10] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::TimedOut,
        Self::Unreachable,
        Self::Bug,
        Self::Interrupted,
    ];

    /// What it means, for the help.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::Failed => "the execution failed",
            Self::Usage => "the command line makes no sense",
            Self::Invalid => "the workflow or its inputs are invalid",
            Self::NotFound => {
                "a file, store, execution, node type or code does not exist or cannot be read"
            }
            Self::Conflict => {
                "something is in the way, such as a file that exists or a store in use"
            }
            Self::TimedOut => "the execution timed out",
            Self::Unreachable => "the store or server is out of reach",
            Self::Bug => "a bug in Flow",
            Self::Interrupted => "interrupted",
        }
    }

    /// The list of all exit codes, for the help and the man page.
    pub(crate) fn help() -> String {
        let lines = Self::ALL.map(|code| format!("  {:>3}  {}", code as u8, code.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
