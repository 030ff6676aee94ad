//! Questions in flight on one connection: who waits for which id, and what is still to be written.
//!
//! The transports ([`crate::stream`], [`crate::grpc`]) take what is queued, write it in one go, and hand
//! answers back in any order. When the connection is lost everyone who waits is told at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prometheus::IntCounter;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Questions that may wait on one connection. With as many ids held back as given up, half of the 16-bit ids stay free.
pub(crate) const MAX_IN_FLIGHT: usize = 16_384;
/// Ids of questions given up that are held back, so that a late answer cannot meet a new question.
const MAX_GIVEN_UP: usize = 16_384;
/// Octets that may wait to be written.
const MAX_QUEUED: usize = 4 << 20;

/// Why a connection gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LinkError {
    /// The connection was lost, with the cause.
    #[error("{0}")]
    Lost(Arc<str>),
    /// Too much is in flight on it.
    #[error("too many questions are in flight on the connection")]
    Full,
    /// The server answered this one question with an error of the transport.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// Questions to be written, in the form of one transport.
pub(crate) trait Queue: Default + Send + 'static {
    /// A candidate for the next question's id.
    fn draw_id(&mut self) -> u64;
    /// Appends a question under that id.
    fn push(&mut self, id: u64, question: &[u8]);
    /// Octets that wait.
    fn octets(&self) -> usize;
}

type Outcome = Result<Bytes, LinkError>;
type Waiter = oneshot::Sender<Outcome>;

struct Inner<Q> {
    queue: Q,
    /// By id, with the serial number that tells a reused id from its former self.
    waiting: HashMap<u64, (u64, Waiter)>,
    given_up: GivenUp,
    serial: u64,
    answered: u64,
    lost: Option<LinkError>,
}

/// Questions in flight on one connection.
pub(crate) struct Exchange<Q> {
    inner: Mutex<Inner<Q>>,
    queued: Notify,
    lost: CancellationToken,
    unmatched: IntCounter,
}

impl<Q: Queue> Exchange<Q> {
    /// Nothing in flight; answers that nobody waits for count on `unmatched`.
    pub(crate) fn new(unmatched: IntCounter) -> Arc<Self> {
        let inner = Inner {
            queue: Q::default(),
            waiting: HashMap::new(),
            given_up: GivenUp::default(),
            serial: 0,
            answered: 0,
            lost: None,
        };
        Arc::new(Self { inner: Mutex::new(inner), queued: Notify::new(), lost: CancellationToken::new(), unmatched })
    }

    /// Sends a question and waits for its answer. The caller bounds the time; giving up is dropping the future.
    pub(crate) async fn ask(&self, question: &[u8]) -> Outcome {
        let (id, serial, answer) = self.submit(question)?;
        let _guard = GiveUp { exchange: self, id, serial };
        answer.await.unwrap_or_else(|_| Err(LinkError::Lost("the connection was given up".into())))
    }

    fn submit(&self, question: &[u8]) -> Result<(u64, u64, oneshot::Receiver<Outcome>), LinkError> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        if let Some(cause) = &inner.lost {
            return Err(cause.clone());
        }
        if inner.waiting.len() >= MAX_IN_FLIGHT || inner.queue.octets() + question.len() > MAX_QUEUED {
            return Err(LinkError::Full);
        }
        let id = loop {
            let id = inner.queue.draw_id();
            if !inner.waiting.contains_key(&id) && !inner.given_up.ids.contains(&id) {
                break id;
            }
        };
        inner.serial += 1;
        let serial = inner.serial;
        inner.waiting.insert(id, (serial, sender));
        inner.queue.push(id, question);
        drop(inner);
        self.queued.notify_one();
        Ok((id, serial, receiver))
    }

    /// Waits until something is queued, lets everyone who is ready queue as well, and takes it all.
    pub(crate) async fn take_queued(&self) -> Q {
        self.queued.notified().await;
        tokio::task::yield_now().await;
        std::mem::take(&mut self.lock().queue)
    }

    /// Hands answers to who waits for them.
    pub(crate) fn deliver(&self, answers: impl IntoIterator<Item = (u64, Bytes)>) {
        let mut inner = self.lock();
        for (id, answer) in answers {
            inner.answered += 1;
            match inner.waiting.remove(&id) {
                // An asker that is just giving up is no error.
                Some((_, waiter)) => drop(waiter.send(Ok(answer))),
                None => {
                    inner.given_up.ids.remove(&id);
                    self.unmatched.inc();
                }
            }
        }
    }

    /// Takes the connection for lost: everyone who waits is told `cause`, and so is everyone who asks later.
    pub(crate) fn fail(&self, cause: &str) {
        let error = LinkError::Lost(cause.into());
        let mut inner = self.lock();
        if inner.lost.is_some() {
            return;
        }
        inner.lost = Some(error.clone());
        inner.queue = Q::default();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        for (_, waiter) in waiting.into_values() {
            let _ = waiter.send(Err(error.clone()));
        }
        self.lost.cancel();
    }

    /// Why the connection was lost, when it was.
    pub(crate) fn cause(&self) -> Option<LinkError> {
        self.lock().lost.clone()
    }

    /// Waits until the connection is lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// How many answers have come.
    pub(crate) fn answered(&self) -> u64 {
        self.lock().answered
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<Q>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids whose answers may still come, the oldest first.
#[derive(Default)]
struct GivenUp {
    ids: HashSet<u64>,
    order: VecDeque<u64>,
}

impl GivenUp {
    fn push(&mut self, id: u64) {
        if self.order.len() >= MAX_GIVEN_UP
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.ids.insert(id);
        self.order.push_back(id);
    }
}

/// Notices that an asker went away before its answer came.
struct GiveUp<'a, Q: Queue> {
    exchange: &'a Exchange<Q>,
    id: u64,
    serial: u64,
}

impl<Q: Queue> Drop for GiveUp<'_, Q> {
    fn drop(&mut self) {
        let mut inner = self.exchange.lock();
        if inner.waiting.get(&self.id).is_some_and(|(serial, _)| *serial == self.serial) {
            inner.waiting.remove(&self.id);
            inner.given_up.push(self.id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Draws 0, 0, 1, 1, ...: every id comes up twice.
    #[derive(Default)]
    struct Scripted {
        drawn: u64,
        ids: Vec<u64>,
    }

    impl Queue for Scripted {
        fn draw_id(&mut self) -> u64 {
            self.drawn += 1;
            (self.drawn - 1) / 2
        }

        fn push(&mut self, id: u64, question: &[u8]) {
            self.ids.extend(std::iter::repeat_n(id, question.len()));
        }

        fn octets(&self) -> usize {
            self.ids.len()
        }
    }

    fn exchange() -> (Arc<Exchange<Scripted>>, IntCounter) {
        let unmatched = IntCounter::new("unmatched", "help").unwrap();
        (Exchange::new(unmatched.clone()), unmatched)
    }

    #[tokio::test]
    async fn an_id_is_not_used_twice_while_an_answer_may_come() {
        let (exchange, unmatched) = exchange();
        let (first, ..) = exchange.submit(b"x").unwrap();
        // Drawn again while in flight: passed over.
        let (second, serial, _answer) = exchange.submit(b"x").unwrap();
        assert_eq!((first, second), (0, 1));
        drop(GiveUp { exchange: &exchange, id: second, serial });
        // Given up: still held back, until its answer has come.
        let (third, ..) = exchange.submit(b"x").unwrap();
        assert_eq!(third, 2);
        exchange.deliver([(1, Bytes::from_static(b"late"))]);
        assert_eq!(unmatched.get(), 1);
        assert!(exchange.lock().given_up.ids.is_empty());
    }

    #[tokio::test]
    async fn giving_up_late_does_not_hurt_the_next_holder_of_the_id() {
        let (exchange, _) = exchange();
        let (id, serial, _answer) = exchange.submit(b"x").unwrap();
        exchange.deliver([(id, Bytes::new())]);
        exchange.lock().queue.drawn = 0;
        let (again, ..) = exchange.submit(b"x").unwrap();
        assert_eq!(id, again);
        drop(GiveUp { exchange: &exchange, id, serial });
        assert!(exchange.lock().waiting.contains_key(&id));
    }

    #[tokio::test]
    async fn losing_the_connection_tells_everyone_at_once() {
        let (exchange, _) = exchange();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let e = Arc::clone(&exchange);
                    async move { e.ask(b"x").await }
                })
            })
            .collect();
        let _ = exchange.take_queued().await;
        exchange.fail("cut");
        for task in waiting {
            assert_eq!(task.await.unwrap(), Err(LinkError::Lost("cut".into())));
        }
        assert_eq!(exchange.ask(b"x").await, Err(LinkError::Lost("cut".into())));
        exchange.lost().await;
    }

    #[tokio::test]
    async fn what_is_in_flight_is_bounded() {
        let (exchange, _) = exchange();
        let held: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| exchange.submit(b"x").unwrap()).collect();
        assert_eq!(exchange.submit(b"x").unwrap_err(), LinkError::Full);
        exchange.deliver([(held[0].0, Bytes::new())]);
        assert!(exchange.submit(b"x").is_ok());
        // Octets that nobody writes are bounded as well.
        let (exchange, _) = self::exchange();
        assert!(exchange.submit(&vec![0; MAX_QUEUED]).is_ok());
        assert_eq!(exchange.submit(b"x").unwrap_err(), LinkError::Full);
    }

    #[test]
    fn ids_held_back_are_bounded() {
        let mut given_up = GivenUp::default();
        (0..MAX_GIVEN_UP as u64 + 10).for_each(|id| given_up.push(id));
        assert_eq!((given_up.ids.len(), given_up.order.len()), (MAX_GIVEN_UP, MAX_GIVEN_UP));
    }
}
