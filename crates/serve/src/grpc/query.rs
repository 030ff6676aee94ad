//! `coredns.dns.DnsService/Query`: one question, one answer; what CoreDNS's grpc plugin speaks.

use std::sync::Arc;

use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_server::DnsService;
use strait_resolve::Now;
use tonic::{Request, Response, Status};

use super::{GrpcServer, peer};

#[tonic::async_trait]
impl DnsService for GrpcServer {
    async fn query(&self, request: Request<DnsPacket>) -> Result<Response<DnsPacket>, Status> {
        let peer = peer(request.extensions())?.clone();
        let origin = self.origin(&peer);
        let question = request.into_inner().msg;
        let mut reply = Vec::new();
        let reply = match self.respond.respond_now(&question, &origin, &mut reply) {
            Now::Reply => Some(reply),
            Now::Nothing => None,
            Now::Later => {
                // The room is never closed, so an error cannot happen.
                let _place = Arc::clone(&peer.room).acquire_owned().await.ok();
                self.respond.respond(&question, &origin).await
            }
        };
        match reply {
            Some(reply) => Ok(Response::new(DnsPacket { msg: reply.into() })),
            None => Err(Status::invalid_argument("the packet is not a DNS question")),
        }
    }
}
