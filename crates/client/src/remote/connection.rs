//! One connection, kept open between requests, and one request over it.

use super::{Error, Trust};
use blindsight_protocol::{Address, Problem, VERSION, headers};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConnection;
use tokio_rustls::rustls::pki_types::ServerName;

/// For a connection to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// For an answer to be there, its body included.
const ANSWER: Duration = Duration::from_secs(120);

/// Where the server is, and what it takes to speak with it.
pub(super) struct Connection {
    address: String,
    identity: String,
    host: String,
    authority: String,
    port: u16,
    tls: Option<TlsConnector>,
    authorization: HeaderValue,
    runtime: Runtime,
    open: Mutex<Option<SendRequest<Full<Bytes>>>>,
    peer: Mutex<Option<Peer>>,
}

/// What a TLS handshake was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// SHA-256 of the server's certificate, in hexadecimal.
    pub certificate: String,
    /// The version of TLS and the key exchange, as `TLSv1_3, X25519`.
    pub exchange: String,
}

/// A request, as far as requests differ.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub path: &'a str,
    pub headers: &'a [(&'static str, String)],
    pub body: Bytes,
    /// The most bytes that the answer may have.
    pub most: usize,
}

/// An answer that is no refusal.
pub(super) struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Connection {
    pub fn new(address: &str, token: &str, trust: &Trust) -> Result<Self, Error> {
        let wrong = |reason| Error::Address { address: address.into(), reason };
        let uri: Uri = address.parse().map_err(|_| wrong("expected https://HOST:PORT"))?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(wrong("expected https://HOST:PORT"));
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("expected nothing behind the port"));
        }
        let tls = match scheme {
            "https" => Some(TlsConnector::from(Arc::new(trust.configuration()?))),
            "http" if is_loopback(host) => None,
            "http" => {
                return Err(wrong("without TLS everybody on the way could read the token: expected https"));
            }
            _ => return Err(wrong("expected https")),
        };
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Error::Token)?;
        authorization.set_sensitive(true);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Error::Connection { address: address.into(), source })?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        Ok(Self {
            address: address.trim_end_matches('/').into(),
            identity: match (&tls, trust) {
                (Some(_), Trust::Pinned(fingerprint)) => format!("certificate {fingerprint}"),
                _ => format!("{scheme} {}", authority.to_lowercase()),
            },
            host: host.trim_matches(['[', ']']).into(),
            authority,
            port: uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 }),
            tls,
            authorization,
            runtime,
            open: Mutex::new(None),
            peer: Mutex::new(None),
        })
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// What tells this server from others: its certificate where that is pinned, else its address.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What the last TLS handshake was about; none where there was none.
    pub fn peer(&self) -> Option<Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request once.
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = self.runtime.block_on(async {
            let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
            timeout(ANSWER, self.exchange(&mut open, ask)).await.unwrap_or_else(|_| late())
        });
        match answered {
            Ok(answered) if answered.status.is_success() => Ok(answered),
            Ok(refused) => Err(refusal(&refused)),
            Err(source) => {
                *open = None;
                Err(Error::Connection { address: self.address.clone(), source })
            }
        }
    }

    async fn exchange(
        &self,
        open: &mut Option<SendRequest<Full<Bytes>>>,
        ask: &Ask<'_>,
    ) -> io::Result<Answered> {
        let request = self.request(ask).map_err(io::Error::other)?;
        let mut kept = open.take();
        // It may have been closed while nobody looked.
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut sender = match kept {
            Some(sender) => sender,
            None => timeout(CONNECT, self.connect())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??,
        };
        let (parts, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        let body = Limited::new(body, ask.most).collect().await;
        let body = body.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        *open = Some(sender);
        Ok(Answered { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(ask.path)
            .header(HOST, &self.authority)
            .header(headers::VERSION, VERSION)
            .header(AUTHORIZATION, self.authorization.clone());
        for (name, value) in ask.headers {
            request = request.header(*name, value);
        }
        if matches!(ask.method, Method::PUT | Method::POST) {
            // An empty body has a length, too: keys that have arrived whole, and are to be registered now.
            request = request.header(CONTENT_LENGTH, ask.body.len());
        }
        request.body(Full::new(ask.body.clone()))
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return handshake(stream).await };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Peer::of(stream.get_ref().1));
        handshake(stream).await
    }
}

impl Peer {
    fn of(connection: &ClientConnection) -> Self {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let version = connection.protocol_version().map(|version| format!("{version:?}"));
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        Self {
            certificate: certificate.map_or_else(String::new, |one| Address::of(one).to_string()),
            exchange: [version, group].into_iter().flatten().collect::<Vec<_>>().join(", "),
        }
    }
}

async fn handshake<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // What ends the connection is seen by the request that it ends.
    tokio::spawn(connection);
    Ok(sender)
}

fn refusal(answered: &Answered) -> Error {
    match serde_json::from_slice::<Problem>(&answered.body) {
        Ok(problem) => Error::Refused(problem),
        Err(_) => Error::Answer(format!("status {} without a reason", answered.status)),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
