//! Clusters for tests: a CA, certificates, and scripted gateways on real TLS.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strait_identity::{
    CertificateAuthority, Credentials, LeafRequest, Role, SpiffeId, TrustBundle, TrustStore, server_config,
};
use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_server::{DnsService, DnsServiceServer};
use strait_proto::v1::dns_server::{Dns, DnsServer};
use strait_proto::v1::{Batch, Message as WireMessage};
use strait_wire::{Class, Message, Name, Rcode, Rdata, Record, RecordType};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{answer, failure, serve_stream, wire};

pub(crate) type Script = Arc<dyn Fn(&[u8]) -> Option<(Duration, Vec<u8>)> + Send + Sync>;

/// A trust domain with its CA.
pub(crate) struct Cluster {
    authority: CertificateAuthority,
    folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn new(trust_domain: &str) -> Self {
        let authority =
            CertificateAuthority::create(&trust_domain.parse().unwrap(), Duration::from_secs(3600)).unwrap();
        Self { authority, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        TrustBundle::from_pem(self.authority.certificate_pem(), None).unwrap()
    }

    pub(crate) fn credentials(&self, role: Role) -> Credentials {
        let id = SpiffeId { trust_domain: self.authority.trust_domain().clone(), role };
        let request =
            LeafRequest { id, dns_names: Vec::new(), addresses: Vec::new(), lifetime: Duration::from_secs(600) };
        let issued = self.authority.issue(&request).unwrap();
        let (certificate, key) = (self.folder.path().join("tls.crt"), self.folder.path().join("tls.key"));
        std::fs::write(&certificate, issued.certificate_pem).unwrap();
        std::fs::write(&key, issued.key_pem).unwrap();
        Credentials::load(&certificate, &key).unwrap()
    }

    /// Accepts TLS as this cluster's gateway from clients of `clients`.
    pub(crate) fn acceptor(&self, role: Role, clients: &Cluster) -> TlsAcceptor {
        let trust = Arc::new(TrustStore::new([clients.bundle()]));
        TlsAcceptor::from(server_config(&self.credentials(role), trust))
    }
}

/// A gateway of `suffix`: its SOA, and `address` for every other question.
pub(crate) fn gateway_script(suffix: &str, address: [u8; 4]) -> Script {
    let suffix: Name = suffix.parse().unwrap();
    Arc::new(move |query| Some((Duration::ZERO, wire(&gateway_answer(query, &suffix, address)))))
}

pub(crate) fn gateway_answer(query: &[u8], suffix: &Name, address: [u8; 4]) -> Message {
    if !is_probe(query) {
        return answer(query, address);
    }
    let mut message = failure(query, Rcode::NOERROR);
    let rdata = Rdata::soa(suffix, suffix, [1, 2, 3, 4, 5]);
    message.answers = vec![Record { name: suffix.clone(), rtype: RecordType::SOA, class: Class::IN, ttl: 5, rdata }];
    message
}

/// Whether a question is a health question.
pub(crate) fn is_probe(query: &[u8]) -> bool {
    Message::parse(query).unwrap().questions[0].rtype == RecordType::SOA
}

/// A running gateway. Killing it cuts every connection.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// Connections that are open.
    pub(crate) open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Serves DNS over TLS.
    pub(crate) async fn dot(at: SocketAddr, acceptor: TlsAcceptor, script: Script) -> Self {
        Self::start(at, acceptor, move |stream| {
            let script = Arc::clone(&script);
            Box::pin(serve_stream(stream, move |query: &[u8]| script(query)))
        })
        .await
    }

    /// Serves gRPC: TLS here, HTTP/2 at a plain server behind.
    pub(crate) async fn grpc(at: SocketAddr, acceptor: TlsAcceptor, routes: tonic::service::Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self::start(at, acceptor, move |mut stream| {
            Box::pin(async move {
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            })
        })
        .await
    }

    async fn start<F>(at: SocketAddr, acceptor: TlsAcceptor, serve: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = Arc::new(serve);
        let open = Arc::<AtomicUsize>::default();
        let connected = Arc::clone(&open);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, serve, connected) = (acceptor.clone(), Arc::clone(&serve), Arc::clone(&connected));
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connected.fetch_add(1, Ordering::SeqCst);
                        serve(stream).await;
                        connected.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, open, task }
    }

    /// Cuts every connection and stops listening.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

/// `strait.v1.Dns` and nothing else.
pub(crate) fn stream_service(script: Script) -> tonic::service::Routes {
    stream_service_noting(script, Arc::default())
}

/// The same, noting how many DNS messages each stream message carries.
pub(crate) fn stream_service_noting(script: Script, sizes: Arc<Mutex<Vec<usize>>>) -> tonic::service::Routes {
    tonic::service::Routes::new(DnsServer::new(StreamService { script, sizes }))
}

struct StreamService {
    script: Script,
    sizes: Arc<Mutex<Vec<usize>>>,
}

#[tonic::async_trait]
impl Dns for StreamService {
    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<Batch, Status>> + Send>>;

    async fn exchange(&self, request: Request<Streaming<Batch>>) -> Result<Response<Self::ExchangeStream>, Status> {
        let (script, sizes) = (Arc::clone(&self.script), Arc::clone(&self.sizes));
        let (send, receive) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            let mut batches = request.into_inner();
            while let Some(Ok(batch)) = batches.next().await {
                sizes.lock().unwrap().push(batch.messages.len());
                let reply = |m: WireMessage| Some(WireMessage { id: m.id, wire: script(&m.wire)?.1.into() });
                let messages = batch.messages.into_iter().filter_map(reply).collect();
                if send.send(Ok(Batch { messages })).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }
}

/// CoreDNS's service and nothing else.
pub(crate) fn unary_service(script: Script) -> tonic::service::Routes {
    tonic::service::Routes::new(DnsServiceServer::new(UnaryService(script)))
}

struct UnaryService(Script);

#[tonic::async_trait]
impl DnsService for UnaryService {
    async fn query(&self, request: Request<DnsPacket>) -> Result<Response<DnsPacket>, Status> {
        let (pause, msg) = (self.0)(&request.into_inner().msg).ok_or_else(|| Status::internal("no answer"))?;
        tokio::time::sleep(pause).await;
        Ok(Response::new(DnsPacket { msg: msg.into() }))
    }
}
