//! Connections: up to a number, each within its time limits, and finished in peace when the server goes.

use crate::gate::{Gate, Ticket};
use crate::routes::{metrics_router, router};
use crate::strict::Strict;
use crate::{Identity, Limits, Service};
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// What connections speak.
pub enum Transport {
    /// HTTPS.
    Tls(Identity),
    /// HTTP in the clear: for loopback, or behind a proxy that speaks TLS.
    Plain,
}

/// A bound address.
pub struct Listener {
    main: TcpListener,
    metrics: Option<TcpListener>,
    transport: Transport,
}

impl Listener {
    /// Binds the address that clients connect to, and the one for figures.
    ///
    /// # Errors
    /// Where an address cannot be bound.
    pub async fn bind(
        main: SocketAddr,
        metrics: Option<SocketAddr>,
        transport: Transport,
    ) -> io::Result<Self> {
        let metrics = match metrics {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        Ok(Self { main: TcpListener::bind(main).await?, metrics, transport })
    }

    /// The address that clients connect to.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }

    /// The address for figures.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn metrics_address(&self) -> io::Result<Option<SocketAddr>> {
        self.metrics.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Serves until `stop` is ready; then accepts nothing more, lets what runs finish for as long as the
    /// limits say, and returns.
    pub async fn serve(self, service: Arc<Service>, stop: impl Future<Output = ()>) {
        let (closing, closed) = watch::channel(false);
        let acceptor = match &self.transport {
            Transport::Tls(identity) => Some(identity.acceptor()),
            Transport::Plain => None,
        };
        let limits = Arc::new(service.limits.clone());
        let gate = Gate::new(limits.connections, limits.connections_per_address, limits.proxies.clone());
        let doors = Doors { limits, gate, closed, service: service.clone() };
        let mut open = JoinSet::new();
        open.spawn(doors.clone().accept(self.main, acceptor, router(service.clone())));
        if let Some(metrics) = self.metrics {
            // Figures are for the operator: nobody else displaces that connection.
            let doors = Doors { gate: Gate::new(64, 64, vec![]), ..doors };
            open.spawn(doors.accept(metrics, None, metrics_router(service.clone())));
        }
        let sweeper = tokio::spawn(sweep(service.clone()));
        let counter = tokio::spawn(note_usage(service.clone()));
        stop.await;
        tracing::info!("shutting down");
        service.close();
        let _ = closing.send(true);
        let finished = async { while open.join_next().await.is_some() {} };
        if timeout(service.limits.shutdown, finished).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        sweeper.abort();
        counter.abort();
        service.note_usage(true);
    }
}

/// Every other second, what was used of tokens is written down.
async fn note_usage(service: Arc<Service>) {
    loop {
        sleep(Duration::from_secs(2)).await;
        let service = service.clone();
        let _ = tokio::task::spawn_blocking(move || service.note_usage(false)).await;
    }
}

/// Once a minute, what is over is deleted.
async fn sweep(service: Arc<Service>) {
    loop {
        sleep(Duration::from_secs(60)).await;
        let service = service.clone();
        let _ = tokio::task::spawn_blocking(move || service.sweep()).await;
    }
}

/// What is the same for all connections.
#[derive(Clone)]
struct Doors {
    limits: Arc<Limits>,
    gate: Arc<Gate>,
    service: Arc<Service>,
    closed: watch::Receiver<bool>,
}

impl Doors {
    /// Accepts connections until the server goes, and waits for those that are open then.
    async fn accept(mut self, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = self.closed.wait_for(|closed| *closed) => break,
                Some(_) = open.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(ticket) = self.gate.enter(peer.ip().to_canonical()) else { continue };
                    let connection =
                        self.clone().connection(stream, tls.clone(), router.clone(), ticket.clone());
                    open.spawn(async move {
                        tokio::select! {
                            () = connection => {}
                            () = ticket.displaced() => {}
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, for one: some will be free again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    async fn connection(
        self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        router: Router,
        ticket: Arc<Ticket>,
    ) {
        let _ = stream.set_nodelay(true);
        let stream = Timed { stream, stall: self.limits.stall, pending: None };
        match tls {
            None => self.speak(stream, router, Some(ticket)).await,
            Some(acceptor) => {
                if let Ok(Ok(stream)) = timeout(self.limits.head, acceptor.accept(stream)).await {
                    self.service.metrics.shook_hands(stream.get_ref().1);
                    self.speak(stream, router, Some(ticket)).await;
                }
            }
        }
    }

    async fn speak<S>(mut self, stream: S, router: Router, ticket: Option<Arc<Ticket>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        speak(stream, router, ticket, self.limits.head, &mut self.closed).await;
    }
}

/// Serves one connection to its end over a stream that the caller brings, where there is no [`Listener`]: a
/// pipe, a socket of another kind. The bounds on connections do not count it; all others hold.
///
/// ```
/// use blindsight_service::{Catalogue, Limits, Service, serve_stream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # let folder = std::env::temp_dir().join(format!("blindsight-stream-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let service = Service::open(&folder, Catalogue::default(), Limits::default())?;
/// let answer = tokio::runtime::Runtime::new()?.block_on(async {
///     let (mut near, far) = tokio::io::duplex(1 << 16);
///     let serving = tokio::spawn(serve_stream(service, far));
///     near.write_all(b"GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await?;
///     let mut answer = String::new();
///     near.read_to_string(&mut answer).await?;
///     serving.await.expect("it ends in peace");
///     Ok::<String, std::io::Error>(answer)
/// })?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok"));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn serve_stream<S>(service: Arc<Service>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_never, mut closed) = watch::channel(false);
    let head = service.limits.head;
    speak(stream, router(service), None, head, &mut closed).await;
}

/// Speaks HTTP until the connection ends, or the server goes and the request under way is answered.
async fn speak<S>(
    stream: S,
    router: Router,
    ticket: Option<Arc<Ticket>>,
    head: Duration,
    closed: &mut watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        ticket.iter().for_each(|ticket| drop(request.extensions_mut().insert(ticket.clone())));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(Strict::new(stream)), service);
    let mut connection = pin!(connection);
    // An error here is the client's: it went away, or spoke something else than HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closed.wait_for(|closed| *closed) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A stream whose writes fail when the other side takes nothing for so long.
struct Timed {
    stream: TcpStream,
    stall: Duration,
    pending: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    /// Passes on what a write gave; a write that waits is given so long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.pending = None;
            return written;
        }
        let stall = self.stall;
        let pending =
            self.pending.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + stall)));
        ready!(pending.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}
