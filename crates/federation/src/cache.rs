//! What `gatewayctl` asks of the answer cache of a gateway or a node-agent: the service `strait.v1.Cache`.

use std::sync::Arc;

use strait_proto::v1;
use strait_proto::v1::cache_server::{Cache, CacheServer};
use strait_proto::v1::flush_cache_request::What;
use strait_resolve::{Flush, Resolver};
use strait_wire::Name;
use tonic::{Request, Response, Status};

/// The service. Whoever reaches its socket may do everything.
#[derive(Clone)]
pub struct CacheService {
    resolver: Arc<Resolver>,
}

impl CacheService {
    /// The service for the cache of that resolver.
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self { resolver }
    }

    /// The service for a gRPC server.
    pub fn into_server(self) -> CacheServer<Self> {
        CacheServer::new(self)
    }
}

fn flush_of(what: Option<What>) -> Result<Flush, Status> {
    let name = |text: String| {
        text.parse::<Name>()
            .map_err(|error| Status::invalid_argument(format!("{text:?} is not a domain name: {error}")))
    };
    match what {
        Some(What::All(true)) => Ok(Flush::All),
        Some(What::Name(text)) => Ok(Flush::Name(name(text)?)),
        Some(What::Zone(text)) => Ok(Flush::Zone(name(text)?)),
        Some(What::All(false)) | None => Err(Status::invalid_argument("say what to flush: a name, a zone, or all")),
    }
}

#[tonic::async_trait]
impl Cache for CacheService {
    async fn flush(&self, request: Request<v1::FlushCacheRequest>) -> Result<Response<v1::FlushCacheResponse>, Status> {
        let flush = flush_of(request.into_inner().what)?;
        let resolver = Arc::clone(&self.resolver);
        let what = flush.clone();
        // It looks at every answer there is.
        let flushed = tokio::task::spawn_blocking(move || resolver.flush(&flush)).await;
        let entries = flushed.map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(?what, entries, "the answer cache was flushed");
        Ok(Response::new(v1::FlushCacheResponse { entries }))
    }

    async fn show(&self, _: Request<v1::ShowCacheRequest>) -> Result<Response<v1::ShowCacheResponse>, Status> {
        let held = self.resolver.cached();
        let zone =
            |(zone, entries, bytes): (Arc<str>, u64, u64)| v1::CachedZone { zone: zone.to_string(), entries, bytes };
        Ok(Response::new(v1::ShowCacheResponse {
            entries: held.entries,
            bytes: held.bytes,
            size: held.size,
            zones: held.zones.into_iter().map(zone).collect(),
        }))
    }
}

#[cfg(test)]
mod tests;
