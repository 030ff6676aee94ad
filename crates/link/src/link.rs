//! A live connection to an endpoint of a peer, whichever protocol it speaks.

use std::sync::Arc;

use bytes::Bytes;
use prometheus::IntCounter;
use rustls::ClientConfig;

use crate::exchange::LinkError;
use crate::grpc::{BatchLink, UnaryLink};
use crate::stream::StreamLink;
use crate::{EndpointUrl, Scheme, dial, grpc};

/// A connection. Dropping it closes it.
pub(crate) enum Link {
    /// DNS over TLS.
    Stream(StreamLink),
    /// `strait.v1.Dns/Exchange`.
    Batches(BatchLink),
    /// `coredns.dns.DnsService/Query`.
    Unary(Box<UnaryLink>),
}

impl Link {
    /// Connects as [`dial::connect_tls`] does, and for gRPC opens the stream. The caller bounds the time.
    pub(crate) async fn connect(
        url: &EndpointUrl,
        tls: &Arc<ClientConfig>,
        attempt: usize,
        unmatched: IntCounter,
    ) -> Result<Self, String> {
        let stream = dial::connect_tls(url, tls, attempt).await.map_err(|error| dial::explain(&error))?;
        match url.scheme {
            Scheme::Tls => Ok(Self::Stream(StreamLink::start(stream, None, unmatched))),
            Scheme::Grpc => grpc::connect(stream, unmatched).await,
        }
    }

    /// Sends a question and waits for the answer; giving up is dropping the future.
    pub(crate) async fn ask(&self, question: &[u8]) -> Result<Bytes, LinkError> {
        match self {
            Self::Stream(link) => link.ask(question).await,
            Self::Batches(link) => link.exchange.ask(question).await,
            Self::Unary(link) => link.ask(question).await,
        }
    }

    /// Whether the connection is lost.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Stream(link) => link.exchange.cause().is_some(),
            Self::Batches(link) => link.exchange.cause().is_some(),
            Self::Unary(link) => link.is_lost(),
        }
    }

    /// Waits until the connection is lost; says why.
    pub(crate) async fn lost(&self) -> String {
        let cause = match self {
            Self::Stream(link) => {
                link.exchange.lost().await;
                link.exchange.cause()
            }
            Self::Batches(link) => {
                link.exchange.lost().await;
                link.exchange.cause()
            }
            Self::Unary(link) => {
                link.lost().await;
                None
            }
        };
        cause.map_or_else(|| "the other end closed the connection".to_owned(), |cause| cause.to_string())
    }
}
