//! `coredns.dns.DnsService/Query`: one question, one answer; what CoreDNS's grpc plugin speaks.

use std::sync::Arc;

use strait_proto::coredns::DnsPacket;
use strait_proto::coredns::dns_service_server::DnsService;
use strait_resolve::Now;
use tonic::{Request, Response, Status};

use super::delivery::Held;
use super::{GrpcServer, Peer, peer};
use crate::questions::reply_to;

#[tonic::async_trait]
impl DnsService for GrpcServer {
    async fn query(&self, request: Request<DnsPacket>) -> Result<Response<DnsPacket>, Status> {
        let peer = peer(request.extensions())?.clone();
        let origin = self.origin(&peer);
        let question = request.into_inner().msg;
        let mut reply = Vec::new();
        let is_reply = match self.respond.respond_now(&question, &origin, &mut reply) {
            Now::Reply => true,
            Now::Nothing => false,
            Now::Later(unanswered) => {
                // The room is never closed, so an error cannot happen.
                let _place = Arc::clone(&peer.room).acquire_owned().await.ok();
                reply_to(&*self.respond, unanswered.keep()).await.write(&mut reply)
            }
        };
        if !is_reply {
            return Err(Status::invalid_argument("the packet is not a DNS question"));
        }
        let held = self.hold(&peer, reply.len())?;
        let mut response = Response::new(DnsPacket { msg: reply.into() });
        response.extensions_mut().insert(held);
        Ok(response)
    }
}

impl GrpcServer {
    /// Room for an answer until the client has taken it.
    fn hold(&self, peer: &Peer, octets: usize) -> Result<Held, Status> {
        let full = || Status::resource_exhausted("too many answers wait to be read");
        let permits = u32::try_from(octets).map_err(|_| full())?;
        let room = Arc::clone(&peer.answers).try_acquire_many_owned(permits).map_err(|_| full())?;
        let mut account = self.common.account();
        account.set(octets).map_err(|_| full())?;
        Ok(Held::new((room, account)))
    }
}
