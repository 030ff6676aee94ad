//! What listeners ask of a resolver, and how replies that take time come back.
//!
//! ```text
//! respond_now ─► Reply | Nothing
//!            └─► Later(Pending) ─► respond_later ─► Outlet::deliver(tag, Reply) ─► Reply::write
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::resolver::{Due, Routed};
use crate::{BoxFuture, Origin};

/// What can be said about a packet at once.
pub enum Now {
    /// The reply has been appended.
    Reply,
    /// There will be no reply.
    Nothing,
    /// Work is needed: hand it to [`Respond::respond_later`].
    Later(Pending),
}

/// What a listener needs.
pub trait Respond: Send + Sync + 'static {
    /// Answers what needs no waiting: refusals, static names, cached names. Never blocks.
    fn respond_now(&self, packet: &[u8], origin: &Origin, reply: &mut Vec<u8>) -> Now;

    /// Works on a question that [`Respond::respond_now`] left for later, and delivers its reply with `tag`. Never
    /// blocks; the delivery may come before it returns. Call it within a tokio runtime.
    fn respond_later(&self, pending: Pending, outlet: Arc<dyn Outlet>, tag: u64);

    /// Both, for who has one question and time. None: no reply.
    fn respond<'a>(&'a self, packet: &'a [u8], origin: &'a Origin) -> BoxFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut octets = Vec::new();
            let pending = match self.respond_now(packet, origin, &mut octets) {
                Now::Reply => return Some(octets),
                Now::Nothing => return None,
                Now::Later(pending) => pending,
            };
            let (sender, receiver) = oneshot::channel();
            self.respond_later(pending, Arc::new(Single(Mutex::new(Some(sender)))), 0);
            let reply = receiver.await.ok()?;
            reply.write(&mut octets).then_some(octets)
        })
    }
}

/// Where replies go that took time.
pub trait Outlet: Send + Sync {
    /// Takes the reply to the question handed over with `tag`: once for each, from any thread. Must not block.
    fn deliver(&self, tag: u64, reply: Reply);

    /// Whether nobody is there any more to take replies: who waits is let go soon.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A question left for later, with what is known about it already.
pub struct Pending {
    pub(crate) origin: Origin,
    pub(crate) state: PendingState,
}

/// How far it has come.
pub(crate) enum PendingState {
    /// To its route, whose source must be asked.
    Routed(Box<Routed>),
    /// Nowhere.
    Packet(Box<[u8]>),
}

impl Pending {
    /// A packet about which nothing is known yet.
    pub fn new(packet: &[u8], origin: &Origin) -> Self {
        Self { origin: origin.clone(), state: PendingState::Packet(packet.into()) }
    }

    /// The question as it came.
    pub fn packet(&self) -> &[u8] {
        match &self.state {
            PendingState::Routed(routed) => routed.query.view().bytes(),
            PendingState::Packet(packet) => packet,
        }
    }

    /// Who asks.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// A reply that is due. It takes its room only when it is written: what a slow client has not read yet is not made.
pub struct Reply {
    pub(crate) origin: Origin,
    pub(crate) due: Due,
}

impl Reply {
    /// A reply that `make` appends, which says whether there is one.
    pub fn new(origin: Origin, make: impl FnOnce(&mut Vec<u8>) -> bool + Send + 'static) -> Self {
        Self { origin, due: Due::Made(Box::new(make)) }
    }

    /// Who asked.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Appends the reply; false when there is none to give.
    pub fn write(self, out: &mut Vec<u8>) -> bool {
        self.due.write(&self.origin, out)
    }
}

/// The outlet of one question.
struct Single(Mutex<Option<oneshot::Sender<Reply>>>);

impl Outlet for Single {
    fn deliver(&self, _: u64, reply: Reply) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Who asked may have gone.
            let _ = sender.send(reply);
        }
    }

    fn is_gone(&self) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}
