//! Answers past their time, and failures in a row.

use super::*;

#[test]
fn rfc8767_5_answers_stay_for_a_while_past_their_time() {
    let settings = CacheSettings::default();
    let (shelf, ask) = (Shelf::new(&settings), ask("example.com", "A"));
    let entry = shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    let keep_for = settings.stale.keep_for.as_secs();
    for (seconds, told) in [(59, false), (60, true), (60 + keep_for - 1, true), (60 + keep_for, false)] {
        assert_eq!(shelf.get_stale(&ask, after(&entry, seconds)).is_some(), told, "{seconds}");
    }
}

#[test]
fn failures_are_never_told_past_their_time() {
    let (shelf, ask) = (Shelf::new(&settings()), ask("example.com", "A"));
    let entry = shelf.keep(&ask, &failure(&ask), 5);
    assert!(shelf.get(&ask, after(&entry, 4)).is_some());
    assert!(shelf.get_stale(&ask, after(&entry, 5)).is_none());
}

#[test]
fn rfc8767_5_a_failure_leaves_the_answer_before_it_and_is_rechecked_after_a_while() {
    let (shelf, ask) = (Shelf::new(&CacheSettings::default()), ask("example.com", "A"));
    let entry = shelf.keep(&ask, &address(&ask, 1, 1).unwrap(), 1);
    assert!(shelf.get(&ask, after(&entry, 2)).is_none(), "past its time, and nobody has failed");
    // The failure is made now: a second or so before the times looked at.
    shelf.keep(&ask, &failure(&ask), 1);
    for (seconds, told) in [(1, true), (29, true), (31, false)] {
        let found = shelf.get(&ask, after(&entry, seconds));
        assert_eq!(found.is_some_and(|found| Arc::ptr_eq(&found, &entry)), told, "{seconds}");
        assert!(shelf.get_stale(&ask, after(&entry, seconds)).is_some(), "{seconds}");
    }
    // An answer takes its place.
    let next = shelf.keep(&ask, &address(&ask, 60, 2).unwrap(), 60);
    assert!(Arc::ptr_eq(&shelf.get(&ask, after(&next, 0)).unwrap(), &next));
}

#[test]
fn rfc8767_4_stale_answers_say_so_and_live_30_seconds_at_most() {
    let cases = [
        ("a.example.com", address(&ask("a.example.com", "A"), 600, 1).unwrap(), Ede::STALE_ANSWER, 30),
        ("b.example.com", address(&ask("b.example.com", "A"), 7, 1).unwrap(), Ede::STALE_ANSWER, 7),
        (
            "c.example.com",
            answer(&ask("c.example.com", "A"), Rcode::NOERROR, vec![], vec![soa_record("example.com", 60, 60)]),
            Ede::STALE_ANSWER,
            30,
        ),
        (
            "d.example.com",
            answer(&ask("d.example.com", "A"), Rcode::NXDOMAIN, vec![], vec![soa_record("example.com", 60, 60)]),
            Ede::STALE_NXDOMAIN,
            30,
        ),
    ];
    let shelf = Shelf::new(&CacheSettings::default());
    for (name, answer, code, ttl) in cases {
        let (packet, entry) = (query(name, "A"), shelf.entry(&answer, u64::from(answer.ttl())));
        let mut out = Vec::new();
        let later = after(&entry, 10_000);
        entry.write_cached(&QueryView::parse(&packet).unwrap(), later, ReplyLimits::stream(), &mut out);
        let told = Message::parse(&out).unwrap();
        assert!(told.records().all(|record| record.ttl == ttl), "{name}: {told:?}");
        assert_eq!(told.edns.unwrap().ede().map(|ede| ede.code), Some(code), "{name}");
        // The same to who has waited, when the exchange has found it in the cache.
        let mut awaited = Vec::new();
        entry.write_awaited(&QueryView::parse(&packet).unwrap(), later, ReplyLimits::stream(), &mut awaited);
        assert_eq!(awaited, out, "{name}");
        // As a part of another answer.
        let part = entry.as_stale();
        assert_eq!((part.ttl(), part.ede().map(|ede| ede.code)), (ttl, Some(code)), "{name}");
    }
}

#[test]
fn rfc9520_3_2_failures_in_a_row_live_longer_and_longer() {
    let settings = CacheSettings { max_failure_ttl: Duration::from_secs(6), ..settings() };
    let (shelf, ask) = (Shelf::new(&settings), ask("example.com", "A"));
    for lives in [1, 2, 4, 6, 6] {
        let entry = shelf.keep(&ask, &failure(&ask), 1);
        assert_eq!(shelf.get(&ask, entry.stored_at).unwrap().lifetime(), Duration::from_secs(lives));
    }
    // An answer in between ends the row.
    shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    shelf.cache.flush(&Flush::All);
    let entry = shelf.keep(&ask, &failure(&ask), 1);
    assert_eq!(shelf.get(&ask, entry.stored_at).unwrap().lifetime(), Duration::from_secs(1));
}
