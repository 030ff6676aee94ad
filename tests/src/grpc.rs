//! gRPC over mutual TLS, made from the message shapes alone: a client of CoreDNS's unary call and of our
//! stream, and a server that knows only CoreDNS's call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_client::DnsServiceClient;
use strait_proto::coredns::dns_service_server::{DnsService, DnsServiceServer};
use strait_proto::v1::dns_client::DnsClient;
use strait_proto::v1::{Batch, Message};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::client::tls_config;
use crate::{TlsIdentity, free_address, patience};

/// A connection. Like [`tls`](crate::client::tls) it believes any server.
pub struct GrpcClient {
    runtime: Runtime,
    channel: Channel,
}

impl GrpcClient {
    /// Connects. A client that the server does not believe learns so here or from its first question.
    pub fn connect(server: SocketAddr, identity: Option<&TlsIdentity>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connector = TlsConnector::from(Arc::new(tls_config(identity, &["h2"])));
        let connect = tower::service_fn(move |_: http::Uri| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(server).await?;
                tcp.set_nodelay(true)?;
                io::Result::Ok(TokioIo::new(connector.connect(ServerName::IpAddress(server.ip().into()), tcp).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://gateway").timeout(patience());
        let channel = runtime.block_on(endpoint.connect_with_connector(connect)).map_err(io::Error::other)?;
        Ok(Self { runtime, channel })
    }

    /// `coredns.dns.DnsService/Query`.
    pub fn query(&self, wire: &[u8]) -> Result<Vec<u8>, Status> {
        let packet = DnsPacket { msg: wire.to_vec().into() };
        let call = async { DnsServiceClient::new(self.channel.clone()).query(packet).await };
        Ok(self.runtime.block_on(call)?.into_inner().msg.into())
    }

    /// `strait.v1.Dns/Exchange`: all packets in one batch, numbered from 0; waits for so many answers.
    pub fn exchange(&self, packets: &[Vec<u8>], answers: usize) -> Result<Vec<(u64, Vec<u8>)>, Status> {
        self.runtime.block_on(async {
            let (send, receive) = tokio::sync::mpsc::channel(1);
            let message = |(id, wire): (usize, &Vec<u8>)| Message { id: id as u64, wire: wire.clone().into() };
            let batch = Batch { messages: packets.iter().enumerate().map(message).collect() };
            send.send(batch).await.map_err(|_| Status::internal("the stream is gone"))?;
            let stream = DnsClient::new(self.channel.clone()).exchange(ReceiverStream::new(receive)).await?;
            let mut batches = stream.into_inner();
            let mut received = Vec::new();
            while received.len() < answers {
                let batch = batches.next().await.ok_or_else(|| Status::aborted("the server ended the stream"))??;
                received.extend(batch.messages.into_iter().map(|message| (message.id, message.wire.into())));
            }
            Ok(received)
        })
    }
}

/// What such a server says to a packet; none: an error of the transport.
type Script = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A server that knows nothing but CoreDNS's unary call, over mutual TLS. Dropped, it is gone.
pub struct CoreDnsServer {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl CoreDnsServer {
    /// Shows `identity`, believes clients whose certificate `client_ca` (PEM) signed, and answers by `script`.
    pub fn start(
        identity: &TlsIdentity,
        client_ca: &str,
        script: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(identity, client_ca)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (address, behind) = (free_address(), free_address());
        runtime.block_on(async {
            // TLS is taken off in front of an ordinary HTTP/2 server.
            let plain = TcpListener::bind(behind).await.unwrap();
            let service = DnsServiceServer::new(Unary(Arc::new(script)));
            let server = tonic::transport::Server::builder().add_service(service);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(plain)));
            let listener = TcpListener::bind(address).await.unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        let (mut client, mut server) =
                            (acceptor.accept(stream).await?, TcpStream::connect(behind).await?);
                        tokio::io::copy_bidirectional(&mut client, &mut server).await
                    });
                }
            });
        });
        Self { address, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for CoreDnsServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Unary(Arc<Script>);

#[tonic::async_trait]
impl DnsService for Unary {
    async fn query(&self, request: Request<DnsPacket>) -> Result<Response<DnsPacket>, Status> {
        let reply = (self.0)(&request.into_inner().msg).ok_or_else(|| Status::internal("no answer"))?;
        Ok(Response::new(DnsPacket { msg: reply.into() }))
    }
}

fn server_config(identity: &TlsIdentity, client_ca: &str) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(client_ca.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
