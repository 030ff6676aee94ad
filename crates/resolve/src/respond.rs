//! What listeners ask of a resolver, and how replies that take time come back.
//!
//! ```text
//! respond_now ─► Reply | Nothing
//!            └─► Later(Unanswered) ─► keep ─► Pending ─► respond_later ─► Outlet::deliver(tag, Reply) ─► Reply::write
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::active::{ActiveRoute, ActiveTable};
use crate::follow::Errand;
use crate::resolver::{Asked, Awaiting, Due};
use crate::{Ask, BoxFuture, Origin};

/// What can be said about a packet at once.
pub enum Now<'a> {
    /// The reply has been appended.
    Reply,
    /// There will be no reply.
    Nothing,
    /// Work is needed: [keep](Unanswered::keep) it and hand it to [`Respond::respond_later`], or drop it.
    Later(Unanswered<'a>),
}

/// What a listener needs.
pub trait Respond: Send + Sync + 'static {
    /// Answers what needs no waiting: refusals, static names, cached names. Never blocks.
    fn respond_now<'a>(&self, packet: &'a [u8], origin: &'a Origin, reply: &mut Vec<u8>) -> Now<'a>;

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
                Now::Later(unanswered) => unanswered.keep(),
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

    /// No reply will come to the question handed over with `tag`: whoever waited for it is gone, or something broke.
    fn forgo(&self, tag: u64) {
        let _ = tag;
    }

    /// Whether nobody is there any more to take replies: who waits is let go soon.
    fn is_gone(&self) -> bool {
        false
    }
}

/// Whom the reply to a question goes to. Dropped without one, it says that none will come.
pub(crate) struct Addressee {
    /// None once it has its reply.
    outlet: Option<Arc<dyn Outlet>>,
    tag: u64,
}

impl Addressee {
    pub(crate) fn new(outlet: Arc<dyn Outlet>, tag: u64) -> Self {
        Self { outlet: Some(outlet), tag }
    }

    pub(crate) fn deliver(mut self, reply: Reply) {
        if let Some(outlet) = self.outlet.take() {
            outlet.deliver(self.tag, reply);
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.outlet.as_ref().is_none_or(|outlet| outlet.is_gone())
    }
}

impl Drop for Addressee {
    fn drop(&mut self) {
        if let Some(outlet) = &self.outlet {
            outlet.forgo(self.tag);
        }
    }
}

/// A question that cannot be answered at once, where its packet lies: under overload most of them are dropped, and what
/// a question needs on its way is only made for one that goes on it.
pub struct Unanswered<'a>(pub(crate) UnansweredState<'a>);

/// How far it has come.
pub(crate) enum UnansweredState<'a> {
    /// To its route, whose source must be asked.
    Routed { asked: Asked<'a>, ask: Ask, active: Arc<ActiveTable>, route: Arc<ActiveRoute> },
    /// Nowhere.
    Packet(&'a [u8], &'a Origin),
}

impl<'a> Unanswered<'a> {
    /// A packet about which nothing is known yet.
    pub fn new(packet: &'a [u8], origin: &'a Origin) -> Self {
        Self(UnansweredState::Packet(packet, origin))
    }

    /// The question, to be worked on after its packet has gone.
    pub fn keep(self) -> Pending {
        match self.0 {
            UnansweredState::Routed { asked, ask, active, route } => {
                let awaiting = Box::new(Awaiting::new(&asked));
                Pending(PendingState::Routed(awaiting, Errand::new(ask, active, route)))
            }
            UnansweredState::Packet(packet, origin) => Pending::new(packet, origin),
        }
    }
}

/// A question left for later, with what is known about it already.
pub struct Pending(pub(crate) PendingState);

/// How far it has come.
pub(crate) enum PendingState {
    /// To its route, whose source must be asked.
    Routed(Box<Awaiting>, Errand),
    /// Nowhere.
    Packet(Box<(Origin, Box<[u8]>)>),
}

impl Pending {
    /// A packet about which nothing is known yet.
    pub fn new(packet: &[u8], origin: &Origin) -> Self {
        Self(PendingState::Packet(Box::new((origin.clone(), packet.into()))))
    }

    /// The question as it came.
    pub fn packet(&self) -> &[u8] {
        match &self.0 {
            PendingState::Routed(awaiting, _) => awaiting.packet(),
            PendingState::Packet(packet) => &packet.1,
        }
    }

    /// Who asks.
    pub fn origin(&self) -> &Origin {
        match &self.0 {
            PendingState::Routed(awaiting, _) => awaiting.origin(),
            PendingState::Packet(packet) => &packet.0,
        }
    }
}

/// A reply that is due. It takes its room only when it is written: what a slow client has not read yet is not made.
pub struct Reply(pub(crate) Due);

impl Reply {
    /// A reply that `make` appends, which says whether there is one.
    pub fn new(origin: Origin, make: impl FnOnce(&mut Vec<u8>) -> bool + Send + 'static) -> Self {
        Self(Due::Made(Box::new((origin, Box::new(make)))))
    }

    /// Who asked.
    pub fn origin(&self) -> &Origin {
        self.0.origin()
    }

    /// Appends the reply; false when there is none to give.
    pub fn write(self, out: &mut Vec<u8>) -> bool {
        self.0.write(out)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Transport;

    #[derive(Default)]
    struct Count {
        delivered: AtomicUsize,
        forgone: AtomicUsize,
    }

    impl Outlet for Count {
        fn deliver(&self, tag: u64, _: Reply) {
            assert_eq!(tag, 7);
            self.delivered.fetch_add(1, Ordering::Relaxed);
        }

        fn forgo(&self, tag: u64) {
            assert_eq!(tag, 7);
            self.forgone.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_question_gets_its_reply_or_is_given_up() {
        let count = Arc::<Count>::default();
        let addressee = || Addressee::new(Arc::clone(&count) as _, 7);
        let counted = || (count.delivered.load(Ordering::Relaxed), count.forgone.load(Ordering::Relaxed));
        let origin = Origin::new(([192, 0, 2, 1], 4242).into(), Transport::Udp);
        addressee().deliver(Reply::new(origin, |_| false));
        assert_eq!(counted(), (1, 0));
        drop(addressee());
        assert_eq!(counted(), (1, 1));
    }
}
