//! A terminal: what people see when they run a command.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Runs a command in a terminal and gives the text on it at the end, and the exit code.
pub(crate) fn run(mut command: Command) -> (String, i32) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: 50, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    tcsetwinsize(side.as_fd(), size).unwrap();
    command.env("TERM", "xterm").stdout(side.try_clone().unwrap()).stderr(side);
    let mut child = command.spawn().unwrap();
    // Holds the other side of the terminal, which would then never close.
    drop(command);
    let written = read_all(File::from(terminal));
    let code = child.wait().unwrap().code().unwrap();
    (screen(&written), code)
}

/// Reads until the other side is closed, which Linux reports as an error.
fn read_all(mut terminal: File) -> String {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        bytes.extend_from_slice(&part[..length]);
    }
    String::from_utf8(bytes).unwrap()
}

/// The lines on the screen after all this was written, without colours.
///
/// Knows what live pictures are drawn with: going up, to the start of the line, and erasing what is
/// below.
fn screen(written: &str) -> String {
    let mut lines = vec![String::new()];
    let mut row = 0;
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' if rest.starts_with('\n') => {}
            // A live picture erases what it then writes over.
            '\r' => {}
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            '\u{1b}' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let count = rest[1..end].parse().unwrap_or(1);
                match &rest[end..=end] {
                    "A" => row = row.saturating_sub(count),
                    "J" => {
                        lines.truncate(row + 1);
                        lines[row].clear();
                    }
                    _ => {}
                }
                rest = &rest[end + 1..];
            }
            c => lines[row].push(c),
        }
    }
    let mut text: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    text.truncate(text.trim_end().len());
    text + "\n"
}
