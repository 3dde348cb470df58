//! Connections: accepted up to a limit, given up when the other side is too slow, ended well when the server stops.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tower::ServiceExt;

use super::app::App;
use super::config::Config;
use crate::{Error, Result};

/// The largest head of a request (request line and headers), in bytes. What comes in one piece may be twice as large.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long connections may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// The connection that a request came by.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Its place among the connections: whoever takes the connection over (a socket) keeps this.
    pub slot: Arc<OwnedSemaphorePermit>,
}

/// Serves until the server is to stop, and then sees requests under way through.
pub async fn serve(app: Arc<App>, listener: TcpListener, tls: Option<TlsAcceptor>, router: Router) {
    let slots = Arc::new(Semaphore::new(app.config.connections));
    let mut closing = pin!(app.closing.wait());
    loop {
        let accepted = tokio::select! {
            () = &mut closing => break,
            accepted = accept(&listener, &slots) => accepted,
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
        tokio::spawn(connection(Arc::clone(&app), stream, peer, tls.clone(), router.clone()));
    }
    drop(listener);
    // All places are free again when all connections have ended.
    let all = slots.acquire_many(app.config.connections as u32);
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut off");
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Peer)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer { address, slot: Arc::new(slot) }))
}

async fn connection(app: Arc<App>, stream: TcpStream, peer: Peer, tls: Option<TlsAcceptor>, router: Router) {
    // A page is written as a whole: nothing to be gained by waiting for more.
    let _ = stream.set_nodelay(true);
    app.counters.connections.fetch_add(1, Ordering::Relaxed);
    match tls {
        None => http(&app, stream, peer, router).await,
        // Apart, so that a connection without it does not hold room for it.
        Some(tls) => Box::pin(https(&app, stream, peer, &tls, router)).await,
    }
    app.counters.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn https(app: &App, stream: TcpStream, peer: Peer, tls: &TlsAcceptor, router: Router) {
    let address = peer.address;
    match tokio::time::timeout(app.config.patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(app, stream, peer, router).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS"),
        Err(_) => tracing::debug!(%address, "no TLS in time"),
    }
}

async fn http<S: AsyncRead + AsyncWrite + Send + 'static>(app: &App, stream: S, peer: Peer, router: Router) {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(app.config.patience));
    let address = peer.address;
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config.patience)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = app.closing.wait() => {
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
