//! What a forger has to guess: source port, id and case (RFC 5452 9.2).

use std::collections::{HashMap, HashSet, VecDeque};

use super::*;

/// A question as it came: port, id, question section.
type Seen = (u16, u16, Vec<u8>);

/// A server that denies everything, and the questions it has seen. A thread of its own, so as to be quick.
fn witness() -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            // All but the OPT record.
            let question = &mut buffer[..len - 11];
            let id = u16::from_be_bytes([question[0], question[1]]);
            log.lock().unwrap().push((from.port(), id, question[12..].to_vec()));
            // A response, NXDOMAIN, no additional records.
            question[2..4].copy_from_slice(&[0x81, 0x83]);
            question[11] = 0;
            let _ = socket.send_to(question, from);
        }
    });
    (address, seen)
}

fn most_common<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> usize {
    let mut counts: HashMap<T, usize> = HashMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_values().max().unwrap()
}

/// How far counts are from being equal, in standard deviations of chi-square for random ones.
fn unevenness(buckets: &[f64]) -> f64 {
    let expected = buckets.iter().sum::<f64>() / buckets.len() as f64;
    let chi_square: f64 = buckets.iter().map(|count| (count - expected).powi(2) / expected).sum();
    let freedom = buckets.len() as f64 - 1.0;
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

fn spread<const N: usize>(values: impl Iterator<Item = usize>) -> [f64; N] {
    let mut buckets = [0.0; N];
    values.for_each(|value| buckets[value] += 1.0);
    buckets
}

/// With little traffic every question has a port of its own.
#[tokio::test]
async fn rfc5452_9_2_ports_and_ids_are_random() {
    const QUESTIONS: usize = 60;
    let (address, seen) = witness();
    let (group, _) = start(settings(&[address]));
    for _ in 0..QUESTIONS {
        group.answer(&ask("www.example.com")).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    // Chance allows a few to be equal: of 62,000 ports, of 65,536 ids, of 8,192 ways to write thirteen letters.
    let distinct = |values: &mut dyn Iterator<Item = Vec<u8>>| values.collect::<HashSet<_>>().len();
    assert!(distinct(&mut seen.iter().map(|(port, ..)| port.to_be_bytes().to_vec())) >= QUESTIONS - 3);
    assert!(distinct(&mut seen.iter().map(|(_, id, _)| id.to_be_bytes().to_vec())) >= QUESTIONS - 3);
    assert!(distinct(&mut seen.iter().map(|(.., question)| question.clone())) >= QUESTIONS - 5);
}

/// With much traffic ports are used a few times each, and are as hard to guess. 100,000 questions, 50 at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc5452_9_2_ports_and_ids_of_much_traffic_are_random() {
    const TASKS: usize = 50;
    const EACH: usize = 2_000;
    let (address, seen) = witness();
    let (group, registry) = start(settings(&[address]));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let group = Arc::clone(&group);
            tokio::spawn(async move {
                let ask = ask("www.example.com");
                for _ in 0..EACH {
                    group.answer(&ask).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for reason in ["id", "question", "case", "malformed", "not_a_response"] {
        assert_eq!(count(&registry, "strait_upstream_ignored_replies_total", &[reason]), 0, "{reason}");
    }
    let seen = seen.lock().unwrap();
    // A question whose answer took too long was asked again.
    assert!(seen.len() >= TASKS * EACH);

    let ids = || seen.iter().map(|(_, id, _)| *id);
    // Of 65,536 ids, 100,000 draws leave 51,300 distinct ones.
    assert!((50_500..).contains(&ids().collect::<HashSet<_>>().len()));
    assert!(unevenness(&spread::<256>(ids().map(|id| usize::from(id >> 8)))) < 6.0);
    assert!(unevenness(&spread::<256>(ids().map(|id| usize::from(id & 0xff)))) < 6.0);
    let step = |pair: &[u16]| pair[1].wrapping_sub(pair[0]);
    // Each step is expected one and a half times.
    assert!(most_common(ids().collect::<Vec<_>>().windows(2).map(step)) < 16);

    let ports: Vec<u16> = seen.iter().map(|(port, ..)| *port).collect();
    let distinct: HashSet<u16> = ports.iter().copied().collect();
    // A socket takes 24 questions at most; a port may come up again by chance, hardly four times.
    assert!(distinct.len() > seen.len() / 24, "{} ports", distinct.len());
    assert!(most_common(ports.iter()) <= 4 * 24);
    // Evenly over the whole range but for what is left out, mostly the node ports.
    let in_order = |port: u16| match port {
        1024..30_000 => Some(usize::from(port - 1024)),
        30_000..=32_767 => None,
        _ => Some(usize::from(port - 1024 - 2768)),
    };
    const PART: usize = (65_536_usize - 1024 - 2768).div_ceil(64);
    let parts = spread::<64>(distinct.iter().filter_map(|port| in_order(*port)).map(|at| at / PART));
    assert!(unevenness(&parts) < 6.0, "{parts:?}");
    // The last port says nothing of the next: the same one comes once in 64 times, and the last 64 questions were spread
    // over about 40 ports.
    let same = ports.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(same < ports.len() * 3 / 64, "{same}");
    let mut window: VecDeque<u16> = VecDeque::new();
    for port in &ports {
        window.push_back(*port);
        if window.len() > 64 {
            window.pop_front();
            let distinct = window.iter().collect::<HashSet<_>>().len();
            assert!(distinct >= 20, "{distinct} ports among 64 questions");
        }
    }
    assert!(most_common(ports.windows(2).filter(|pair| pair[0] != pair[1]).map(step)) < 32);
    // Thirteen letters, half of them in capitals.
    let capitals: usize =
        seen.iter().map(|(.., question)| question.iter().filter(|b| b.is_ascii_uppercase()).count()).sum();
    assert!((6.4..6.6).contains(&(capitals as f64 / seen.len() as f64)));
}
