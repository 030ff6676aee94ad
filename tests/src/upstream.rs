//! A DNS server that does what a script says: answers, waits, keeps silent, lies. UDP and TCP on one port.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strait_wire::{Class, Flags, Message, Name, Question, Rcode, Rdata, Record, RecordType};

use crate::free_address;

/// A question as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The decoded message.
    pub message: Message,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Where from.
    pub client: SocketAddr,
    /// How many came before it.
    pub number: usize,
}

impl Received {
    /// The question; every message here has one.
    pub fn question(&self) -> &Question {
        &self.message.questions[0]
    }
}

/// A datagram, or a message on the stream, after so long.
#[derive(Debug, Clone)]
pub struct Reply {
    /// How long to wait; replies to other questions are not held up.
    pub after: Duration,
    /// What to send.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// An answer to the question with these records, at once.
    pub fn answer(received: &Received, records: Vec<Record>) -> Self {
        let mut message = response(received, Rcode::NOERROR);
        message.answers = records;
        Self::message(&message)
    }

    /// One address for the name asked for; the record lives 300 s.
    pub fn address(received: &Received, address: &str) -> Self {
        let name = received.question().name.clone();
        Self::answer(received, vec![address_record(name, address, 300)])
    }

    /// No records, and that rcode.
    pub fn rcode(received: &Received, rcode: Rcode) -> Self {
        Self::message(&response(received, rcode))
    }

    /// Nothing but the TC bit: ask again over TCP.
    pub fn truncated(received: &Received) -> Self {
        let mut message = response(received, Rcode::NOERROR);
        message.flags = message.flags.with(Flags::TC, true);
        Self::message(&message)
    }

    /// NXDOMAIN or NODATA with an SOA of `zone` whose minimum is `ttl`.
    pub fn negative(received: &Received, rcode: Rcode, zone: &str, ttl: u32) -> Self {
        let zone: Name = zone.parse().unwrap();
        let rdata = Rdata::soa(&zone, &zone, [1, 2, 3, 4, ttl]);
        let mut message = response(received, rcode);
        message.authorities = vec![Record { name: zone, rtype: RecordType::SOA, class: Class::IN, ttl, rdata }];
        Self::message(&message)
    }

    /// That message, at once.
    pub fn message(message: &Message) -> Self {
        Self { after: Duration::ZERO, bytes: message.to_wire().unwrap() }
    }

    /// The same reply later.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// The same reply under another identifier.
    #[must_use]
    pub fn with_wrong_id(mut self) -> Self {
        self.bytes[0] ^= 0x55;
        self
    }

    /// The same reply to another question.
    #[must_use]
    pub fn with_wrong_question(self) -> Self {
        let mut message = Message::parse(&self.bytes).unwrap();
        message.questions[0].name = "another.example".parse().unwrap();
        Self { bytes: message.to_wire().unwrap(), ..self }
    }
}

/// An empty response to a question, authoritative and with its identifier; with OPT when the question has one.
pub fn response(received: &Received, rcode: Rcode) -> Message {
    let mut message = Message::response(received.question().clone(), rcode);
    message.id = received.message.id;
    message.flags = message.flags.with(Flags::AA | (received.message.flags.0 & Flags::RD), true);
    message.edns = received.message.edns.as_ref().map(|_| strait_wire::Edns::default());
    message
}

/// An A or AAAA record.
pub fn address_record(name: Name, address: &str, ttl: u32) -> Record {
    let (rtype, bytes) = match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => (RecordType::A, address.octets().to_vec()),
        std::net::IpAddr::V6(address) => (RecordType::AAAA, address.octets().to_vec()),
    };
    Record { name, rtype, class: Class::IN, ttl, rdata: Rdata::opaque(bytes) }
}

/// What to say to a question: any number of replies, none for silence.
type Script = dyn Fn(&Received) -> Vec<Reply> + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
    stopped: AtomicBool,
}

/// The server. Dropped, it is gone, and its port free.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ScriptedServer {
    /// Starts one on a free port.
    pub fn start(script: impl Fn(&Received) -> Vec<Reply> + Send + Sync + 'static) -> Self {
        Self::start_at(free_address(), script)
    }

    /// Starts one on that address: where one was before, for example.
    pub fn start_at(address: SocketAddr, script: impl Fn(&Received) -> Vec<Reply> + Send + Sync + 'static) -> Self {
        let udp = crate::eventually("the address to be free for UDP", || UdpSocket::bind(address).ok());
        let tcp = crate::eventually("the address to be free for TCP", || TcpListener::bind(address).ok());
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            received: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let (on_udp, on_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        std::thread::spawn(move || serve_udp(&udp, &on_udp));
        std::thread::spawn(move || serve_tcp(&tcp, &on_tcp));
        Self { address, shared }
    }

    /// Answers every question for an address with that one.
    pub fn with_address(address: &'static str) -> Self {
        Self::start(move |received| vec![Reply::address(received, address)])
    }

    /// Never says anything.
    pub fn silent() -> Self {
        Self::start(|_| Vec::new())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes on with another script.
    pub fn set(&self, script: impl Fn(&Received) -> Vec<Reply> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Every question so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many questions for that name there were.
    pub fn count(&self, name: &str) -> usize {
        let name: Name = name.parse().unwrap();
        self.shared.received.lock().unwrap().iter().filter(|received| received.question().name == name).count()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the two threads; each looks at the flag.
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[], self.address));
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Counts a question and asks the script. What is no question is left alone.
    fn replies(&self, bytes: &[u8], tcp: bool, client: SocketAddr) -> Vec<Reply> {
        let Ok(message) = Message::parse(bytes) else { return Vec::new() };
        if message.questions.len() != 1 {
            return Vec::new();
        }
        let received = {
            let mut all = self.received.lock().unwrap();
            let received = Received { message, tcp, client, number: all.len() };
            all.push(received.clone());
            received
        };
        let script = Arc::clone(&*self.script.lock().unwrap());
        script(&received)
    }
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 65_535];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        if shared.is_stopped() {
            return;
        }
        for reply in shared.replies(&buffer[..length], false, client) {
            let Ok(socket) = socket.try_clone() else { return };
            later(reply.after, move || drop(socket.send_to(&reply.bytes, client)));
        }
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, client)) = listener.accept() {
        if shared.is_stopped() {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve_stream(stream, client, &shared));
    }
}

fn serve_stream(mut stream: TcpStream, client: SocketAddr, shared: &Shared) {
    // Wakes now and then to see whether the server is gone.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    while let Some(bytes) = read_message(&mut stream, || shared.is_stopped()) {
        for reply in shared.replies(&bytes, true, client) {
            let Ok(mut stream) = stream.try_clone() else { return };
            later(reply.after, move || {
                let length = (reply.bytes.len() as u16).to_be_bytes();
                drop(stream.write_all(&[&length, reply.bytes.as_slice()].concat()));
            });
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// The next message of a stream; none at its end, or when `stopped` says so.
fn read_message(stream: &mut TcpStream, stopped: impl Fn() -> bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut wanted = 2;
    loop {
        let at = bytes.len();
        bytes.resize(wanted, 0);
        match stream.read(&mut bytes[at..]) {
            Ok(0) => return None,
            Ok(length) => bytes.truncate(at + length),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                bytes.truncate(at);
                if stopped() {
                    return None;
                }
            }
            Err(_) => return None,
        }
        if wanted == 2 && bytes.len() == 2 {
            wanted = 2 + usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        }
        if wanted > 2 && bytes.len() == wanted {
            return Some(bytes.split_off(2));
        }
    }
}

/// At once in this thread, or later in one of its own.
fn later(after: Duration, send: impl FnOnce() + Send + 'static) {
    if after.is_zero() {
        return send();
    }
    std::thread::spawn(move || {
        std::thread::sleep(after);
        send();
    });
}
