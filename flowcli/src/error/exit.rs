//! How the process ends after an error.

use std::io;

use flowcore::SignalError;
use flowcore::machine::RerunError;
use flowruntime::store::StoreError;
use flowruntime::{LoadError, RerunFailure, StartError, TellError, WaitError};

use super::CliError;
use crate::exit_code::ExitCode;

impl CliError {
    /// How the process ends.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Read { .. }
            | Self::NoTests(_)
            | Self::NoMatchingCase(_)
            | Self::UnknownNode { .. }
            | Self::UnknownNodeType { .. }
            | Self::UnknownPath { .. }
            | Self::UnknownCode { .. }
            | Self::UnknownVerb(_)
            | Self::NoStore
            | Self::NoServerProgram
            | Self::NoSuchStore(_)
            | Self::NoSuchStep { .. }
            | Self::UnknownExecution(_) => ExitCode::NotFound,
            Self::Store(error) | Self::Start(StartError::Store(error)) => exit_code_of(error),
            Self::Load(error) | Self::Start(StartError::Load(error)) => exit_code_of_load(error),
            Self::Server(error) => error.exit_code(),
            Self::Tell(error) => exit_code_of_tell(error),
            Self::Rerun(error) => exit_code_of_rerun(error),
            Self::NotText { .. }
            | Self::NoWorkflowId
            | Self::Unrecognised { .. }
            | Self::InputTooDeep(_)
            | Self::Secrets { .. }
            | Self::Start(_) => ExitCode::Invalid,
            Self::Wait(error) if lacks_key(error) => exit_code_of(&StoreError::NoSealingKey),
            Self::Wait(WaitError::Journal(_)) => ExitCode::Unreachable,
            Self::Wait(_) => ExitCode::Bug,
            Self::Exists(_) => ExitCode::Conflict,
            Self::Signal { error: SignalError::InvalidPayload { .. }, .. } => ExitCode::Invalid,
            Self::StdinTwice
            | Self::SealingKey { .. }
            | Self::KeyOfNothing
            | Self::NoServer
            | Self::NotHere { .. }
            | Self::StoreAndServer
            | Self::BadCursor(_)
            | Self::NoValue
            | Self::WhichCase(_)
            | Self::NotIdempotent { .. }
            | Self::NotAsked(_)
            | Self::LogFilter(_)
            | Self::AmbiguousId { .. }
            | Self::NotConfirmed
            | Self::Signal { .. } => ExitCode::Usage,
            // Who closes the pipe has read enough.
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::Success,
            Self::TookTooLong(_) => ExitCode::TimedOut,
            Self::NotKept
            | Self::DidNotRun(_)
            | Self::NeverEnds(_)
            | Self::NotPinned(_)
            | Self::Write { .. }
            | Self::NotStarted { .. }
            | Self::Runtime(_)
            | Self::Output(_) => ExitCode::Failed,
        }
    }
}

/// Whether the execution was given up because nothing seals what it would keep.
pub(super) fn lacks_key(error: &WaitError) -> bool {
    error.code() == StoreError::NoSealingKey.code()
}

/// How the process ends when a store did not do what it was asked to.
fn exit_code_of(error: &StoreError) -> ExitCode {
    match error {
        StoreError::InUse { .. } | StoreError::KeyConflict { .. } => ExitCode::Conflict,
        StoreError::BadUrl { .. } => ExitCode::Usage,
        StoreError::NoSealingKey => ExitCode::Invalid,
        _ => ExitCode::Unreachable,
    }
}

fn exit_code_of_load(error: &LoadError) -> ExitCode {
    match error {
        LoadError::Store(error) => exit_code_of(error),
        _ => ExitCode::Invalid,
    }
}

fn exit_code_of_rerun(error: &RerunFailure) -> ExitCode {
    match error {
        RerunFailure::NotFound(_) | RerunFailure::From(RerunError::UnknownNode { .. }) => {
            ExitCode::NotFound
        }
        RerunFailure::NotEnded(_) => ExitCode::Conflict,
        RerunFailure::Load(error) => exit_code_of_load(error),
        RerunFailure::Start(StartError::Store(error)) => exit_code_of(error),
        _ => ExitCode::Invalid,
    }
}

fn exit_code_of_tell(error: &TellError) -> ExitCode {
    match error {
        TellError::Signal(SignalError::Finished) | TellError::TooMany(_) => ExitCode::Conflict,
        TellError::Signal(SignalError::InvalidPayload { .. }) => ExitCode::Invalid,
        TellError::Signal(_) => ExitCode::Usage,
        TellError::NotFound(_) => ExitCode::NotFound,
        TellError::Load(error) => exit_code_of_load(error),
        TellError::Store(error) => exit_code_of(error),
        _ => ExitCode::Failed,
    }
}
