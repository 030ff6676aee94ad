//! Admin HTTP: `/metrics`, `/livez`, `/readyz`.
//!
//! It has a thread and a runtime of its own: encoding metrics for a slow or greedy scraper takes
//! nothing from the threads that answer questions. Connections and their time are bounded.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::Registry;
use socket2::{Domain, Protocol, Socket, Type};
use strait_config::HandOver;
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::{Readiness, encode};

/// Connections served at a time, over which the oldest is closed; a scraper and a few probes need less.
const MAX_CONNECTIONS: usize = 64;
/// Connections the system completes before they are accepted.
const BACKLOG: i32 = 128;
/// A connection is closed after this long, whatever it does.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// From the start of a connection to the end of a request's header.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Why the admin address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (admin): {source}{hint}")]
pub struct AdminError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
    /// What to do about it, beginning with "; ", or empty.
    pub hint: &'static str,
}

/// Serves `/metrics`, `/livez`, `/readyz` on a thread of its own until dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Shown {
    registry: Registry,
    readiness: Readiness,
}

impl Admin {
    /// Binds and starts.
    pub fn start(
        address: SocketAddr,
        hand_over: HandOver,
        registry: Registry,
        readiness: Readiness,
    ) -> Result<Self, AdminError> {
        let failed = |source: io::Error| AdminError { address, hint: hint(&source), source };
        let listener = listen(address, hand_over).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(Shown { registry, readiness });
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let work = move || runtime.block_on(stopped.run_until_cancelled(serve(listener, router)));
        std::thread::Builder::new().name("admin".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// The address bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An IPv6 wildcard address takes IPv4 as well. SO_REUSEADDR: a restart need not wait for old connections.
fn listen(address: SocketAddr, hand_over: HandOver) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if hand_over == HandOver::On {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there, or give `admin` another port",
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address, correct `admin`",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

async fn serve(listener: TcpListener, router: Router) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut open: VecDeque<AbortOnDropHandle<()>> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, for example: let others finish.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() == MAX_CONNECTIONS {
            // Whoever holds a connection longest is not the probe that asks now.
            open.pop_front();
        }
        open.push_back(AbortOnDropHandle::new(tokio::spawn(converse(stream, router.clone()))));
    }
}

async fn converse(stream: TcpStream, router: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How a client's connection ends is the client's business.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let content_type = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    match encode(&shown.registry) {
        Ok(page) => (StatusCode::OK, content_type, page),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, content_type, error.to_string()),
    }
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    let status = if shown.readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(shown.readiness.report()))
}

#[cfg(test)]
mod tests;
