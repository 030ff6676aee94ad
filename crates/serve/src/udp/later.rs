//! Questions that take time: from the workers to the runtime many at once, and their replies, as many as are ready,
//! back to the socket.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use strait_datagram::{BATCH, Outbound, UdpSocket, Wait};
use strait_resolve::{Outlet, Pending, Reply, Respond};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::ServeMetrics;
use crate::metrics::UdpDrop;

/// How often replies that find the send buffer of the socket full are tried, and the pause between: as long as a worker
/// waits.
const SEND_TRIES: usize = 50;
const SEND_PAUSE: Duration = Duration::from_millis(2);

/// The way to the runtime. The tasks there end when all handles are gone and every reply is sent.
#[derive(Clone)]
pub(super) struct Later {
    questions: Sender<Question>,
    room: Arc<Semaphore>,
    metrics: Arc<ServeMetrics>,
}

/// A question in work.
struct Question {
    pending: Pending,
    place: OwnedSemaphorePermit,
}

/// A question whose reply is ready.
struct Answered {
    reply: Reply,
    place: OwnedSemaphorePermit,
}

impl Later {
    /// Starts the tasks: at most `max` questions are in work, replies leave from `socket`.
    pub(super) fn start(
        socket: Arc<UdpSocket>,
        respond: Arc<dyn Respond>,
        metrics: Arc<ServeMetrics>,
        max: usize,
    ) -> (Self, JoinSet<()>) {
        // Neither is ever full before the room is.
        let (questions, asked) = mpsc::channel(max);
        let (answers, answered) = mpsc::channel(max);
        let mut tasks = JoinSet::new();
        tasks.spawn(ask(asked, respond, answers));
        tasks.spawn(send(answered, socket, Arc::clone(&metrics)));
        (Self { questions, room: Arc::new(Semaphore::new(max)), metrics }, tasks)
    }

    /// Takes a question into work, when there is room. Never blocks.
    pub(super) fn take(&self, pending: Pending) {
        let place = Arc::clone(&self.room).try_acquire_owned();
        let taken = place.is_ok_and(|place| self.questions.try_send(Question { pending, place }).is_ok());
        if !taken {
            self.metrics.udp_dropped(UdpDrop::InWork, 1);
        }
    }
}

async fn ask(mut asked: Receiver<Question>, respond: Arc<dyn Respond>, answers: Sender<Answered>) {
    let mut batch = Vec::with_capacity(BATCH);
    while asked.recv_many(&mut batch, BATCH).await > 0 {
        for Question { pending, place } in batch.drain(..) {
            let ticket = Ticket { place: Mutex::new(Some(place)), answers: answers.clone() };
            respond.respond_later(pending, Arc::new(ticket), 0);
        }
    }
}

/// The outlet of one question. It keeps the question's place: should nobody ever deliver a reply, the place is free
/// again all the same.
struct Ticket {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    answers: Sender<Answered>,
}

impl Outlet for Ticket {
    fn deliver(&self, _: u64, reply: Reply) {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(place) = place {
            // It fails only when the sending task is gone, at the end of the process.
            let _ = self.answers.try_send(Answered { reply, place });
        }
    }
}

async fn send(mut answered: Receiver<Answered>, socket: Arc<UdpSocket>, metrics: Arc<ServeMetrics>) {
    let (mut batch, mut outbound) = (Vec::with_capacity(BATCH), Outbound::new());
    let mut places = Vec::with_capacity(BATCH);
    while answered.recv_many(&mut batch, BATCH).await > 0 {
        // Replies become ready together: whoever is about to make one may do so first.
        let_others_run().await;
        while batch.len() < BATCH
            && let Ok(next) = answered.try_recv()
        {
            batch.push(next);
        }
        for Answered { reply, place } in batch.drain(..) {
            let (client, local) = (reply.origin().client, reply.origin().local);
            outbound.push_with(client, local, |octets| reply.write(octets));
            places.push(place);
        }
        let lost = send_patiently(&socket, &mut outbound).await;
        metrics.udp_dropped(UdpDrop::Send, lost);
        places.clear();
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
