//! A gateway that answers from the Kubernetes API, with ten thousand services: from the start to the first answer, memory,
//! and how soon a change is answered, by itself and among thousands of others.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::figures::{Digits, Figures};
use crate::load::Outcome;
use crate::load::api::{ENDPOINTS, KubeApi, SERVICES};
use crate::load::tls::TlsLoad;
use crate::names::question;
use crate::pki::Pki;
use crate::program::PATIENCE;
use crate::report::{Bound, Section, Table, Verdict};
use crate::rivals::PEER_ZONE;
use crate::strait;

/// Changes of endpoints per second, beside the one that is watched for.
const CHANGES: u32 = 5_000;
/// Of these, how many at a time.
const BURST: u32 = 25;
/// How often an answer is asked for while it is waited for.
const STEP: Duration = Duration::from_millis(1);
/// The service whose changes are watched for: one without an address of its own.
const WATCHED: usize = 0;

/// Runs the part.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Section> {
    let pki = Pki::make(&bench.place)?;
    let api = KubeApi::start()?;
    let mut gateway = strait::catalog_gateway(&bench.place, &pki, api.address)?;
    let mut asker = Asker::new(&pki, &gateway)?;

    let mut synced = Vec::new();
    for _ in 0..bench.rounds {
        // What the first start has said to nobody.
        api.take_first_octet();
        gateway.programs[0].restart()?;
        asker.until_answered(WATCHED)?;
        let first = api.take_first_octet().context("the gateway has not asked the API server")?;
        synced.push(first.elapsed());
    }
    let memory_synced = gateway.memory();
    let state = AtomicU64::new(0);
    let alone = freshness(bench, &api, &mut asker, &state)?;
    let (among, rate) = among_others(bench, &api, &mut asker, &state)?;
    let memory_changed = gateway.memory();
    drop(asker);

    let mut section = Section { title: "The catalog of a large cluster".into(), ..Section::default() };
    let mut table =
        Table::new(&["a change until it is answered", "changes beside it, /s", "p50, ms", "p99, ms", "changes"]);
    for (what, outcome, rate) in [("alone", &alone, 0.0), ("among others", &among, rate)] {
        let millis = |part| Digits(milliseconds(outcome, part), 1).to_string();
        let count = outcome.latencies.len() as f64;
        table.rows.push(vec![
            what.into(),
            Digits(rate, 0).to_string(),
            millis(0.5),
            millis(0.99),
            Digits(count, 0).to_string(),
        ]);
    }
    section.tables.push(table);
    let mut table = Table::new(&["gateway", "RSS, MiB"]);
    for (when, memory) in [("synced", memory_synced), ("after the changes", memory_changed)] {
        table.rows.push(vec![when.into(), Digits(mebibytes(memory), 1).to_string()]);
    }
    section.tables.push(table);
    let synced = Figures::new(synced.iter().map(Duration::as_secs_f64));
    let size = format!("{SERVICES} services, {} endpoints", SERVICES * ENDPOINTS);
    let verdict = |work: &str, measured: String, value: Figures, bound| Verdict {
        work: work.into(),
        measured,
        compared: value,
        bound,
        decimals: 1,
    };
    section.verdicts = vec![
        verdict(
            &format!("gateway memory, {size}"),
            format!("{:.1} MiB", mebibytes(memory_changed)),
            Figures::new([mebibytes(memory_changed)]),
            Bound::AtMost(80.0, "MiB"),
        ),
        verdict(
            &format!("first octet of the API → synced, {size}"),
            format!("{:.2} s", synced.median()),
            synced,
            Bound::AtMost(3.0, "s"),
        ),
        verdict(
            "a change alone → answered, p99",
            format!("{:.1} ms", milliseconds(&alone, 0.99)),
            Figures::new([milliseconds(&alone, 0.99)]),
            Bound::AtMost(250.0, "ms"),
        ),
        verdict(
            &format!("a change among {CHANGES}/s → answered, p99"),
            format!("{:.1} ms", milliseconds(&among, 0.99)),
            Figures::new([milliseconds(&among, 0.99)]),
            Bound::AtMost(2_000.0, "ms"),
        ),
    ];
    section.notes.push(format!(
        "{size}, a tenth of the services headless, told by an API server of the benchmark in pages and watches. A change is the \
         new address of a headless service; it is answered when a peer, asking every millisecond over DNS over TLS, gets it. \
         Afterwards every headless service is asked for once, and its address compared."
    ));
    Ok(section)
}

/// How soon changes are answered that come one after the other.
fn freshness(bench: &Bench, api: &KubeApi, asker: &mut Asker, state: &AtomicU64) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let end = Instant::now() + bench.time.saturating_mul(2);
    while Instant::now() < end {
        let next = state.fetch_add(1, Ordering::Relaxed) as u32 + 1;
        let began = Instant::now();
        api.change(WATCHED, next);
        asker.until_answered_with(WATCHED, KubeApi::endpoint(WATCHED, next))?;
        outcome.latencies.push(began.elapsed());
        // Not in step with anything of the gateway's.
        std::thread::sleep(Duration::from_micros(u64::from(next) * 7_919 % 23_000));
    }
    Ok(outcome)
}

/// The same while other endpoints change, and how many of them did each second. In the end every answer is compared.
fn among_others(bench: &Bench, api: &KubeApi, asker: &mut Asker, state: &AtomicU64) -> anyhow::Result<(Outcome, f64)> {
    let stop = AtomicBool::new(false);
    let (outcome, states, rate) = std::thread::scope(|scope| {
        let others = scope.spawn(|| change_others(api, &stop));
        let outcome = freshness(bench, api, asker, state);
        stop.store(true, Ordering::Relaxed);
        let (states, rate) = others.join().map_err(|_| anyhow::anyhow!("the changes have panicked"))?;
        outcome.map(|outcome| (outcome, states, rate))
    })?;
    for (number, state) in states.iter().enumerate() {
        if KubeApi::is_headless(number) && number != WATCHED && *state > 0 {
            asker.until_answered_with(number, KubeApi::endpoint(number, *state))?;
        }
    }
    Ok((outcome, rate))
}

/// Changes one service after the other at the rate wanted; the states in the end, and the rate that came of it.
fn change_others(api: &KubeApi, stop: &AtomicBool) -> (Vec<u32>, f64) {
    let mut states = vec![0; SERVICES];
    let (began, mut done) = (Instant::now(), 0_u32);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            let number = done.wrapping_mul(7_919) as usize % SERVICES;
            if number != WATCHED {
                states[number] += 1;
                api.change(number, states[number]);
            }
            done += 1;
        }
        let due = Duration::from_secs_f64(f64::from(done) / f64::from(CHANGES));
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    (states, f64::from(done) / began.elapsed().as_secs_f64())
}

/// A peer's node-agent with one connection, asking one question after the other.
struct Asker {
    load: TlsLoad,
    runtime: Runtime,
    stream: Option<TlsStream<TcpStream>>,
}

impl Asker {
    fn new(pki: &Pki, gateway: &Contender) -> anyhow::Result<Self> {
        let load = TlsLoad {
            server: gateway.server,
            name: pki.server_name(),
            config: pki.agent_client()?,
            connections: 1,
            outstanding: 1,
            time: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { load, runtime, stream: None })
    }

    /// Waits until the addresses of a service are told.
    fn until_answered(&mut self, service: usize) -> anyhow::Result<()> {
        self.until(service, |addresses| !addresses.is_empty())
    }

    /// Waits until this address is told, and no other.
    fn until_answered_with(&mut self, service: usize, address: Ipv4Addr) -> anyhow::Result<()> {
        self.until(service, |addresses| addresses == [address]).with_context(|| format!("waiting for {address}"))
    }

    fn until(&mut self, service: usize, is_it: impl Fn(&[Ipv4Addr]) -> bool) -> anyhow::Result<()> {
        let question = question(&format!("{}.svc.{PEER_ZONE}", KubeApi::name(service)));
        let end = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < end {
            match self.ask(&question) {
                Ok(reply) => match addresses(&question, &reply) {
                    Some(addresses) if is_it(&addresses) => return Ok(()),
                    other => last = format!("rcode {}, {other:?}", reply.get(3).map_or(0, |octet| octet & 15)),
                },
                Err(error) => {
                    self.stream = None;
                    last = error.to_string();
                }
            }
            std::thread::sleep(STEP);
        }
        anyhow::bail!("{} is not answered as it should be after {PATIENCE:?}; last: {last}", KubeApi::name(service))
    }

    fn ask(&mut self, question: &[u8]) -> anyhow::Result<Vec<u8>> {
        let Self { load, runtime, stream } = self;
        let exchange = async {
            let stream = match stream {
                Some(stream) => stream,
                None => stream.insert(load.connect().await?),
            };
            let mut message = (question.len() as u16).to_be_bytes().to_vec();
            message.extend_from_slice(question);
            stream.write_all(&message).await?;
            stream.flush().await?;
            let length = stream.read_u16().await?;
            let mut reply = vec![0; usize::from(length)];
            stream.read_exact(&mut reply).await?;
            Ok(reply)
        };
        runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await? })
    }
}

/// The addresses in a complete NOERROR reply to that question, whose records' owners are pointers.
fn addresses(question: &[u8], reply: &[u8]) -> Option<Vec<Ipv4Addr>> {
    if reply.len() < 12 || reply[3] & 15 != 0 || reply[2] & 2 != 0 {
        return None;
    }
    let records = reply[12..].strip_prefix(&question[12..])?;
    let count = usize::from(u16::from_be_bytes([reply[6], reply[7]]));
    let address = |record: &[u8]| {
        let data: [u8; 4] = record.get(12..16)?.try_into().ok()?;
        (record[..4] == [0xc0, 12, 0, 1] && record[10..12] == [0, 4]).then(|| Ipv4Addr::from(data))
    };
    records.chunks_exact(16).take(count).map(address).collect()
}

fn milliseconds(outcome: &Outcome, part: f64) -> f64 {
    outcome.quantile(part).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn mebibytes(octets: u64) -> f64 {
    octets as f64 / f64::from(1 << 20)
}
