#![allow(clippy::unwrap_used)]

mod past;
mod room;

use prometheus::Registry;
use strait_wire::{Answer, Ede, Message, QueryView, Rcode, ReplyLimits};

use super::shelves::MAX_PASSED_OVER;
use super::*;
use crate::testing::{Scripted, a_record, address, answer, ask, cname_record, query, soa_record};
use crate::{Ask, ResolveMetrics};

fn settings() -> CacheSettings {
    CacheSettings { min_ttl: 10, max_ttl: 100, max_negative_ttl: 50, ..CacheSettings::default() }
}

/// A cache with the routes it is for: all names are of one upstream.
struct Shelf {
    cache: AnswerCache,
    active: ArcSwap<ActiveTable>,
    evictions: IntCounter,
}

impl Shelf {
    fn new(settings: &CacheSettings) -> Self {
        Self::of(settings, ["."])
    }

    fn of<const N: usize>(settings: &CacheSettings, zones: [&str; N]) -> Self {
        let metrics = ResolveMetrics::new(&Registry::new()).unwrap();
        let routes = crate::resolver::kit::table(zones.map(|zone| (zone, "upstream", Scripted::silent())));
        let evictions = IntCounter::new("evicted", "evicted").unwrap();
        let cache = AnswerCache::new(settings, evictions.clone());
        Self { cache, active: ArcSwap::from_pointee(ActiveTable::first(routes, &metrics)), evictions }
    }

    /// An entry as an exchange makes it that begins now.
    fn entry(&self, answer: &Answer, lifetime: u64) -> Arc<Entry> {
        let active = self.active.load();
        let name = answer.to_message().unwrap().questions[0].name.to_lowercase();
        let zone = Arc::clone(&active.find(name.as_wire()).unwrap().zone);
        let lifetime = Duration::from_secs(lifetime);
        Arc::new(Entry::new(answer.clone(), zone, Vec::new(), lifetime, active.generation()))
    }

    /// Stores `answer` to `ask`.
    fn keep(&self, ask: &Ask, answer: &Answer, lifetime: u64) -> Arc<Entry> {
        let entry = self.entry(answer, lifetime);
        self.store(ask, &entry);
        entry
    }

    fn store(&self, ask: &Ask, entry: &Arc<Entry>) {
        self.cache.store(&CacheKey::of_ask(ask), entry, &self.active);
    }

    fn get(&self, ask: &Ask, now: Moment) -> Option<Arc<Entry>> {
        self.cache.get(&CacheKey::of_ask(ask), now).map(|(entry, _)| entry)
    }

    fn get_stale(&self, ask: &Ask, now: Moment) -> Option<Arc<Entry>> {
        self.cache.get_stale(&CacheKey::of_ask(ask), now)
    }
}

/// The question for the `i`th of names without end, and that there is none.
fn random(i: usize, zone: &str) -> (Ask, Answer) {
    let ask = ask(&format!("x{i}.{zone}"), "A");
    let absent = Answer::failure(ask.question.clone(), Rcode::NXDOMAIN, None);
    (ask, absent)
}

fn failure(ask: &Ask) -> Answer {
    Answer::failure(ask.question.clone(), Rcode::SERVFAIL, None)
}

/// Long after: past the time of every answer here.
fn after(entry: &Entry, seconds: u64) -> Moment {
    entry.stored_at + Duration::from_secs(seconds)
}

#[test]
fn positive_ttls_are_raised_and_lowered_into_the_range() {
    for (ttl, bounded) in [(0, 10), (5, 10), (60, 60), (5_000, 100)] {
        let (answer, lifetime) = settings().bound(&address(&ask("example.com", "A"), ttl, 1).unwrap());
        assert_eq!(lifetime, Duration::from_secs(bounded), "{ttl}");
        // Clients see what the cache goes by.
        assert_eq!(u64::from(answer.to_message().unwrap().answers[0].ttl), bounded, "{ttl}");
    }
}

#[test]
fn the_least_ttl_counts() {
    let ask = ask("example.com", "A");
    let records = vec![a_record(&ask.question.name, 70, 1), a_record(&ask.question.name, 20, 2)];
    let (_, lifetime) = settings().bound(&answer(&ask, Rcode::NOERROR, records, Vec::new()));
    assert_eq!(lifetime, Duration::from_secs(20));
}

#[test]
fn rfc2308_5_negative_answers_live_as_their_soa_says() {
    let ask = ask("no.example.com", "A");
    let cases = [
        // The lesser of the SOA's TTL and its minimum.
        (vec![soa_record("example.com", 40, 20)], 20),
        (vec![soa_record("example.com", 20, 40)], 20),
        // The bound of the settings.
        (vec![soa_record("example.com", 4_000, 4_000)], 50),
        // Without SOA not at all, and a positive minimum does not change that.
        (vec![], 0),
        // A zone that wants no negative caching is heard.
        (vec![soa_record("example.com", 40, 0)], 0),
    ];
    for rcode in [Rcode::NXDOMAIN, Rcode::NOERROR] {
        for (authorities, lives) in &cases {
            let (answer, lifetime) = settings().bound(&answer(&ask, rcode, Vec::new(), authorities.clone()));
            assert_eq!(lifetime, Duration::from_secs(*lives), "{rcode} {authorities:?}");
            for soa in answer.to_message().unwrap().authorities {
                assert_eq!(u64::from(soa.ttl), *lives, "{rcode} {authorities:?}");
            }
        }
    }
    // An alias before the absence counts as well.
    let alias = vec![cname_record(&ask.question.name, 7, "gone.example.com")];
    let (_, lifetime) =
        settings().bound(&answer(&ask, Rcode::NXDOMAIN, alias, vec![soa_record("example.com", 40, 40)]));
    assert_eq!(lifetime, Duration::from_secs(7));
}

#[test]
fn rfc9520_3_2_failures_live_one_second_to_five_minutes() {
    let failure = failure(&ask("example.com", "A"));
    for (set, lives) in [(0, 1), (1, 1), (30, 30), (3_000, 300)] {
        let settings = CacheSettings { failure_ttl: Duration::from_secs(set), ..settings() };
        assert_eq!(settings.bound(&failure).1, Duration::from_secs(lives));
    }
}

#[test]
fn the_key_ignores_case_and_tells_type_do_and_cd_apart() {
    let key = |packet: &[u8]| CacheKey::of_query(&QueryView::parse(packet).unwrap()).as_bytes().to_vec();
    let plain = query("web.example.com", "A");
    assert_eq!(key(&plain), key(&query("WEB.example.COM", "A")));
    assert_ne!(key(&plain), key(&query("web.example.com", "AAAA")));
    assert_ne!(key(&plain), key(&query("web.example.net", "A")));
    let (mut checking_disabled, mut dnssec_ok) = (plain.clone(), plain.clone());
    checking_disabled[3] |= 0x10;
    // The flags of the OPT record are the fourth and third octet from its end.
    let flags_at = dnssec_ok.len() - 4;
    dnssec_ok[flags_at] |= 0x80;
    assert_ne!(key(&plain), key(&checking_disabled));
    assert_ne!(key(&plain), key(&dnssec_ok));
    assert_ne!(key(&checking_disabled), key(&dnssec_ok));
    // What a source is asked is kept where a client looks for it.
    assert_eq!(key(&plain), CacheKey::of_ask(&ask("web.example.com", "A")).as_bytes());
}

#[test]
fn an_entry_is_fresh_until_its_life_is_over() {
    let (shelf, ask) = (Shelf::new(&settings()), ask("example.com", "A"));
    let entry = shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    for seconds in [0, 59] {
        assert_eq!(u64::from(shelf.get(&ask, after(&entry, seconds)).unwrap().age(after(&entry, seconds))), seconds);
        // What is fresh is not stale.
        assert!(shelf.get_stale(&ask, after(&entry, seconds)).is_none());
    }
    assert!(shelf.get(&ask, after(&entry, 60)).is_none());
}

#[test]
fn what_may_not_be_told_twice_is_not_kept() {
    let (shelf, ask) = (Shelf::new(&settings()), ask("example.com", "A"));
    let entry = shelf.keep(&ask, &address(&ask, 0, 1).unwrap(), 0);
    assert!(shelf.get(&ask, entry.stored_at).is_none());
    assert!(shelf.get_stale(&ask, entry.stored_at).is_none());
    assert_eq!(shelf.cache.held().0, 0);
}

#[test]
fn size_zero_turns_the_cache_off() {
    let shelf = Shelf::new(&CacheSettings { size: 0, ..settings() });
    let ask = ask("example.com", "A");
    let entry = shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    assert!(shelf.get(&ask, entry.stored_at).is_none());
    assert_eq!(shelf.cache.held(), (0, 0));
}

#[test]
fn the_budget_is_in_bytes_and_is_kept() {
    let size = 64 << 10;
    let shelf = Shelf::new(&CacheSettings { size, ..settings() });
    for i in 0..1_000 {
        let ask = ask(&format!("n{i}.example.com"), "A");
        shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    }
    let (entries, bytes) = shelf.cache.held();
    assert!(entries > 50 && bytes <= size, "{entries} entries, {bytes} bytes");
    assert_eq!(shelf.evictions.get() + entries, 1_000);
    assert_eq!((shelf.cache.flush(&Flush::All), shelf.cache.held()), (entries, (0, 0)));
}

#[test]
fn popular_answers_are_asked_for_again_in_the_last_tenth_of_their_life_and_once() {
    let (shelf, ask) = (Shelf::new(&CacheSettings::default()), ask("example.com", "A"));
    // Hits, when, and whether it is asked for again.
    let cases = [(3, 54, true), (9, 59, true), (2, 54, false), (3, 53, false), (3, 60, false)];
    for (hits, seconds, refreshed) in cases {
        let entry = shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
        for _ in 0..hits {
            shelf.get(&ask, entry.stored_at).unwrap();
        }
        let claims = [(); 2].map(|()| shelf.cache.claim_refresh(&entry, after(&entry, seconds)));
        assert_eq!(claims, [refreshed, false], "{hits} hits, {seconds} s");
        // The next is not the successor of one that was told.
        shelf.cache.flush(&Flush::All);
    }
    let off = Shelf::new(&CacheSettings { prefetch_hits: 0, ..CacheSettings::default() });
    let entry = off.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    assert!(!off.cache.claim_refresh(&entry, after(&entry, 59)));
}

#[test]
fn rfc8914_4_14_only_failures_are_marked_as_cached() {
    let (shelf, ask, packet) = (Shelf::new(&settings()), ask("example.com", "A"), query("example.com", "A"));
    for (answer, marked) in [(address(&ask, 60, 1).unwrap(), None), (failure(&ask), Some(Ede::CACHED_ERROR))] {
        let (entry, mut out) = (shelf.entry(&answer, 60), Vec::new());
        let view = QueryView::parse(&packet).unwrap();
        entry.write_cached(&view, entry.stored_at, ReplyLimits::stream(), &mut out);
        assert_eq!(Message::parse(&out).unwrap().edns.unwrap().ede().map(|ede| ede.code), marked);
    }
}

#[test]
fn a_new_answer_takes_the_place_of_the_one_before() {
    let (shelf, ask) = (Shelf::new(&settings()), ask("example.com", "A"));
    shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    let held = shelf.cache.held();
    let next = shelf.keep(&ask, &address(&ask, 60, 2).unwrap(), 60);
    assert_eq!(shelf.cache.held(), held);
    assert!(Arc::ptr_eq(&shelf.get(&ask, next.stored_at).unwrap(), &next));
}

#[test]
fn answers_of_zones_that_are_gone_are_cleared_away() {
    let shelf = Shelf::of(&settings(), ["gone.test", "stays.test"]);
    for zone in ["gone.test", "stays.test"] {
        let (ask, absent) = random(1, zone);
        shelf.keep(&ask, &absent, 60);
    }
    let metrics = ResolveMetrics::new(&Registry::new()).unwrap();
    let routes = Arc::clone(shelf.active.load().table());
    let stays = routes.iter().filter(|route| route.zone.to_string() == "stays.test.");
    let next = Arc::new(crate::RouteTable::new(stays.map(|route| crate::Route::clone(route))).0);
    let next = shelf.active.load().followed_by(&next, &metrics);
    shelf.active.store(Arc::new(next));
    shelf.cache.follow_routes(&shelf.active.load());
    let held = shelf.cache.holding();
    let zones: Vec<&str> = held.zones.iter().map(|(zone, _, _)| zone.as_ref()).collect();
    assert_eq!((held.entries, zones), (1, vec!["stays.test."]));
    assert_eq!((held.entries, held.bytes), shelf.cache.held());
}

#[test]
fn entries_in_one_slot_are_told_apart_by_the_whole_question() {
    let shelf = Shelf::new(&settings());
    // Types that differ in what would be the case of a letter (RFC 4343 is about names only).
    let (a, b) = (ask("a.example.com", "TYPE65"), ask("a.example.com", "TYPE97"));
    let c = ask("b.example.com", "TYPE65");
    let entry = shelf.entry(&failure(&a), 60);
    let answers = [&a, &b, &c].map(|ask| entry.answers(&CacheKey::of_ask(ask)));
    assert_eq!(answers, [true, false, false]);
    // In whatever case it was made.
    let upper = Answer::failure(crate::testing::question("A.EXAMPLE.com", "TYPE65"), Rcode::SERVFAIL, None);
    assert!(shelf.entry(&upper, 60).answers(&CacheKey::of_ask(&a)));
}

#[test]
fn a_flush_takes_names_zones_or_all_and_what_holds_their_records() {
    let names = ["a.test", "b.a.test", "c.test", "ca.test"];
    let cases = [
        (Flush::All, vec![]),
        (Flush::Name("A.test".parse().unwrap()), vec!["b.a.test", "c.test", "ca.test"]),
        (Flush::Zone("a.test".parse().unwrap()), vec!["c.test", "ca.test"]),
        (Flush::Zone("c.test".parse().unwrap()), vec!["a.test", "b.a.test", "ca.test"]),
        (Flush::Zone("test".parse().unwrap()), vec![]),
        // The alias at ca.test leads there.
        (Flush::Name("target.example".parse().unwrap()), vec!["a.test", "b.a.test", "c.test"]),
        (Flush::Zone("example".parse().unwrap()), vec!["a.test", "b.a.test", "c.test"]),
        (Flush::Name("target.example.net".parse().unwrap()), names.to_vec()),
    ];
    for (flush, left) in cases {
        let shelf = Shelf::new(&settings());
        for name in names {
            let asked = ask(name, "A");
            let target = "target.example".parse().unwrap();
            let records = match name {
                "ca.test" => vec![cname_record(&asked.question.name, 60, "target.example"), a_record(&target, 60, 1)],
                _ => vec![a_record(&asked.question.name, 60, 1)],
            };
            shelf.keep(&asked, &answer(&asked, Rcode::NOERROR, records, vec![]), 60);
        }
        let now = Moment::now();
        assert_eq!(shelf.cache.flush(&flush), (names.len() - left.len()) as u64, "{flush:?}");
        let found: Vec<&str> = names.into_iter().filter(|name| shelf.get(&ask(name, "A"), now).is_some()).collect();
        assert_eq!(found, left, "{flush:?}");
        assert_eq!(shelf.cache.held().0, left.len() as u64, "{flush:?}");
    }
}

#[test]
fn what_was_asked_before_a_flush_is_not_kept_after_it() {
    let (shelf, ask) = (Shelf::new(&settings()), ask("example.com", "A"));
    let before = shelf.entry(&address(&ask, 60, 1).unwrap(), 60);
    shelf.active.store(Arc::new(shelf.active.load().forgetting()));
    shelf.cache.flush(&Flush::Name("another.example".parse().unwrap()));
    shelf.store(&ask, &before);
    assert!(shelf.get(&ask, before.stored_at).is_none());
    let after = shelf.keep(&ask, &address(&ask, 60, 1).unwrap(), 60);
    assert!(shelf.get(&ask, after.stored_at).is_some());
}

#[test]
fn an_answer_without_a_life_is_told_to_who_has_waited_as_it_came() {
    let (shelf, ask, packet) = (Shelf::new(&settings()), ask("example.com", "A"), query("example.com", "A"));
    let (entry, mut out) = (shelf.entry(&address(&ask, 0, 1).unwrap(), 0), Vec::new());
    entry.write_awaited(&QueryView::parse(&packet).unwrap(), entry.stored_at, ReplyLimits::stream(), &mut out);
    let told = Message::parse(&out).unwrap();
    assert_eq!((told.answers[0].ttl, told.edns.unwrap().ede()), (0, None));
}
