#![allow(clippy::unwrap_used)]

use prometheus::Registry;
use strait_wire::Rcode;

use super::*;
use crate::ResolveMetrics;
use crate::testing::{a_record, address, answer, ask, cname_record, query, soa_record};

fn settings() -> CacheSettings {
    CacheSettings { min_ttl: 10, max_ttl: 100, max_negative_ttl: 50, ..CacheSettings::default() }
}

fn evicted() -> IntCounter {
    IntCounter::new("evicted", "evicted").unwrap()
}

fn zone() -> Arc<ZoneState> {
    let metrics = ResolveMetrics::new(&Registry::new()).unwrap();
    Arc::new(ZoneState::new("example.com.", "upstream", &metrics))
}

fn entry(answer: &Answer, lifetime: u64) -> Arc<Entry> {
    Arc::new(Entry::new(answer.clone(), zone(), Vec::new(), Duration::from_secs(lifetime), 1))
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
    let failure = Answer::failure(ask("example.com", "A").question, Rcode::SERVFAIL, None);
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
fn an_entry_is_told_until_its_life_is_over() {
    let (cache, ask) = (AnswerCache::new(&settings(), evicted()), ask("example.com", "A"));
    let (key, entry) = (CacheKey::of_ask(&ask), entry(&address(&ask, 60, 1).unwrap(), 60));
    cache.insert(&key, &entry);
    let at = |seconds| entry.stored_at + Duration::from_secs(seconds);
    assert_eq!(cache.get(&key, at(0)).unwrap().age(at(0)), 0);
    assert_eq!(cache.get(&key, at(59)).unwrap().age(at(59)), 59);
    assert!(cache.get(&key, at(60)).is_none());
}

#[test]
fn what_may_not_be_told_twice_is_not_kept() {
    let (cache, ask) = (AnswerCache::new(&settings(), evicted()), ask("example.com", "A"));
    let (key, entry) = (CacheKey::of_ask(&ask), entry(&address(&ask, 0, 1).unwrap(), 0));
    cache.insert(&key, &entry);
    assert!(cache.get(&key, entry.stored_at).is_none());
    assert_eq!(cache.held().0, 0);
}

#[test]
fn size_zero_turns_the_cache_off() {
    let cache = AnswerCache::new(&CacheSettings { size: 0, ..settings() }, evicted());
    let ask = ask("example.com", "A");
    let (key, entry) = (CacheKey::of_ask(&ask), entry(&address(&ask, 60, 1).unwrap(), 60));
    cache.insert(&key, &entry);
    assert!(cache.get(&key, entry.stored_at).is_none());
    assert_eq!(cache.held(), (0, 0));
}

#[test]
fn the_budget_is_in_bytes_and_is_kept() {
    let size = 64 << 10;
    let evictions = evicted();
    let cache = AnswerCache::new(&CacheSettings { size, ..settings() }, evictions.clone());
    for i in 0..1_000 {
        let ask = ask(&format!("n{i}.example.com"), "A");
        cache.insert(&CacheKey::of_ask(&ask), &entry(&address(&ask, 60, 1).unwrap(), 60));
    }
    let (entries, bytes) = cache.held();
    assert!(entries > 50 && bytes <= size, "{entries} entries, {bytes} bytes");
    assert!(evictions.get() > 0);
    cache.clear();
    assert_eq!(cache.held().0, 0);
}

#[test]
fn rfc8914_4_14_only_failures_are_marked_as_cached() {
    let ask = ask("example.com", "A");
    assert!(entry(&address(&ask, 60, 1).unwrap(), 60).cached_ede().is_none());
    let failure = Answer::failure(ask.question, Rcode::SERVFAIL, None);
    assert_eq!(entry(&failure, 1).cached_ede().map(|ede| ede.code), Some(Ede::CACHED_ERROR));
}
