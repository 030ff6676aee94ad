//! gRPC between clusters: our stream, CoreDNS's unary call, the services of others.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper_util::rt::TokioIo;
use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_client::DnsServiceClient;
use strait_proto::coredns::dns_service_server::{DnsService, DnsServiceServer};
use strait_proto::v1::dns_client::DnsClient;
use strait_proto::v1::{Batch, Message};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};

use super::*;
use crate::grpc::{MAX_BATCH_MESSAGES, MAX_EXCHANGE_STREAMS};

async fn channel(served: &Served, config: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    let address = served.address;
    let connector = tower::service_fn(move |_: http::Uri| {
        let config = Arc::clone(&config);
        async move {
            let tcp = TcpStream::connect(address).await?;
            let tls = TlsConnector::from(config).connect("gateway.test".try_into().unwrap(), tcp).await?;
            std::io::Result::Ok(TokioIo::new(tls))
        }
    });
    Endpoint::from_static("http://gateway.test").connect_with_connector(connector).await
}

async fn peer_channel(served: &Served) -> Channel {
    channel(served, served.peer_client(Alpn::H2)).await.unwrap()
}

struct Asking {
    questions: mpsc::Sender<Batch>,
    answers: Streaming<Batch>,
}

async fn exchange(channel: Channel) -> Asking {
    let (questions, outgoing) = mpsc::channel(4);
    let answers = soon(DnsClient::new(channel).exchange(ReceiverStream::new(outgoing))).await.unwrap().into_inner();
    Asking { questions, answers }
}

impl Asking {
    async fn send(&self, kinds: &[u8]) {
        let message = |(n, kind): (usize, &u8)| Message { id: n as u64, wire: message(*kind, n as u32).into() };
        let batch = Batch { messages: kinds.iter().enumerate().map(message).collect() };
        self.questions.send(batch).await.unwrap();
    }

    async fn batch(&mut self) -> Vec<u64> {
        let batch = soon(self.answers.message()).await.unwrap().expect("a batch");
        for message in &batch.messages {
            assert_eq!(message.id, u64::from(number(&message.wire)), "the id pairs answer and question");
        }
        batch.messages.iter().map(|m| m.id).collect()
    }
}

#[tokio::test]
async fn batches_are_answered_in_batches_and_in_any_order() {
    let served = start(Alpn::H2, patient()).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    asking.send(&[HELD, NOW, NOW, HELD, NOW]).await;
    assert_eq!(asking.batch().await, [1, 2, 4], "all that is answered at once leaves together");
    eventually(|| served.script.held() == 2).await;
    served.script.release();
    let mut late = asking.batch().await;
    late.sort_unstable();
    assert_eq!(late, [0, 3], "and so does all that becomes ready together");

    let origins = served.script.origins.lock().unwrap();
    assert_eq!(origins[0].transport, Transport::Grpc);
    assert_eq!(origins[0].identity.as_ref().unwrap().id.trust_domain.as_str(), PEER);
}

#[tokio::test]
async fn a_client_that_stops_asking_gets_its_answers() {
    let served = start(Alpn::H2, patient()).await;
    let Asking { questions, mut answers } = exchange(peer_channel(&served).await).await;
    let wire = Bytes::from(message(HELD, 7));
    questions.send(Batch { messages: vec![Message { id: 7, wire }] }).await.unwrap();
    drop(questions);
    eventually(|| served.script.held() == 1).await;
    served.script.release();
    assert_eq!(soon(answers.message()).await.unwrap().unwrap().messages[0].id, 7);
    assert!(soon(answers.message()).await.unwrap().is_none());
}

#[tokio::test]
async fn questions_in_work_are_bounded_over_all_streams_of_a_connection() {
    let served = start(Alpn::H2, StreamLimits { max_in_flight: 8, ..patient() }).await;
    let channel = peer_channel(&served).await;
    let mut first = exchange(channel.clone()).await;
    first.send(&[HELD; 6]).await;
    eventually(|| served.script.held() == 6).await;
    let mut second = exchange(channel).await;
    second.send(&[HELD; 6]).await;
    eventually(|| served.script.held() == 8).await;
    // What needs no work is still answered.
    let mut answered = (HashSet::new(), HashSet::new());
    for (held, then) in [(8, 8), (4, 12)] {
        eventually(|| served.script.held() == held).await;
        served.script.release();
        while answered.0.len() + answered.1.len() < then {
            tokio::select! {
                ids = first.batch(), if answered.0.len() < 6 => answered.0.extend(ids),
                ids = second.batch(), if answered.1.len() < 6 => answered.1.extend(ids),
            }
        }
    }
}

#[tokio::test]
async fn coredns_unary_calls_are_answered() {
    let served = start(Alpn::H2, patient()).await;
    let mut client = DnsServiceClient::new(peer_channel(&served).await);
    for kind in [NOW, LATER] {
        let asked = Bytes::from(message(kind, 1));
        let answer = soon(client.query(DnsPacket { msg: asked.clone() })).await.unwrap().into_inner();
        assert_eq!(answer.msg, asked);
    }
    let status = soon(client.query(DnsPacket { msg: message(SILENT, 1).into() })).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn messages_longer_than_dns_allows_are_refused() {
    let served = start(Alpn::H2, patient()).await;
    let channel = peer_channel(&served).await;
    let long = |len: usize| {
        let mut wire = message(NOW, 1);
        wire.resize(len, 0);
        Bytes::from(wire)
    };
    let mut unary = DnsServiceClient::new(channel.clone());
    assert!(soon(unary.query(DnsPacket { msg: long(65_535) })).await.is_ok());
    let status = soon(unary.query(DnsPacket { msg: long(1 << 20) })).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    // One message too long, and a batch too long.
    for (len, code) in [(65_536, Code::InvalidArgument), (1 << 20, Code::OutOfRange)] {
        let mut asking = exchange(channel.clone()).await;
        let messages = vec![Message { id: 1, wire: long(len) }];
        asking.questions.send(Batch { messages }).await.unwrap();
        assert_eq!(soon(asking.answers.message()).await.unwrap_err().code(), code, "{len}");
    }
    assert!(soon(unary.query(DnsPacket { msg: long(20) })).await.is_ok(), "the connection lives");
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_bounded_and_all_answered() {
    let served = start(Alpn::H2, StreamLimits { max_in_flight: 100, ..patient() }).await;
    let client = DnsServiceClient::new(peer_channel(&served).await);
    let calls = (0..1000).map(|n| {
        let mut client = client.clone();
        async move { client.query(DnsPacket { msg: message(HELD, n).into() }).await }
    });
    let mut calls = tokio::spawn(join_all(calls));
    eventually(|| served.script.held() == 100).await;
    let answers = loop {
        assert!(served.script.held() <= 100);
        served.script.release();
        if let Ok(answers) = tokio::time::timeout(Duration::from_millis(5), &mut calls).await {
            break answers.unwrap();
        }
    };
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn without_a_certificate_no_call_is_answered() {
    let served = start(Alpn::H2, patient()).await;
    let stranger = authority("stranger.example.net");
    let config = served.client(&gateway(&stranger), Alpn::H2);
    if let Ok(channel) = channel(&served, config).await {
        let mut client = DnsServiceClient::new(channel);
        assert!(soon(client.query(DnsPacket { msg: message(NOW, 1).into() })).await.is_err());
    }
    assert!(served.script.origins.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_request_passes_the_door_without_an_identity() {
    // Whatever way a request found to the services: without a verified connection it goes no further.
    let status = crate::grpc::identify(Request::new(())).unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn removing_the_trust_cuts_a_live_connection() {
    let served = start(Alpn::H2, patient()).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    asking.send(&[HELD]).await;
    eventually(|| served.script.held() == 1).await;
    served.trust.send_replace(Arc::new(TrustStore::new([bundle(&served.home)])));
    assert!(soon(asking.answers.message()).await.is_err());
    eventually(|| served.metrics.closed_count(Transport::Grpc, Closed::TrustRemoved) == 1).await;
    eventually(|| served.script.held() == 0).await;
    eventually(|| served.has_told("closed spiffe://cluster-a.example.com/gateway")).await;
}

#[tokio::test]
async fn draining_ends_streams_after_their_questions() {
    let served = start(Alpn::H2, patient()).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    asking.send(&[HELD]).await;
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    served.script.release();
    assert_eq!(asking.batch().await, [0]);
    assert!(soon(asking.answers.message()).await.unwrap().is_none(), "the stream ends in order");
    soon(served.ended).await.unwrap();
}

#[tokio::test]
async fn draining_does_not_wait_for_ever() {
    let served = start(Alpn::H2, patient()).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    asking.send(&[HELD]).await;
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    assert!(soon(asking.answers.message()).await.is_err());
    soon(served.ended).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_answers_are_not_read_is_given_up() {
    let served = start(Alpn::H2, StreamLimits { write_timeout: Duration::from_millis(300), ..patient() }).await;
    let asking = exchange(peer_channel(&served).await).await;
    // More than any window: the answers pile up to the bound, and stay.
    asking.send(&[HELD]).await;
    asking.send(&[LARGE; 200]).await;
    eventually(|| served.script.held() == 1).await;
    eventually(|| served.script.held() == 0).await;
}

#[tokio::test]
async fn an_empty_message_and_a_batch_of_too_many_end_their_stream() {
    let served = start(Alpn::H2, patient()).await;
    let channel = peer_channel(&served).await;
    let many = |count: usize, wire: Bytes| Batch { messages: vec![Message { id: 1, wire }; count] };
    let question = Bytes::from(message(SILENT, 1));
    for batch in [many(1, Bytes::new()), many(MAX_BATCH_MESSAGES + 1, question.clone())] {
        let mut asking = exchange(channel.clone()).await;
        asking.questions.send(batch).await.unwrap();
        assert_eq!(soon(asking.answers.message()).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let mut asking = exchange(channel).await;
    // What a link begins with, and as many as may be.
    asking.questions.send(Batch::default()).await.unwrap();
    asking.questions.send(many(MAX_BATCH_MESSAGES, question)).await.unwrap();
    asking.send(&[NOW]).await;
    assert_eq!(asking.batch().await, [0]);
}

#[tokio::test]
async fn exchange_streams_of_a_connection_are_bounded() {
    let served = start(Alpn::H2, patient()).await;
    let channel = peer_channel(&served).await;
    let mut streams = Vec::new();
    for _ in 0..MAX_EXCHANGE_STREAMS {
        streams.push(exchange(channel.clone()).await);
    }
    let one_more = || async {
        let (_questions, outgoing) = mpsc::channel(1);
        soon(DnsClient::new(channel.clone()).exchange(ReceiverStream::new(outgoing))).await
    };
    assert_eq!(one_more().await.unwrap_err().code(), Code::ResourceExhausted);
    // Unary calls go on, and a stream that ends leaves its place.
    let mut unary = DnsServiceClient::new(channel.clone());
    assert!(soon(unary.query(DnsPacket { msg: message(NOW, 1).into() })).await.is_ok());
    drop(streams.pop());
    soon(async { while one_more().await.is_err() {} }).await;
}

#[tokio::test]
async fn a_stream_that_asks_nothing_ends() {
    let served = start(Alpn::H2, StreamLimits { idle_timeout: Duration::from_millis(300), ..patient() }).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    // A question in work is not idleness, batches of nothing are.
    asking.send(&[HELD]).await;
    eventually(|| served.script.held() == 1).await;
    assert!(tokio::time::timeout(Duration::from_millis(600), asking.answers.message()).await.is_err());
    served.script.release();
    assert_eq!(asking.batch().await, [0]);
    let questions = asking.questions.clone();
    let empty = tokio::spawn(async move { while questions.send(Batch::default()).await.is_ok() {} });
    // Its end, or that of the connection under what is still being sent.
    assert!(!matches!(soon(asking.answers.message()).await, Ok(Some(_))));
    empty.abort();
}

#[tokio::test]
async fn a_batch_is_never_longer_than_one_may_be() {
    let served = start(Alpn::H2, patient()).await;
    let mut asking = exchange(peer_channel(&served).await).await;
    asking.send(&[HELD_LARGE; 50]).await;
    eventually(|| served.script.held() == 50).await;
    served.script.release();
    let mut answered = 0;
    while answered < 50 {
        let batch = soon(asking.answers.message()).await.unwrap().unwrap();
        answered += batch.messages.len();
        let octets: usize = batch.messages.iter().map(|m| m.wire.len()).sum();
        assert!(octets < crate::MAX_BATCH_LEN, "{octets}");
    }
}

/// Answers with the identity it finds.
struct WhoAmI;

#[tonic::async_trait]
impl DnsService for WhoAmI {
    async fn query(&self, request: Request<DnsPacket>) -> Result<Response<DnsPacket>, Status> {
        let identity = request.extensions().get::<Arc<Identity>>().expect("an identity").id.to_string();
        Ok(Response::new(DnsPacket { msg: identity.into() }))
    }
}

/// The same service under another name.
#[derive(Clone)]
struct Renamed(DnsServiceServer<WhoAmI>);

impl tonic::server::NamedService for Renamed {
    const NAME: &'static str = "test.Who";
}

impl tower::Service<http::Request<tonic::body::Body>> for Renamed {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = strait_resolve::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        *request.uri_mut() = http::Uri::from_static("/coredns.dns.DnsService/Query");
        Box::pin(tower::Service::call(&mut self.0, request))
    }
}

#[tokio::test]
async fn further_services_find_the_identity() {
    let who = Renamed(DnsServiceServer::new(WhoAmI));
    let served = start_with(Alpn::H2, patient(), Routes::new(who)).await;
    let agent = credentials(&served.home, "spiffe://cluster-b.example.com/node-agent/w1", Duration::from_secs(600));
    let channel = channel(&served, served.client(&agent, Alpn::H2)).await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    soon(grpc.ready()).await.unwrap();
    let codec = tonic_prost::ProstCodec::<DnsPacket, DnsPacket>::default();
    let path = http::uri::PathAndQuery::from_static("/test.Who/Query");
    let answer: Response<DnsPacket> = soon(grpc.unary(Request::new(DnsPacket::default()), path, codec)).await.unwrap();
    assert_eq!(answer.into_inner().msg, "spiffe://cluster-b.example.com/node-agent/w1");
}
