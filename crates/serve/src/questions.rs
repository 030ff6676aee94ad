//! The questions of one connection that are in work, and the mailbox their replies come to.
//!
//! A reply is written when [`Questions::poll_write`] is called, and not before: what a client that does not read has
//! coming is not made.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use strait_resolve::{Now, Origin, Outlet, Pending, Reply, Respond};

/// Octets of questions of one connection in work at a time, for each question that may be; over it reading pauses. A
/// question is seldom longer than 100 octets, so only odd traffic comes near.
const OCTETS_PER_QUESTION: usize = 1 << 10;

/// Octets of answers that the questions of one connection in work may come to, for each question that may be. An answer
/// counts as long as the longest that the connection has got; over it no further question is taken.
const OCTETS_PER_ANSWER: usize = 1 << 10;

/// Questions in work; `K` comes back with each answer.
pub(crate) struct Questions<K> {
    respond: Arc<dyn Respond>,
    origin: Origin,
    max: usize,
    /// By tag: what comes back with the reply, and the length of the question.
    in_work: Vec<Option<(K, usize)>>,
    free: Vec<usize>,
    octets: usize,
    longest_answer: usize,
    mailbox: Arc<Mailbox>,
    /// Replies out of the mailbox and not yet written.
    ready: VecDeque<(u64, Reply)>,
    /// The others have been let reply as well since the first reply was seen.
    gathered: bool,
}

impl<K> Questions<K> {
    /// No questions yet, at most `max` of them.
    pub(crate) fn new(respond: Arc<dyn Respond>, origin: Origin, max: usize) -> Self {
        Self {
            respond,
            origin,
            max,
            in_work: Vec::new(),
            free: Vec::new(),
            octets: 0,
            longest_answer: OCTETS_PER_ANSWER,
            mailbox: Arc::default(),
            ready: VecDeque::new(),
            gathered: false,
        }
    }

    pub(crate) fn client(&self) -> SocketAddr {
        self.origin.client
    }

    /// Answers what needs no waiting.
    pub(crate) fn answer_now<'a>(&'a self, packet: &'a [u8], reply: &mut Vec<u8>) -> Now<'a> {
        self.respond.respond_now(packet, &self.origin, reply)
    }

    /// Takes a question into work.
    pub(crate) fn take(&mut self, key: K, pending: Pending) {
        let octets = pending.packet().len();
        self.octets += octets;
        let tag = self.free.pop().unwrap_or_else(|| {
            self.in_work.push(None);
            self.in_work.len() - 1
        });
        self.in_work[tag] = Some((key, octets));
        self.respond.respond_later(pending, Arc::clone(&self.mailbox) as _, tag as u64);
    }

    /// Appends the next reply that is there; false when the question gets none. Waits while there is none.
    ///
    /// While more is in work, more is likely to be answered in this very moment: everyone who is ready to run may
    /// reply first. A reply that is the last goes out at once.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<(K, bool)> {
        loop {
            if self.ready.is_empty() {
                ready!(self.poll_mailbox(cx));
            }
            let Some((tag, reply)) = self.ready.pop_front() else { continue };
            // A second reply to a question is none.
            let Some((key, octets)) = self.release(tag) else { continue };
            self.octets -= octets;
            let start = out.len();
            let is_reply = reply.write(out);
            self.longest_answer = self.longest_answer.max(out.len() - start);
            return Poll::Ready((key, is_reply));
        }
    }

    fn poll_mailbox(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut post = self.mailbox.post();
        if post.replies.is_empty() {
            post.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if post.replies.len() < self.in_work.len() - self.free.len() && !std::mem::replace(&mut self.gathered, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.gathered = false;
        std::mem::swap(&mut post.replies, &mut self.ready);
        Poll::Ready(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether another question may be taken into work.
    pub(crate) fn has_room(&self) -> bool {
        let answers = (self.len() + 1) * self.longest_answer;
        self.is_empty()
            || (self.len() < self.max
                && self.octets < self.max * OCTETS_PER_QUESTION
                && answers <= self.max * OCTETS_PER_ANSWER)
    }

    fn len(&self) -> usize {
        self.in_work.len() - self.free.len()
    }

    fn release(&mut self, tag: u64) -> Option<(K, usize)> {
        let tag = usize::try_from(tag).ok()?;
        let released = self.in_work.get_mut(tag)?.take()?;
        self.free.push(tag);
        Some(released)
    }
}

impl<K> Drop for Questions<K> {
    fn drop(&mut self) {
        self.mailbox.leave();
    }
}

/// The reply to one question. Dropping the future gives it up.
pub(crate) async fn reply_to(respond: &dyn Respond, pending: Pending) -> Reply {
    struct Leaves(Arc<Mailbox>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            self.0.leave();
        }
    }
    let mailbox = Leaves(Arc::default());
    respond.respond_later(pending, Arc::clone(&mailbox.0) as _, 0);
    let take = |cx: &mut Context<'_>| {
        let mut post = mailbox.0.post();
        match post.replies.pop_front() {
            Some((_, reply)) => Poll::Ready(reply),
            None => {
                post.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    };
    poll_fn(take).await
}

/// Where replies wait for their connection; no more of them than it has questions in work.
#[derive(Default)]
struct Mailbox {
    post: Mutex<Post>,
    gone: AtomicBool,
}

#[derive(Default)]
struct Post {
    replies: VecDeque<(u64, Reply)>,
    /// The connection, while it waits for replies.
    reader: Option<Waker>,
}

impl Mailbox {
    fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
        let unread = std::mem::take(&mut *self.post());
        drop(unread);
    }

    // Every change is complete before a panic could poison it.
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet for Mailbox {
    fn deliver(&self, tag: u64, reply: Reply) {
        let mut post = self.post();
        if self.is_gone() {
            return;
        }
        post.replies.push_back((tag, reply));
        let reader = post.reader.take();
        drop(post);
        // Once for all that is delivered until it comes.
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Runs `work` and drops it when it takes longer than `patience`. None: it was dropped.
pub(crate) async fn within<T>(patience: std::time::Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(patience, work).await.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use strait_resolve::Transport;

    use super::*;
    use crate::testkit::{HELD, Script, message};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn origin() -> Origin {
        Origin::new("192.0.2.1:40000".parse().unwrap(), Transport::Tcp)
    }

    fn reply(octet: u8) -> Reply {
        let make = move |out: &mut Vec<u8>| {
            out.push(octet);
            true
        };
        Reply::new(origin(), make)
    }

    #[tokio::test]
    async fn a_batch_of_replies_wakes_once_and_is_written_together() {
        let mut questions = Questions::new(Script::new(), origin(), 10);
        for key in 0..3 {
            questions.take(key, Pending::new(&message(HELD, 1), &origin()));
        }
        let (count, mut out) = (Arc::<Count>::default(), Vec::new());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        assert!(questions.poll_write(&mut cx, &mut out).is_pending());
        questions.mailbox.deliver(2, reply(b'c'));
        questions.mailbox.deliver(0, reply(b'a'));
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "once for both");
        // One is still in work: others who are ready may reply first.
        assert!(questions.poll_write(&mut cx, &mut out).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "it comes back by itself");
        assert_eq!(questions.poll_write(&mut cx, &mut out), Poll::Ready((2, true)));
        assert_eq!(questions.poll_write(&mut cx, &mut out), Poll::Ready((0, true)));
        assert!(questions.poll_write(&mut cx, &mut out).is_pending());
        // The last waits for nobody.
        questions.mailbox.deliver(1, reply(b'b'));
        assert_eq!(questions.poll_write(&mut cx, &mut out), Poll::Ready((1, true)));
        assert_eq!(out, b"cab");
        assert!(questions.is_empty());
    }

    #[tokio::test]
    async fn replies_for_a_connection_that_is_gone_are_dropped() {
        let questions = Questions::<()>::new(Script::new(), origin(), 10);
        let mailbox = Arc::clone(&questions.mailbox);
        drop(questions);
        assert!(mailbox.is_gone());
        mailbox.deliver(0, reply(b'a'));
        assert!(mailbox.post().replies.is_empty());
    }
}
