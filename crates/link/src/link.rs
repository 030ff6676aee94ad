//! A live connection to an endpoint of a peer, whichever protocol it speaks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntCounter;
use rustls::ClientConfig;
use strait_resolve::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::exchange::{self, LinkError};
use crate::grpc::{BatchLink, Batches, UnaryLink};
use crate::stream::{Frames, StreamLink};
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
    /// Connects as [`dial::connect_tls`] does, and for gRPC opens the stream. The caller bounds the time. Answers that
    /// take longer than `patience` are late.
    pub(crate) async fn connect(
        url: &EndpointUrl,
        tls: &Arc<ClientConfig>,
        attempt: usize,
        patience: Duration,
        unmatched: IntCounter,
    ) -> Result<Self, String> {
        let stream = dial::connect_tls(url, tls, attempt).await.map_err(|error| dial::explain(&error))?;
        match url.scheme {
            Scheme::Tls => Ok(Self::Stream(StreamLink::keep(stream, patience, unmatched))),
            Scheme::Grpc => grpc::connect(stream, patience, unmatched).await,
        }
    }

    /// Sends a question; giving up is dropping the result.
    pub(crate) fn send<'a>(&'a self, question: &'a [u8]) -> Result<Asked<'a>, LinkError> {
        match self {
            Self::Stream(link) => link.send(question).map(Asked::Stream),
            Self::Batches(link) => link.exchange.ask(question).map(Asked::Batches),
            Self::Unary(link) => Ok(Asked::Call(Call {
                asked: Instant::now(),
                patience: link.patience,
                answer: Box::pin(link.ask(question)),
            })),
        }
    }

    /// Whether the connection is lost.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Stream(link) => link.exchange.is_lost(),
            Self::Batches(link) => link.exchange.is_lost(),
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

/// A question on its way. Dropped, it is given up.
pub(crate) enum Asked<'a> {
    Stream(exchange::Asked<'a, Frames>),
    Batches(exchange::Asked<'a, Batches>),
    Call(Call<'a>),
}

/// A unary call under way.
pub(crate) struct Call<'a> {
    asked: Instant,
    patience: Duration,
    answer: BoxFuture<'a, Result<Bytes, LinkError>>,
}

impl Asked<'_> {
    /// Waits for the answer and the time it took, or until it is late. None: it is late, and may be waited for on.
    pub(crate) async fn in_time(&mut self) -> Option<Result<(Bytes, Duration), LinkError>> {
        match self {
            Self::Stream(asked) => asked.in_time().await,
            Self::Batches(asked) => asked.in_time().await,
            Self::Call(call) => {
                let answer = timeout_at(call.asked + call.patience, &mut call.answer).await.ok()?;
                Some(answer.map(|answer| (answer, call.asked.elapsed())))
            }
        }
    }

    /// Waits for the answer and the time it took.
    pub(crate) async fn answer(self) -> Result<(Bytes, Duration), LinkError> {
        match self {
            Self::Stream(asked) => asked.answer().await,
            Self::Batches(asked) => asked.answer().await,
            Self::Call(call) => Ok((call.answer.await?, call.asked.elapsed())),
        }
    }
}
