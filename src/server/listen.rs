//! Connections: accepted up to a limit, given up when the other side is too slow, ended well when the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::api::Routes;
use super::app::App;
use super::arriving::Arriving;
use super::config::Config;
use super::pace::Paced;
use crate::{Error, Result};

/// The largest head of a request (request line and headers), in bytes. What comes in one piece may be twice as large.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;
/// What the system may hold of an answer, in bytes: connections inherit it.
const SEND_BYTES: u32 = 256 << 10;
/// How long connections may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Its place among the connections: whoever takes the connection over (a socket) keeps this.
    pub slot: Arc<Slot>,
    /// What comes over it.
    pub arriving: Arc<Arriving>,
}

/// A place among the connections, which counts as an open one while it is held.
#[derive(Debug)]
pub struct Slot {
    app: Arc<App>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(app: &Arc<App>, permit: OwnedSemaphorePermit) -> Slot {
        app.counters.connections.fetch_add(1, Ordering::Relaxed);
        Slot { app: Arc::clone(app), _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.app.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Listens, with room for many who come at once.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // An address that a server before this one left may be taken over.
    socket.set_reuseaddr(true)?;
    // Of what waits in a larger one we learn too late that a client reads slowly; it holds memory, too.
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the server is to stop, and then sees requests under way through.
pub async fn serve(app: Arc<App>, listener: TcpListener, tls: Option<TlsAcceptor>, routes: Arc<Routes>) {
    let slots = Arc::new(Semaphore::new(app.config.connections));
    let mut closing = pin!(app.closing.wait());
    loop {
        let accepted = tokio::select! {
            () = &mut closing => break,
            accepted = accept(&app, &listener, &slots) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, for instance: some will be given back.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        tokio::spawn(connection(Arc::clone(&app), stream, peer, tls.clone(), Arc::clone(&routes)));
    }
    drop(listener);
    // All places are free again when all connections have ended.
    let all = slots.acquire_many(app.config.connections as u32);
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut off");
    }
}

/// The next connection, once there is a place for it.
async fn accept(app: &Arc<App>, listener: &TcpListener, slots: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Peer)> {
    let permit = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer { address, slot: Arc::new(Slot::new(app, permit)), arriving: Arc::default() }))
}

async fn connection(app: Arc<App>, stream: TcpStream, peer: Peer, tls: Option<TlsAcceptor>, routes: Arc<Routes>) {
    // A page is written as a whole: nothing to be gained by waiting for more.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(Arc::clone(&app), stream, peer, routes).await,
        // Apart, so that a connection without it does not hold room for it.
        Some(tls) => Box::pin(https(Arc::clone(&app), stream, peer, &tls, routes)).await,
    }
}

async fn https(app: Arc<App>, stream: TcpStream, peer: Peer, tls: &TlsAcceptor, routes: Arc<Routes>) {
    let address = peer.address;
    match tokio::time::timeout(app.config.patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(app, stream, peer, routes).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS"),
        Err(_) => tracing::debug!(%address, "no TLS in time"),
    }
}

async fn http<S: AsyncRead + AsyncWrite + Send + 'static>(app: Arc<App>, stream: S, peer: Peer, routes: Arc<Routes>) {
    let closing = app.closing.clone();
    let patience = app.config.patience;
    let stream = Paced::new(stream, patience, Arc::clone(&peer.arriving));
    let address = peer.address;
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let (app, routes) = (Arc::clone(&app), Arc::clone(&routes));
        async move { Ok::<_, Infallible>(routes.answer(&app, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.wait() => {
            // The request under way is answered, and then it ends.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "connection broke off");
    }
}

/// TLS as configured, if it is.
///
/// # Errors
///
/// [`Error::Invalid`] naming the file that cannot be used.
pub fn tls(config: &Config) -> Result<Option<TlsAcceptor>> {
    let Some((cert, key)) = &config.tls else { return Ok(None) };
    let wrong = |file: &std::path::Path, error: &dyn std::fmt::Display| Error::Invalid {
        what: format!("TLS cannot use {}: {error}", file.display()),
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong(cert, &error))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}
