//! A client of HTTP/1.1 that sends exactly what it is told.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// A server that does not answer for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request on its way.
pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let headers = [("host", address.to_string()), ("connection", "close".to_owned())];
        Self {
            address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Json) -> Self {
        self.text(&body.to_string()).header("content-type", "application/json")
    }

    pub(crate) fn text(self, body: &str) -> Self {
        self.bytes(body.as_bytes())
    }

    pub(crate) fn bytes(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = self.body.len().to_string();
        self.header("content-length", &length)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let mut stream = open(self.address)?;
        self.write(stream.get_mut())?;
        Ok(stream)
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        // A server that refuses a request does not read its body.
        let _ = stream.write_all(&self.body);
        Ok(())
    }

    /// Sends it, and does not wait for the answer: as long as what it gives is there, somebody does.
    pub(crate) fn begin(self) -> BufReader<TcpStream> {
        self.connect().unwrap()
    }

    pub(crate) fn send(self) -> Answer {
        self.try_send().unwrap()
    }

    /// Sends it to a server that may be gone.
    pub(crate) fn try_send(self) -> io::Result<Answer> {
        Ok(self.upgrade()?.0)
    }

    /// Sends it, and keeps the connection.
    pub(crate) fn upgrade(self) -> io::Result<(Answer, BufReader<TcpStream>)> {
        let mut stream = self.connect()?;
        let answer = self.answer(&mut stream)?;
        Ok((answer, stream))
    }

    fn answer(&self, stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        let (status, headers) = read_head(stream)?;
        let has_body = self.method != "HEAD" && ![101, 204, 304].contains(&status);
        let mut body = Vec::new();
        if has_body && headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
            while let Some(chunk) = read_chunk(stream)? {
                body.extend(chunk);
            }
        } else if has_body {
            let length = headers.get("content-length").map(|length| length.parse().unwrap());
            body = vec![0; length.unwrap_or(0)];
            stream.read_exact(&mut body)?;
        }
        Ok(Answer { status, headers, body })
    }

    /// Listens to server-sent events.
    #[track_caller]
    pub(crate) fn listen(self) -> Events {
        self.try_listen().unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// Listens, or gives why the server does not want to.
    pub(crate) fn try_listen(self) -> Result<Events, Box<Answer>> {
        let mut stream = self.connect().unwrap();
        let (status, headers) = read_head(&mut stream).unwrap();
        if status != 200 {
            return Err(Box::new(Answer { status, headers, body: Vec::new() }));
        }
        assert_eq!(headers["content-type"], "text/event-stream");
        Ok(Events { stream, text: String::new() })
    }
}

fn open(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// A connection that is kept for more requests.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        open(address).map(Self)
    }

    pub(crate) fn send(&mut self, request: Request) -> io::Result<Answer> {
        let request = request.header("connection", "keep-alive");
        request.write(self.0.get_mut())?;
        request.answer(&mut self.0)
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, BTreeMap<String, String>)> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {first:?}")))?;
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(": ") else { return Ok((status, headers)) };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

/// The next chunk; `None` is the end.
fn read_chunk(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut size = String::new();
    stream.read_line(&mut size)?;
    let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(Some(chunk))
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        self.read()
    }

    /// The body as a document of the API.
    #[track_caller]
    pub(crate) fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The code of a problem document.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Server-sent events as they come.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    text: String,
}

/// A server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sse {
    pub(crate) id: Option<u64>,
    /// The id, when it is no number.
    pub(crate) cursor: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Json,
}

impl Iterator for Events {
    type Item = Sse;

    fn next(&mut self) -> Option<Sse> {
        loop {
            let Some(end) = self.text.find("\n\n") else {
                let chunk = read_chunk(&mut self.stream).unwrap()?;
                self.text.push_str(&String::from_utf8(chunk).unwrap());
                continue;
            };
            let event: String = self.text.drain(..end + 2).collect();
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                event.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
            };
            // What only says that the stream lives is no event.
            let Some(data) = field("data") else { continue };
            return Some(Sse {
                id: field("id").and_then(|id| id.parse().ok()),
                cursor: field("id").filter(|id| id.starts_with('t')),
                name: field("event").unwrap(),
                data: serde_json::from_str(&data).unwrap(),
            });
        }
    }
}
