//! What the tests of this crate share: a scripted source, and short ways to names, questions and answers.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strait_identity::Identity;
use strait_wire::{Answer, Class, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};
use tokio::sync::Semaphore;

use crate::{Ask, BoxFuture, Origin, Source, SourceError, Transport};

/// What a script says to a question.
type Script = dyn Fn(&Ask) -> Result<Answer, SourceError> + Send + Sync;

/// A source that does what a test says, and notes what it was asked.
pub(crate) struct Scripted {
    script: Box<Script>,
    /// Answers without waiting.
    at_once: bool,
    /// Answers only as fast as permits come.
    gate: Option<Arc<Semaphore>>,
    capacity: Option<usize>,
    pub(crate) calls: AtomicUsize,
    pub(crate) asked: Mutex<Vec<Ask>>,
}

impl Scripted {
    fn build(
        at_once: bool,
        gate: Option<Arc<Semaphore>>,
        script: impl Fn(&Ask) -> Result<Answer, SourceError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            at_once,
            gate,
            capacity: None,
            calls: AtomicUsize::new(0),
            asked: Mutex::default(),
        })
    }

    /// A source behind a network.
    pub(crate) fn new(script: impl Fn(&Ask) -> Result<Answer, SourceError> + Send + Sync + 'static) -> Arc<Self> {
        Self::build(false, None, script)
    }

    /// A source in memory.
    pub(crate) fn local(script: impl Fn(&Ask) -> Result<Answer, SourceError> + Send + Sync + 'static) -> Arc<Self> {
        Self::build(true, None, script)
    }

    /// A source that answers one question per permit.
    pub(crate) fn gated(
        gate: &Arc<Semaphore>,
        script: impl Fn(&Ask) -> Result<Answer, SourceError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::build(false, Some(Arc::clone(gate)), script)
    }

    /// A source that never answers.
    pub(crate) fn silent() -> Arc<Self> {
        Self::gated(&Arc::new(Semaphore::new(0)), |_| unreachable!("there are no permits"))
    }

    /// A source that never answers, and takes only so many questions at a time.
    pub(crate) fn silent_beyond(capacity: usize) -> Arc<Self> {
        let mut silent = Self::silent();
        Arc::get_mut(&mut silent).unwrap().capacity = Some(capacity);
        silent
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn note(&self, ask: &Ask) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.asked.lock().unwrap().push(ask.clone());
    }
}

impl Source for Scripted {
    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        self.at_once.then(|| {
            self.note(ask);
            (self.script)(ask).ok()
        })?
    }

    fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            self.note(ask);
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            (self.script)(ask)
        })
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn question(text: &str, rtype: &str) -> Question {
    Question { name: name(text), rtype: rtype.parse().unwrap(), class: Class::IN }
}

pub(crate) fn ask(text: &str, rtype: &str) -> Ask {
    Ask { question: question(text, rtype), dnssec_ok: false, checking_disabled: false, path: Default::default() }
}

/// A query with RD and EDNS.
pub(crate) fn query(text: &str, rtype: &str) -> Vec<u8> {
    Message::query(77, name(text), rtype.parse().unwrap()).to_wire().unwrap()
}

pub(crate) fn origin_from(client: &str, transport: Transport) -> Origin {
    Origin::new(SocketAddr::new(client.parse().unwrap(), 4242), transport)
}

pub(crate) fn gateway_identity() -> Arc<Identity> {
    Arc::new(Identity { id: "spiffe://cluster-a.example.com/gateway".parse().unwrap(), not_after: i64::MAX })
}

pub(crate) fn a_record(owner: &Name, ttl: u32, last: u8) -> Record {
    let rdata = Rdata::opaque(vec![192, 0, 2, last]);
    Record { name: owner.clone(), rtype: RecordType::A, class: Class::IN, ttl, rdata }
}

pub(crate) fn cname_record(owner: &Name, ttl: u32, target: &str) -> Record {
    let rdata = Rdata::name(&name(target));
    Record { name: owner.clone(), rtype: RecordType::CNAME, class: Class::IN, ttl, rdata }
}

pub(crate) fn soa_record(zone: &str, ttl: u32, minimum: u32) -> Record {
    let zone = name(zone);
    let rdata = Rdata::soa(&zone, &zone, [1, 2, 3, 4, minimum]);
    Record { name: zone, rtype: RecordType::SOA, class: Class::IN, ttl, rdata }
}

/// An answer to `ask` with these sections.
pub(crate) fn answer(ask: &Ask, rcode: Rcode, answers: Vec<Record>, authorities: Vec<Record>) -> Answer {
    let flags = Flags(Flags::QR);
    let response = Message::response(ask.question.clone(), rcode);
    Answer::new(&Message { flags, answers, authorities, ..response }).unwrap()
}

/// `192.0.2.last` for the name asked for.
pub(crate) fn address(ask: &Ask, ttl: u32, last: u8) -> Result<Answer, SourceError> {
    Ok(answer(ask, Rcode::NOERROR, vec![a_record(&ask.question.name, ttl, last)], Vec::new()))
}

/// An alias from the name asked for.
pub(crate) fn alias(ask: &Ask, ttl: u32, target: &str) -> Result<Answer, SourceError> {
    Ok(answer(ask, Rcode::NOERROR, vec![cname_record(&ask.question.name, ttl, target)], Vec::new()))
}

/// How long a test waits for what must come, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the other tasks run until `met`.
pub(crate) async fn until(mut met: impl FnMut() -> bool) {
    let started = Instant::now();
    while !met() {
        assert!(started.elapsed() < PATIENCE, "what was awaited did not come within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}
