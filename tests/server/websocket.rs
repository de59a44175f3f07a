//! A client of WebSocket that does as little as one may.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value as Json;

use crate::client::{Answer, Request};

/// A connection over which the server speaks.
pub(crate) struct WebSocket {
    stream: BufReader<TcpStream>,
}

/// What the server says.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Message(Json),
    Ping,
    /// With the code of the close.
    Close(u16),
    /// The connection is gone.
    Nothing,
}

/// What a handshake asks for.
pub(crate) fn handshake(request: Request) -> Request {
    request
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

impl WebSocket {
    /// Opens one, or gives why the server does not want to.
    pub(crate) fn open(request: Request) -> Result<Self, Box<Answer>> {
        let (answer, stream) = handshake(request).upgrade().unwrap();
        if answer.status != 101 {
            return Err(Box::new(answer));
        }
        // The answer to that key, as RFC 6455 has it.
        assert_eq!(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        Ok(Self { stream })
    }

    /// What the server says next; pings are answered.
    pub(crate) fn next(&mut self) -> Said {
        self.next_or_pong().expect("nobody sent a ping")
    }

    /// As [`Self::next`]; `None` is the answer to a ping.
    pub(crate) fn next_or_pong(&mut self) -> Option<Said> {
        let Ok((opcode, payload)) = self.frame() else { return Some(Said::Nothing) };
        Some(match opcode {
            10 => return None,
            1 => Said::Message(serde_json::from_slice(&payload).unwrap()),
            9 => {
                let _ = self.send(10, &payload);
                Said::Ping
            }
            8 => {
                let _ = self.send(8, &payload);
                Said::Close(u16::from_be_bytes([payload[0], payload[1]]))
            }
            other => panic!("a frame {other}"),
        })
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!((head[0] & 0xf0, head[1] & 0x80), (0x80, 0), "whole, and not masked");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length)?;
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length)?;
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0] & 0x0f, payload))
    }

    /// Sends a frame, masked with zeroes.
    pub(crate) fn send(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap();
        let mut frame = vec![0x80 | opcode, 0x80 | 127];
        frame.extend(u64::from(length).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.get_mut().write_all(&frame)
    }

    /// All messages to the close, and its code; without a close, 0.
    pub(crate) fn rest(mut self) -> (Vec<Json>, u16) {
        let mut messages = Vec::new();
        loop {
            match self.next() {
                Said::Message(json) => messages.push(json),
                Said::Ping => {}
                Said::Close(code) => return (messages, code),
                Said::Nothing => return (messages, 0),
            }
        }
    }
}
