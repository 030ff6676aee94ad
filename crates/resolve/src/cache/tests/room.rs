//! Who goes for want of room.

use super::*;

#[test]
fn an_answer_that_is_larger_than_the_budget_is_not_kept() {
    let shelf = Shelf::new(&CacheSettings { size: 2_000, ..settings() });
    let small = ask("small.example.com", "A");
    shelf.keep(&small, &address(&small, 60, 1).unwrap(), 60);
    let large = ask("large.example.com", "A");
    let records = (0..200).map(|last| a_record(&large.question.name, 60, last)).collect();
    let entry = shelf.keep(&large, &answer(&large, Rcode::NOERROR, records, vec![]), 60);
    assert!(shelf.get(&large, entry.stored_at).is_none());
    // And nothing has gone for it.
    assert!(shelf.get(&small, entry.stored_at).is_some());
}

#[test]
fn a_flood_of_random_names_in_one_zone_leaves_the_others_alone() {
    // Room for some 2,000 entries.
    let shelf = Shelf::of(&CacheSettings { size: 1 << 20, ..settings() }, [".", "flooded.test", "quiet.test"]);
    let quiet: Vec<Ask> = (0..300).map(|i| random(i, "quiet.test").0).collect();
    // Asked once each, before the flood or in the midst of it.
    let keep = |ask: &Ask| shelf.keep(ask, &address(ask, 3_600, 1).unwrap(), 3_600);
    quiet[..150].iter().for_each(|ask| drop(keep(ask)));
    for i in 0..50_000 {
        let (ask, absent) = random(i, "flooded.test");
        let entry = shelf.keep(&ask, &absent, 3_600);
        // Asking twice does not help the flood.
        shelf.get(&ask, entry.stored_at);
        if i == 25_000 {
            quiet[150..].iter().for_each(|ask| drop(keep(ask)));
        }
    }
    let now = Moment::now();
    let left = quiet.iter().filter(|ask| shelf.get(ask, now).is_some()).count();
    assert_eq!(left, quiet.len());
    let (_, bytes) = shelf.cache.held();
    assert!(bytes <= 1 << 20, "{bytes}");
    // The room that nobody else wants is the flood's.
    assert!(bytes > (1 << 20) - 2_000, "{bytes}");
}

#[test]
fn a_zone_that_comes_late_gets_as_much_room_as_the_others() {
    let shelf = Shelf::of(&CacheSettings { size: 1 << 20, ..settings() }, ["early.test", "late.test"]);
    for zone in ["early.test", "late.test"] {
        for i in 0..5_000 {
            let (ask, absent) = random(i, zone);
            shelf.keep(&ask, &absent, 3_600);
        }
    }
    let held = shelf.cache.holding();
    assert_eq!((held.entries, held.bytes), shelf.cache.held());
    let shares: Vec<u64> = held.zones.iter().map(|(_, _, bytes)| bytes * 100 / held.bytes).collect();
    assert!(shares.len() == 2 && shares.iter().all(|share| (49..=51).contains(share)), "{held:?}");
}

#[test]
fn names_in_use_outlast_names_asked_for_once() {
    let shelf = Shelf::new(&CacheSettings { size: 1 << 20, ..settings() });
    let used: Vec<Ask> = (0..300).map(|i| random(i, "used.test").0).collect();
    for ask in &used {
        let entry = shelf.keep(ask, &address(ask, 3_600, 1).unwrap(), 3_600);
        shelf.get(ask, entry.stored_at).unwrap();
    }
    let mut now = Moment::now();
    for i in 0..20_000 {
        let (ask, absent) = random(i, "once.test");
        now = shelf.keep(&ask, &absent, 3_600).stored_at;
        // Each now and then.
        shelf.get(&used[i % used.len()], now);
    }
    let left = used.iter().filter(|ask| shelf.get(ask, now).is_some()).count();
    assert_eq!(left, used.len());
}

#[test]
fn room_is_made_in_bounded_time_however_many_names_are_in_use() {
    let shelf = Shelf::new(&CacheSettings { size: 1 << 20, ..settings() });
    let mut asked = Vec::new();
    while shelf.evictions.get() == 0 {
        let (ask, absent) = random(asked.len(), "used.test");
        let entry = shelf.keep(&ask, &absent, 3_600);
        shelf.get(&ask, entry.stored_at).unwrap();
        asked.push(ask);
    }
    assert!(asked.len() > MAX_PASSED_OVER * 3 / 2, "{}", asked.len());
    let (now, is_gone) = (Moment::now(), |shelf: &Shelf, ask: &Ask, now| shelf.get(ask, now).is_none());
    let gone: Vec<usize> = (0..asked.len()).filter(|at| is_gone(&shelf, &asked[*at], now)).collect();
    // So many are passed over, and the next goes although it is in use.
    assert_eq!(gone, [MAX_PASSED_OVER]);
}

#[test]
fn a_name_in_use_is_not_the_next_to_go_when_its_answer_is_new() {
    let shelf = Shelf::new(&CacheSettings { size: 1 << 16, ..settings() });
    let (popular, answer) = random(0, "used.test");
    let entry = shelf.keep(&popular, &answer, 3_600);
    shelf.get(&popular, entry.stored_at).unwrap();
    let next = shelf.keep(&popular, &answer, 3_600);
    for i in 0.. {
        let (ask, absent) = random(i, "once.test");
        shelf.keep(&ask, &absent, 3_600);
        if shelf.evictions.get() > 0 {
            break;
        }
    }
    assert!(shelf.get(&popular, next.stored_at).is_some());
}
