//! Questions that take time: from the workers to the runtime many at once, and their replies, as many as are ready,
//! back to the socket.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use strait_datagram::{BATCH, Outbound, UdpSocket, Wait};
use strait_resolve::{Client, ClientShares, Counters, Outlet, Pending, Reply, Respond, Unanswered};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use crate::ServeMetrics;
use crate::metrics::UdpDrop;

/// Questions that wait for the runtime to take them into work: what it does in some ten milliseconds. It is that far
/// behind only when there is more to do than it can, and then each question that is dropped early leaves it time for
/// one that is answered.
pub(super) const MAX_QUEUED: usize = 1024;

/// How often replies that find the send buffer of the socket full are tried, and the pause between: as long as a worker
/// waits.
const SEND_TRIES: usize = 50;
const SEND_PAUSE: Duration = Duration::from_millis(2);

/// The way to the runtime. The tasks there end when all handles are gone and every reply is sent.
#[derive(Clone)]
pub(super) struct Later {
    questions: UnboundedSender<(Pending, Counters)>,
    room: Arc<Room>,
    metrics: Arc<ServeMetrics>,
}

/// How many questions there are: it bounds both queues.
struct Room {
    /// In work, with those that wait for the runtime and those whose reply is not sent.
    in_work: Places,
    /// Of these, those that wait for the runtime.
    queued: Places,
    /// Whose they are.
    shares: ClientShares,
}

/// Some places, of which so many may be taken.
struct Places {
    taken: AtomicUsize,
    max: usize,
}

impl Places {
    const fn new(max: usize) -> Self {
        Self { taken: AtomicUsize::new(0), max }
    }

    /// Takes a place, when there is one.
    fn take(&self) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed) < self.max;
        if !taken {
            self.give_back(1);
        }
        taken
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::Relaxed);
    }
}

impl Room {
    fn new(max: usize) -> Self {
        Self { in_work: Places::new(max), queued: Places::new(MAX_QUEUED), shares: ClientShares::default() }
    }

    /// A place for a question of this client; over one of the bounds, which it is.
    fn enter(&self, client: IpAddr) -> Result<Counters, UdpDrop> {
        if !self.queued.take() {
            return Err(UdpDrop::Queue);
        }
        let entered = match self.in_work.take() {
            false => Err(UdpDrop::InWork),
            true => self.shares.enter(Client::of(client), self.in_work.max).map_err(|_| {
                self.in_work.give_back(1);
                UdpDrop::ClientShare
            }),
        };
        if entered.is_err() {
            self.queued.give_back(1);
        }
        entered
    }

    fn leave(&self, at: Counters) {
        self.shares.leave(at);
        self.in_work.give_back(1);
    }
}

impl Later {
    /// Starts the tasks: at most `max` questions are in work, replies leave from `socket`.
    pub(super) fn start(
        socket: Arc<UdpSocket>,
        respond: Arc<dyn Respond>,
        metrics: Arc<ServeMetrics>,
        max: usize,
    ) -> (Self, JoinSet<()>) {
        let room = Arc::new(Room::new(max));
        let (questions, asked) = mpsc::unbounded_channel();
        let (answers, answered) = mpsc::unbounded_channel();
        let replies = Arc::new(Replies { answers, room: Arc::clone(&room) });
        let mut tasks = JoinSet::new();
        tasks.spawn(ask(asked, respond, replies, Arc::clone(&metrics)));
        tasks.spawn(send(answered, socket, Arc::clone(&room), Arc::clone(&metrics)));
        (Self { questions, room, metrics }, tasks)
    }

    /// Takes a question of this client into work, when there is room. Never blocks.
    pub(super) fn take(&self, client: IpAddr, unanswered: Unanswered<'_>) {
        let place = match self.room.enter(client) {
            Ok(place) => place,
            Err(why) => return self.metrics.udp_dropped(why, 1),
        };
        // It fails at the end of the process.
        if self.questions.send((unanswered.keep(), place)).is_err() {
            self.room.queued.give_back(1);
            self.room.leave(place);
            self.metrics.udp_dropped(UdpDrop::InWork, 1);
        }
    }
}

async fn ask(
    mut asked: UnboundedReceiver<(Pending, Counters)>,
    respond: Arc<dyn Respond>,
    replies: Arc<Replies>,
    metrics: Arc<ServeMetrics>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        replies.room.queued.give_back(batch.len());
        for (pending, place) in batch.drain(..) {
            let outlet = Arc::clone(&replies);
            unless_faulty(&metrics, || respond.respond_later(pending, outlet, place.into()));
        }
    }
}

/// The outlet of all questions: a reply says itself whom it is for, its tag the place that the question keeps until its
/// reply is sent, or until none will come.
struct Replies {
    answers: UnboundedSender<(Reply, u64)>,
    room: Arc<Room>,
}

impl Outlet for Replies {
    fn deliver(&self, tag: u64, reply: Reply) {
        // The sending task is gone at the end of the process.
        if self.answers.send((reply, tag)).is_err() {
            self.forgo(tag);
        }
    }

    fn forgo(&self, tag: u64) {
        self.room.leave(tag.into());
    }
}

async fn send(
    mut answered: UnboundedReceiver<(Reply, u64)>,
    socket: Arc<UdpSocket>,
    room: Arc<Room>,
    metrics: Arc<ServeMetrics>,
) {
    let (mut batch, mut outbound) = (Vec::with_capacity(BATCH), Outbound::new());
    let mut places: Vec<Counters> = Vec::with_capacity(BATCH);
    while answered.recv_many(&mut batch, BATCH).await > 0 {
        // Replies become ready together: whoever is about to make one may do so first.
        let_others_run().await;
        while batch.len() < BATCH
            && let Ok(next) = answered.try_recv()
        {
            batch.push(next);
        }
        for (reply, tag) in batch.drain(..) {
            let (client, local) = (reply.origin().client, reply.origin().local);
            unless_faulty(&metrics, || outbound.push_with(client, local, |octets| reply.write(octets)));
            places.push(tag.into());
        }
        let lost = send_patiently(&socket, &mut outbound).await;
        metrics.udp_dropped(UdpDrop::Send, lost);
        places.drain(..).for_each(|place| room.leave(place));
    }
}

/// A fault of ours in one answer costs that answer, not the address and its clients.
fn unless_faulty<T>(metrics: &ServeMetrics, work: impl FnOnce() -> T) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        metrics.udp_dropped(UdpDrop::Fault, 1);
    }
}

/// Resolves when all tasks that are ready now have had their turn. Unlike `yield_now` it does not look for events of the
/// system in between.
async fn let_others_run() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sends the batch; how many of it were lost.
async fn send_patiently(socket: &UdpSocket, outbound: &mut Outbound) -> usize {
    let mut lost = 0;
    for _ in 0..SEND_TRIES {
        lost += outbound.send(socket, Wait::No).failed;
        if outbound.is_empty() {
            return lost;
        }
        // Rather than have the runtime hear of every datagram that comes to the socket.
        tokio::time::sleep(SEND_PAUSE).await;
    }
    lost += outbound.len();
    outbound.clear();
    lost
}
