//! Questions in flight on one connection: who waits for which id, and what is still to be written.
//!
//! The transports ([`crate::stream`], [`crate::grpc`]) take what is queued, write it in one go, and hand
//! answers back in any order. When the connection is lost everyone who waits is told at once.
//!
//! ```text
//! ask ─► Queue ─► transport writes all that is queued
//!  ▲                              │
//!  └─ Table (slot per id) ◄─ deliver(all that has come)
//! ```

mod table;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use prometheus::IntCounter;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::table::{Found, Place, Table};

/// Questions that may wait on one connection. With as many ids held back as given up, half of the 16-bit ids stay free.
pub(crate) const MAX_IN_FLIGHT: usize = 16_384;
/// Ids of questions given up that are held back, so that a late answer cannot meet a new question.
const MAX_GIVEN_UP: usize = 16_384;
/// Octets that may wait to be written.
const MAX_QUEUED: usize = 4 << 20;
/// Without anything to wait for, timers look again after this long.
const QUIET: Duration = Duration::from_secs(3600);

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
    /// Appends a question under that id.
    fn push(&mut self, id: u16, question: &[u8]);
    /// Octets that wait.
    fn octets(&self) -> usize;
}

struct Inner<Q> {
    queue: Q,
    /// Questions in the queue.
    queued: usize,
    /// The writer has let the others queue as well since it saw the first.
    gathered: bool,
    table: Table,
    /// Who writes, while it waits for something to write.
    writer: Option<Waker>,
    /// Who looks for late answers, while nobody waits.
    watcher: Option<Waker>,
    answered: u64,
    closing: bool,
}

/// Questions in flight on one connection.
pub(crate) struct Exchange<Q> {
    inner: Mutex<Inner<Q>>,
    cause: OnceLock<LinkError>,
    lost: CancellationToken,
    /// After this long without its answer a question's asker is told that it is late.
    patience: Option<Duration>,
    unmatched: IntCounter,
}

impl<Q: Queue> Exchange<Q> {
    /// Nothing in flight; answers that nobody waits for count on `unmatched`.
    pub(crate) fn new(patience: Option<Duration>, unmatched: IntCounter) -> Arc<Self> {
        let inner = Inner {
            queue: Q::default(),
            queued: 0,
            gathered: false,
            table: Table::new(),
            writer: None,
            watcher: None,
            answered: 0,
            closing: false,
        };
        let (cause, lost) = (OnceLock::new(), CancellationToken::new());
        Arc::new(Self { inner: Mutex::new(inner), cause, lost, patience, unmatched })
    }

    /// Sends a question. The caller bounds the time; giving up is dropping the result.
    pub(crate) fn ask(&self, question: &[u8]) -> Result<Asked<'_, Q>, LinkError> {
        let now = Instant::now();
        let mut inner = self.lock();
        // Looked at under the lock, which whoever fails the connection takes after that.
        if let Some(cause) = self.cause.get() {
            return Err(cause.clone());
        }
        if inner.queue.octets() + question.len() > MAX_QUEUED {
            return Err(LinkError::Full);
        }
        let (id, place) = inner.table.enter(now).ok_or(LinkError::Full)?;
        inner.queue.push(id, question);
        inner.queued += 1;
        let wake = [inner.writer.take(), inner.watcher.take()];
        drop(inner);
        wake.into_iter().flatten().for_each(Waker::wake);
        Ok(Asked { exchange: self, place, done: false })
    }

    /// Waits until something is queued and puts it all into `batch`, which is empty. None: the connection is closed.
    ///
    /// While others are in flight more is likely to be asked in this very moment: everyone who is ready to run may
    /// queue first. A question that is alone goes out at once.
    pub(crate) fn poll_queued(&self, cx: &mut Context<'_>, batch: &mut Q) -> Poll<Option<()>> {
        let mut inner = self.lock();
        if inner.closing {
            return Poll::Ready(None);
        }
        if inner.queued == 0 {
            inner.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if inner.table.waiting() > inner.queued && !std::mem::replace(&mut inner.gathered, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        (inner.gathered, inner.queued) = (false, 0);
        std::mem::swap(&mut inner.queue, batch);
        Poll::Ready(Some(()))
    }

    /// Waits until the connection is closed, for a writer that has no room for more.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.closing {
            return Poll::Ready(());
        }
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Hands answers to who waits for them.
    pub(crate) fn deliver(&self, answers: impl IntoIterator<Item = (u64, Bytes)>) {
        let now = Instant::now();
        let mut wake = Vec::new();
        let mut inner = self.lock();
        for (id, answer) in answers {
            inner.answered += 1;
            if !inner.table.deliver(id, answer, now, &mut wake) {
                self.unmatched.inc();
            }
        }
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
    }

    /// Lets whoever drives the connection end it.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closing = true;
        let writer = inner.writer.take();
        drop(inner);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Takes the connection for lost: everyone who waits is told `cause`, and so is everyone who asks later.
    pub(crate) fn fail(&self, cause: &str) {
        let error = LinkError::Lost(cause.into());
        if self.cause.set(error.clone()).is_err() {
            return;
        }
        let mut wake = Vec::new();
        let mut inner = self.lock();
        inner.closing = true;
        inner.queue = Q::default();
        inner.queued = 0;
        inner.table.fail(&error, &mut wake);
        wake.extend(inner.writer.take());
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        self.lost.cancel();
    }

    /// Why the connection was lost, when it was.
    pub(crate) fn cause(&self) -> Option<LinkError> {
        self.cause.get().cloned()
    }

    /// Whether the connection is lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.cause.get().is_some()
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
        self.lock().table.waiting() == 0
    }

    /// Tells those whose answers are late, and says when to look again. While nobody waits, the next who asks wakes.
    fn find_late(&self, cx: &Context<'_>) -> Option<Instant> {
        let patience = self.patience?;
        let then = Instant::now().checked_sub(patience);
        let mut wake = Vec::new();
        let mut inner = self.lock();
        if let Some(then) = then {
            inner.table.find_late(then, &mut wake);
        }
        let next = inner.table.oldest().map(|asked| asked + patience);
        if next.is_none() {
            inner.watcher = Some(cx.waker().clone());
        }
        drop(inner);
        wake.into_iter().for_each(Waker::wake);
        next
    }

    fn lock(&self) -> MutexGuard<'_, Inner<Q>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question on its way. Dropped, it is given up.
#[must_use]
pub(crate) struct Asked<'a, Q: Queue> {
    exchange: &'a Exchange<Q>,
    place: Place,
    done: bool,
}

impl<Q: Queue> Asked<'_, Q> {
    /// Waits for the answer, or until it is late. None: it is late, and may be waited for on.
    pub(crate) async fn in_time(&mut self) -> Option<Result<(Bytes, Duration), LinkError>> {
        poll_fn(|cx| self.poll_answer(cx, true)).await
    }

    /// Waits for the answer and the time it took.
    pub(crate) async fn answer(mut self) -> Result<(Bytes, Duration), LinkError> {
        let gone = || Err(LinkError::Lost("the connection was given up".into()));
        poll_fn(|cx| self.poll_answer(cx, false)).await.unwrap_or_else(gone)
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        unless_late: bool,
    ) -> Poll<Option<Result<(Bytes, Duration), LinkError>>> {
        match self.exchange.lock().table.look(self.place, cx.waker()) {
            Found::Waits { late: true } if unless_late => Poll::Ready(None),
            Found::Waits { .. } => Poll::Pending,
            Found::Done(outcome) => {
                self.done = true;
                Poll::Ready(Some(outcome))
            }
        }
    }
}

impl<Q: Queue> Drop for Asked<'_, Q> {
    fn drop(&mut self) {
        if !self.done {
            self.exchange.lock().table.give_up(self.place);
        }
    }
}

/// Looks for late answers, at the pace at which questions become late: one timer for all of a connection.
pub(crate) struct LateWatch {
    timer: Pin<Box<Sleep>>,
    armed: bool,
}

impl LateWatch {
    pub(crate) fn new() -> Self {
        Self { timer: Box::pin(sleep_until(Instant::now() + QUIET)), armed: false }
    }

    /// Looks when it is time.
    pub(crate) fn poll<Q: Queue>(&mut self, cx: &mut Context<'_>, exchange: &Exchange<Q>) {
        loop {
            if self.armed && self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            let next = exchange.find_late(cx);
            self.armed = next.is_some();
            match next {
                Some(next) => self.timer.as_mut().reset(next),
                None => return,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
