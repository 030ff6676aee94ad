//! Answers of gRPC on their way to a client that may not read them.
//!
//! HTTP/2 takes a piece of an answer as soon as there is room for one octet of it, and keeps the rest in memory; so
//! answers are handed over in small pieces, and what belongs to an answer stays held until the last of them. A
//! connection on which one is not taken in time is cut off ([`super::connection`]).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tower::{Layer, Service};

use super::Peer;

/// Octets handed to HTTP/2 at a time, the most that an answer leaves with it when it is done.
const PIECE: usize = 4 << 10;

/// Of an answer or a stream of them, what a client must take in the time it has, unless less is waiting.
const TURN: usize = 64 << 10;

/// Answers of one connection that wait for the client, with the time since when.
#[derive(Default)]
pub(super) struct Deliveries {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    serial: u64,
    since: HashMap<u64, Instant>,
}

impl Deliveries {
    /// Since when the client lets an answer wait; none while none waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting().since.values().min().copied()
    }

    // Every change is complete before a panic could poison the map.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer holds until it is delivered: put into a response's extensions.
#[derive(Clone)]
pub(super) struct Held(#[allow(dead_code, reason = "held for its drop")] Arc<dyn std::any::Any + Send + Sync>);

impl Held {
    pub(super) fn new(what: impl Send + Sync + 'static) -> Self {
        Self(Arc::new(what))
    }
}

/// Makes every response a [`Delivery`].
#[derive(Clone)]
pub(super) struct DeliveryLayer;

/// The service that does.
#[derive(Clone)]
pub(super) struct Deliver<S>(S);

impl<S> Layer<S> for DeliveryLayer {
    type Service = Deliver<S>;

    fn layer(&self, inner: S) -> Deliver<S> {
        Deliver(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Deliver<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<Delivery<R>>;
    type Error = S::Error;
    type Future = strait_resolve::BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        // Without a peer nothing is answered but a refusal.
        let deliveries = peer.map_or_else(Arc::default, |peer| Arc::clone(&peer.deliveries));
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            let held = response.extensions_mut().remove::<Held>();
            Ok(response.map(|body| Delivery::new(body, deliveries, held)))
        })
    }
}

/// A response's body, in pieces.
pub(super) struct Delivery<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    /// Handed over since the client was last known to have taken everything.
    handed: usize,
    deliveries: Arc<Deliveries>,
    serial: u64,
    _held: Option<Held>,
}

impl<B> Delivery<B> {
    fn new(body: B, deliveries: Arc<Deliveries>, held: Option<Held>) -> Self {
        let mut waiting = deliveries.waiting();
        waiting.serial += 1;
        let serial = waiting.serial;
        drop(waiting);
        Self { body: Box::pin(body), rest: Bytes::new(), handed: 0, deliveries, serial, _held: held }
    }

    fn next_piece(&mut self) -> Bytes {
        if self.handed == 0 || self.handed >= TURN {
            self.handed = 0;
            self.deliveries.waiting().since.insert(self.serial, Instant::now());
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        self.handed += piece.len();
        piece
    }

    fn all_taken(&mut self) {
        if self.handed > 0 {
            self.handed = 0;
            self.deliveries.waiting().since.remove(&self.serial);
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Delivery<B> {
    type Data = Bytes;
    type Error = B::Error;

    // Asked again, HTTP/2 has passed the last piece on, or keeps no more than that.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match self.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => self.rest = data,
                    Ok(empty) => return Poll::Ready(Some(Ok(Frame::data(empty)))),
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => {
                    self.all_taken();
                    return other;
                }
            }
        }
        Poll::Ready(Some(Ok(Frame::data(self.next_piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl<B> Drop for Delivery<B> {
    fn drop(&mut self) {
        self.deliveries.waiting().since.remove(&self.serial);
    }
}

/// When a connection on which answers wait since `oldest` is cut off, or looked at again.
pub(super) fn due(oldest: Option<Instant>, patience: Duration) -> Instant {
    oldest.unwrap_or_else(Instant::now) + patience
}
