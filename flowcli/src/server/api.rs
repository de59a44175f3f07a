//! Requests to a server, and its answers.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Method, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;

use super::args::is_loopback;
use super::problem::Problem;
use super::{ServerError, ServerSettings};
use crate::error::CliError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a server may be silent, between two parts of an answer too. It says on a stream every
/// 15 s that it lives.
const SILENCE: Duration = Duration::from_secs(60);

/// The largest answer that is read: an export has the history of an execution, at most 256 MiB of
/// values, and their JSON may be twice as long.
const MOST: usize = 1 << 30;

/// The largest problem document that is read.
const MOST_OF_PROBLEM: usize = 16 << 20;

/// A server as its clients see it.
pub(crate) struct Api {
    client: Client,
    base: Url,
    token: HeaderValue,
}

/// What is asked of a server.
#[derive(Debug)]
pub(crate) struct Ask {
    method: Method,
    /// What follows `/api/v1`.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<String>,
}

impl Ask {
    fn new<'a>(method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        Self { method, path, query: Vec::new(), headers: HeaderMap::new(), body: None }
    }

    /// To see something.
    pub(crate) fn get<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::GET, path)
    }

    /// To do something, with a JSON body.
    pub(crate) fn post<'a>(path: impl IntoIterator<Item = &'a str>, body: String) -> Self {
        Self { body: Some(body), ..Self::new(Method::POST, path) }
    }

    /// To put a JSON body in the place of what is there.
    pub(crate) fn put<'a>(path: impl IntoIterator<Item = &'a str>, body: String) -> Self {
        Self { body: Some(body), ..Self::new(Method::PUT, path) }
    }

    /// To take something away.
    pub(crate) fn delete<'a>(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A parameter, if there is a value.
    #[must_use]
    pub(crate) fn query(mut self, name: &'static str, value: Option<String>) -> Self {
        self.query.extend(value.map(|value| (name, value)));
        self
    }

    /// A header; what no header can be is left to the server, which says so.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.unwrap_or(HeaderValue::from_static(""));
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }
}

/// What a server answers when it did what was asked.
pub(crate) struct Answer {
    text: String,
}

impl Answer {
    /// The document.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ServerError> {
        let unreadable = |error: serde_json::Error| ServerError::Unreadable(error.to_string());
        serde_json::from_str(&self.text).map_err(unreadable)
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

impl Api {
    /// Gets ready to ask.
    pub(super) fn new(settings: &ServerSettings) -> Result<Self, CliError> {
        let base = settings.parse()?;
        let token = HeaderValue::try_from(format!("Bearer {}", settings.token(&base)?));
        let mut token = token.map_err(|_| ServerError::BadToken)?;
        token.set_sensitive(true);
        let client = client(settings, &base)?;
        Ok(Self { client, base, token })
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether what is sent can be read on its way.
    pub(crate) fn is_open(&self) -> bool {
        self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Asks, and reads the answer.
    pub(crate) async fn send(&self, ask: Ask) -> Result<Answer, ServerError> {
        let mut response = self.begin(ask).await?;
        let bytes = self.read(&mut response, MOST).await?;
        let text = String::from_utf8(bytes);
        let text = text.map_err(|error| ServerError::Unreadable(error.to_string()))?;
        Ok(Answer { text })
    }

    /// Asks; what is answered is still to be read.
    pub(super) async fn begin(&self, ask: Ask) -> Result<Response, ServerError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(&ask.path);
        }
        let mut request = self.client.request(ask.method, url);
        if !ask.query.is_empty() {
            request = request.query(&ask.query);
        }
        request = request.headers(ask.headers).header(AUTHORIZATION, self.token.clone());
        if let Some(body) = ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    async fn refused(&self, mut response: Response) -> ServerError {
        let status = response.status();
        if !has_type(&response, "application/problem+json") {
            return ServerError::NotFlow { url: self.url().to_owned(), status: status.as_u16() };
        }
        let text = match self.read(&mut response, MOST_OF_PROBLEM).await {
            Ok(text) => text,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&text) {
            Ok(problem) => ServerError::Refused(Box::new(problem)),
            Err(error) => ServerError::Unreadable(error.to_string()),
        }
    }

    async fn read(&self, response: &mut Response, most: usize) -> Result<Vec<u8>, ServerError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if bytes.len() + chunk.len() > most {
                return Err(ServerError::TooLarge { mib: most >> 20 });
            }
            bytes.extend_from_slice(&chunk);
        }
        let is_document = bytes.is_empty() || has_type(response, "application/json");
        if response.status() != StatusCode::NO_CONTENT
            && response.status().is_success()
            && !is_document
        {
            let (url, status) = (self.url().to_owned(), response.status().as_u16());
            return Err(ServerError::NotFlow { url, status });
        }
        Ok(bytes)
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> ServerError {
        ServerError::Unreachable { url: self.url().to_owned(), source: error.without_url() }
    }
}

/// Whether an answer says that it is of a type.
pub(super) fn has_type(response: &Response, name: &str) -> bool {
    let given = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    given.and_then(|text| text.split(';').next()).is_some_and(|given| given.trim() == name)
}

fn client(settings: &ServerSettings, base: &Url) -> Result<Client, CliError> {
    let builder = || {
        let builder = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("flowcli/", env!("CARGO_PKG_VERSION")))
            // The token is for this server and no other.
            .redirect(redirect::Policy::none());
        if is_loopback(base) { builder.no_proxy() } else { builder }
    };
    let build = |builder: ClientBuilder| builder.build().map_err(ServerError::NoClient);
    // Fails when the program has chosen another one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if base.scheme() == "http" {
        // To read the certificates of the system takes longer than to ask.
        return Ok(build(builder().tls_certs_only([]))?);
    }
    let Some(file) = &settings.ca_file else { return Ok(build(builder())?) };
    let name = || file.display().to_string();
    let bytes = std::fs::read(file).map_err(|source| CliError::Read { name: name(), source })?;
    let certificates = Certificate::from_pem_bundle(&bytes).unwrap_or_default();
    if certificates.is_empty() {
        return Err(ServerError::NoCertificates(file.clone()).into());
    }
    Ok(build(builder().tls_certs_only(certificates))?)
}
