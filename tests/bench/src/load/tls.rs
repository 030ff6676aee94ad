//! Load over DNS over TLS: connections with questions pipelined, answers in any order, and what is ready sent at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Outcome, Taken, Window};
use crate::names::Names;

/// How long connections may take to stand.
const HANDSHAKES: Duration = Duration::from_secs(20);

/// Clients of a DNS over TLS server.
#[derive(Clone)]
pub(crate) struct TlsLoad {
    pub(crate) server: SocketAddr,
    /// The name in the server's certificate.
    pub(crate) name: String,
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) connections: usize,
    /// Questions on their way at any moment, over all connections.
    pub(crate) outstanding: usize,
    pub(crate) time: Duration,
}

/// What a client believes in, and what it shows: TLS 1.3, ALPN `dot`.
pub(crate) fn client_config(ca: &Path, identity: Option<(&Path, &Path)>) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
        }
    };
    config.alpn_protocols = vec![b"dot".to_vec()];
    Ok(Arc::new(config))
}

impl TlsLoad {
    /// Connects, calls `ready` when every connection stands, asks until the end, and waits for what is still on its way.
    pub(crate) fn run(&self, names: &mut Names, ready: impl FnOnce()) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Mutex::new(std::mem::replace(names, Names::Known { packets: Vec::new(), next: 0 })));
        let outcome = runtime.block_on(self.ask(&shared, ready));
        drop(runtime);
        std::mem::swap(names, &mut *shared.lock().unwrap_or_else(PoisonError::into_inner));
        outcome
    }

    async fn ask(&self, names: &Arc<Mutex<Names>>, ready: impl FnOnce()) -> anyhow::Result<Outcome> {
        let mut streams = Vec::new();
        for _ in 0..self.connections {
            let stream = tokio::time::timeout(HANDSHAKES, self.connect()).await;
            streams.push(stream.context("a connection takes too long")??);
        }
        ready();
        let start = Instant::now();
        let end = start + self.time;
        let places = self.outstanding.div_ceil(self.connections);
        // Nobody hangs up before everybody has their answers: how connections end is not measured.
        let together = Arc::new(Barrier::new(self.connections));
        let clients: Vec<_> = streams
            .into_iter()
            .map(|stream| {
                let client = Client { stream, window: Window::new(places), outcome: Outcome::default() };
                tokio::spawn(client.run(Arc::clone(names), places, end, Arc::clone(&together)))
            })
            .collect();
        let mut total = Outcome::default();
        for client in clients {
            let outcome = client.await?;
            total.sent += outcome.sent;
            total.answered += outcome.answered;
            total.wrong += outcome.wrong;
            total.lost += outcome.lost;
            total.elapsed = total.elapsed.max(outcome.elapsed);
        }
        Ok(total)
    }

    /// A connection that stands.
    pub(crate) async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.server).await.with_context(|| format!("connecting to {}", self.server))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone())?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await.with_context(|| format!("the TLS handshake with {}", self.server))
    }
}

/// One connection.
struct Client {
    stream: TlsStream<TcpStream>,
    window: Window,
    outcome: Outcome,
}

impl Client {
    async fn run(mut self, names: Arc<Mutex<Names>>, places: usize, end: Instant, together: Arc<Barrier>) -> Outcome {
        // A connection that breaks loses what is on its way.
        let _ = self.exchange(&names, places, end).await;
        self.outcome.lost += self.window.waiting() as u64;
        together.wait().await;
        self.outcome
    }

    async fn exchange(&mut self, names: &Mutex<Names>, places: usize, end: Instant) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut free: Vec<usize> = (0..places).collect();
        let (mut outgoing, mut incoming) = (Vec::new(), Vec::with_capacity(64 * 1024));
        loop {
            let now = Instant::now();
            if now < end {
                let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
                for place in free.drain(..) {
                    let question = self.window.ask(place, &mut names, now);
                    outgoing.extend_from_slice(&(question.len() as u16).to_be_bytes());
                    outgoing.extend_from_slice(question);
                    self.outcome.sent += 1;
                }
            } else if self.window.waiting() == 0 {
                return Ok(());
            }
            if !outgoing.is_empty() {
                self.stream.write_all(&outgoing).await?;
                self.stream.flush().await?;
                outgoing.clear();
            }
            let read = tokio::time::timeout(super::window::PATIENCE, self.stream.read_buf(&mut incoming)).await??;
            anyhow::ensure!(read > 0, "the server has closed the connection");
            let taken = self.take(&incoming, &mut free);
            incoming.drain(..taken);
            self.outcome.elapsed = start.elapsed();
        }
    }

    /// Takes the whole messages at the start, and returns how many octets they are.
    fn take(&mut self, incoming: &[u8], free: &mut Vec<usize>) -> usize {
        let mut rest = incoming;
        while let Some((length, body)) = rest.split_first_chunk::<2>() {
            let Some((message, after)) = body.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
            match self.window.take(message) {
                Taken::Right(place, _) => {
                    self.outcome.answered += 1;
                    free.push(place);
                }
                Taken::Wrong(place) => {
                    self.outcome.wrong += 1;
                    free.push(place);
                }
                Taken::Stray => (),
            }
            rest = after;
        }
        incoming.len() - rest.len()
    }
}
