use std::collections::HashSet;
use std::net::SocketAddr;

use super::slot::{LIFE, USES};
use super::*;
use crate::upstream::udp::ports::Ports;

const SECOND: Duration = Duration::from_secs(1);

fn socket() -> Arc<BoundedSocket> {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    Arc::new(Ports::new([]).open(nobody).unwrap())
}

/// "a.", type A.
const QUESTION: &[u8] = b"\x01a\0\0\x01\0\x01";

fn waiter() -> Arc<Waiter> {
    Arc::new(Waiter::new([&[0; Header::LEN], QUESTION].concat(), 3))
}

fn response(id: u16) -> Vec<u8> {
    let mut wire = Vec::new();
    Header { id, flags: Flags(Flags::QR), qdcount: 1, ancount: 0, nscount: 0, arcount: 0 }.write(&mut wire);
    wire.extend_from_slice(QUESTION);
    wire
}

/// A pool with as many open sockets as make it use them again.
fn full(now: Instant) -> Pool {
    let mut pool = Pool::default();
    for _ in 0..OPEN {
        let waiter = waiter();
        let place = pool.add(&socket(), &waiter, now + SECOND, now);
        pool.leave(place, &waiter, now);
    }
    pool
}

#[test]
fn with_few_sockets_every_question_gets_a_fresh_one() {
    let now = Instant::now();
    let mut pool = Pool::default();
    for _ in 0..OPEN {
        assert!(pool.join(&waiter(), now + SECOND, now).is_none());
        pool.add(&socket(), &waiter(), now + SECOND, now);
    }
    assert!(pool.join(&waiter(), now + SECOND, now).is_some());
}

#[test]
fn a_socket_takes_a_few_questions_and_is_closed_when_all_have_left() {
    let now = Instant::now();
    let mut pool = full(now);
    let mut places = Vec::new();
    let waiter = waiter();
    while let Some((_, place)) = pool.join_any(&waiter, now + SECOND, now) {
        places.push(place);
    }
    // All are used up: none more often than it may, none with an id used twice.
    for slot in 0..OPEN {
        let uses = places.iter().filter(|place| place.slot == slot).count() + 1;
        assert!(uses <= usize::from(*USES.end()), "{uses}");
    }
    assert!(places.len() > OPEN * usize::from(*USES.start() - 1));
    let distinct: HashSet<(usize, u16)> = places.iter().map(|place| (place.slot, place.id)).collect();
    assert_eq!(distinct.len(), places.len());
    // Somebody waits on each: nothing is closed.
    assert!(pool.sweep(now).1.is_empty());
    let last = places.pop().unwrap();
    for place in places {
        pool.leave(place, &waiter, now);
    }
    assert_eq!(pool.sweep(now).1.len(), OPEN - 1);
    pool.leave(last, &waiter, now);
    assert_eq!((pool.sweep(now).1.len(), pool.sockets()), (1, 0));
}

#[test]
fn a_socket_takes_questions_for_a_short_time() {
    let now = Instant::now();
    let mut pool = full(now);
    let later = now + LIFE.end;
    // Even when nobody has looked in between.
    assert!(pool.join(&waiter(), later + SECOND, later).is_none());
    assert_eq!(pool.sweep(later).1.len(), OPEN);
    // Not all at the same moment.
    let mut pool = full(now);
    let closed = pool.sweep(now + (LIFE.start + LIFE.end) / 2).1.len();
    assert!((1..OPEN).contains(&closed), "{closed}");
}

#[test]
fn sockets_are_bounded() {
    let now = Instant::now();
    let mut pool = Pool::default();
    let (socket, waiter) = (socket(), waiter());
    for _ in 0..MAX_SOCKETS {
        assert!(pool.has_room());
        pool.add(&socket, &waiter, now + SECOND, now);
    }
    assert!(!pool.has_room());
}

#[test]
fn whose_time_is_up_is_told_once() {
    let now = Instant::now();
    let mut pool = Pool::default();
    let (early, late) = (waiter(), waiter());
    let place = pool.add(&socket(), &early, now + SECOND / 10, now);
    assert!(pool.plan());
    assert_eq!(pool.planned(), Some(now + SECOND / 10));
    pool.add(&socket(), &late, now + SECOND / 4, now);
    assert!(!pool.plan(), "the driver looks earlier than that");
    assert!(pool.sweep(now).0.is_empty());
    let expired = pool.sweep(now + SECOND / 10).0;
    assert!(expired.len() == 1 && Arc::ptr_eq(&expired[0], &early));
    assert!(pool.sweep(now + SECOND / 10).0.is_empty());
    // Waited for once more.
    assert!(pool.planned() > Some(now + SECOND / 5));
    pool.wait_until(place, &early, now + SECOND / 5);
    assert!(pool.plan());
    assert_eq!(pool.sweep(now + SECOND / 5).0.len(), 1);
    pool.leave(place, &early, now);
    assert_eq!(pool.sweep(now + 2 * SECOND).0.len(), 1);
}

/// As when the pool has been emptied under a waiter, and its place given to another.
#[test]
fn who_leaves_takes_nobody_elses_place() {
    let now = Instant::now();
    let mut pool = Pool::default();
    let (own, other) = (waiter(), waiter());
    let place = pool.add(&socket(), &own, now + SECOND, now);
    pool.leave(place, &other, now);
    pool.wait_until(place, &other, now);
    assert_eq!(pool.waiting(), 1);
    assert!(pool.sweep(now).0.is_empty());
    pool.leave(place, &own, now);
    pool.leave(place, &own, now);
    assert_eq!((pool.waiting(), pool.waiting_on(place.slot)), (0, 0));
}

#[test]
fn datagrams_are_judged() {
    let now = Instant::now();
    let ours = response(0);
    let changed = |at: usize, to: u8| {
        let mut wire = ours.clone();
        wire[at] = to;
        wire
    };
    // What comes, and why it is nobody's.
    let cases = [
        (ours[..5].to_vec(), Ignored::Malformed),
        (ours[..14].to_vec(), Ignored::Malformed),
        // A question, not a response; a response to NOTIFY.
        (changed(2, 0), Ignored::NotAResponse),
        (changed(2, 0xa0), Ignored::NotAResponse),
        // Two questions; another name; another type.
        (changed(5, 2), Ignored::Question),
        (changed(13, b'b'), Ignored::Question),
        (changed(16, 28), Ignored::Question),
        (changed(13, b'A'), Ignored::Case),
    ];
    for (mut wire, reason) in cases {
        let mut pool = Pool::default();
        let waiter = waiter();
        let place = pool.add(&socket(), &waiter, now + SECOND, now);
        if wire.len() >= 2 {
            wire[..2].copy_from_slice(&place.id.to_be_bytes());
        }
        let verdict = pool.judge(place.slot, &wire);
        let Some(Verdict::Ignored(said, told)) = verdict else { panic!("{reason:?}") };
        assert_eq!((said, told.is_some()), (reason, reason == Ignored::Case));
        assert!(matches!(pool.judge(place.slot, &response(place.id)), Some(Verdict::Response(_))));
        assert!(matches!(
            pool.judge(place.slot, &response(place.id.wrapping_add(1))),
            Some(Verdict::Ignored(Ignored::Id, None))
        ));
        // Nobody waits any more.
        pool.leave(place, &waiter, now);
        assert!(matches!(pool.judge(place.slot, &response(place.id)), Some(Verdict::Ignored(Ignored::Late, None))));
    }
}

#[test]
fn a_socket_that_draws_forgeries_takes_no_more_questions() {
    let now = Instant::now();
    let mut pool = full(now);
    let places: Vec<Place> = (0..OPEN * 4).filter_map(|_| Some(pool.join(&waiter(), now + SECOND, now)?.1)).collect();
    let slot = places[0].slot;
    let waiting = pool.waiting_on(slot);
    let used: HashSet<u16> = places.iter().map(|place| place.id).collect();
    let forged = (0..).find(|id| !used.contains(id)).unwrap();
    for _ in 1..MAX_FORGED {
        assert!(matches!(pool.judge(slot, &response(forged)), Some(Verdict::Ignored(Ignored::Id, None))));
    }
    let verdict = pool.judge(slot, &response(forged));
    assert!(matches!(verdict, Some(Verdict::Suspicious(Ignored::Id, all)) if all.len() == waiting));
    // Told once; who waits goes on waiting.
    assert!(matches!(pool.judge(slot, &response(forged)), Some(Verdict::Ignored(..))));
    assert!(
        (0..OPEN * 4).filter_map(|_| pool.join_any(&waiter(), now + SECOND, now)).all(|(_, place)| place.slot != slot)
    );
    assert_eq!(pool.waiting_on(slot), waiting);
}
