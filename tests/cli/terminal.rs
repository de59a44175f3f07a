//! A terminal in which somebody types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A command in a terminal.
pub(crate) struct Terminal {
    terminal: File,
    child: Child,
    /// What was written to the terminal, what was typed included.
    pub(crate) written: String,
}

impl Terminal {
    pub(crate) fn start(mut command: Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let side = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let [input, output] = [&side, &side].map(|side| side.try_clone().unwrap());
        command.env("TERM", "xterm").stdin(input).stdout(output).stderr(side);
        let child = command.spawn().unwrap();
        // Holds the other side of the terminal, which would then never close.
        drop(command);
        Self { terminal: File::from(terminal), child, written: String::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads until a text was written after the last one that was waited for.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let start = self.written.len();
        while !self.written[start..].contains(text) {
            assert!(self.read(), "it never said {text:?}: {}", self.written);
        }
        self.written[start..].to_owned()
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        self.terminal.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the end: the exit code, and all that was written.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while self.read() {}
        (self.child.wait().unwrap().code(), self.written)
    }

    /// Reads more; Linux reports a closed side as an error.
    fn read(&mut self) -> bool {
        let mut part = [0; 4096];
        match self.terminal.read(&mut part) {
            Ok(length @ 1..) => {
                self.written.push_str(&String::from_utf8_lossy(&part[..length]));
                true
            }
            Ok(0) | Err(_) => false,
        }
    }
}
