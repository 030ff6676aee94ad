#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "figures for whoever reads the output")]

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use prometheus::Registry;
use strait_wire::{Answer, Rcode};

use super::*;
use crate::ResolveMetrics;
use crate::active::ZoneState;
use crate::testing::question;

fn entry() -> Arc<Entry> {
    let metrics = ResolveMetrics::new(&Registry::new()).unwrap();
    let zone = Arc::new(ZoneState::new("test", "test", &metrics));
    let answer = Answer::failure(question("a.example.com", "A"), Rcode::SERVFAIL, None);
    Arc::new(Entry::new(answer, zone, Vec::new(), Duration::from_secs(60), 0))
}

/// Another entry like it.
fn another(like: &Arc<Entry>) -> Arc<Entry> {
    Arc::new(Entry::new(like.answer.clone(), Arc::clone(&like.zone), Vec::new(), like.lifetime(), 0))
}

/// Numbers without order, the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn slot(&mut self) -> Slot {
        Slot(self.next())
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }
}

#[test]
fn it_holds_what_a_map_would_hold() {
    let (table, like, mut numbers) = (Table::new(), entry(), Numbers(1));
    let mut map: HashMap<u64, Arc<Entry>> = HashMap::new();
    let mut slots = vec![numbers.slot()];
    for _ in 0..100_000 {
        let known = slots[numbers.below(slots.len())];
        // Of ten steps six are about a new slot, and seven put something in.
        let slot = if numbers.below(10) < 6 { numbers.slot() } else { known };
        if numbers.below(10) < 7 {
            let entry = another(&like);
            table.put(slot, &entry);
            map.insert(slot.bits(), entry);
            slots.push(slot);
        } else {
            table.remove(slot);
            map.remove(&slot.bits());
        }
    }
    assert!(map.len() > 10_000);
    for slot in slots {
        let (held, expected) = (table.get(slot), map.get(&slot.bits()));
        assert_eq!(held.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr));
    }
    assert_eq!(table.held(), map.len(), "nothing else is in it");
}

#[test]
fn slots_that_differ_in_the_flags_only_are_told_apart() {
    let (table, like) = (Table::new(), entry());
    let entries: Vec<_> = (0..4).map(|flags| (Slot(0xfeed_beef_0000 | flags), another(&like))).collect();
    for (slot, entry) in &entries {
        table.put(*slot, entry);
    }
    for (slot, entry) in &entries {
        assert!(Arc::ptr_eq(&table.get(*slot).unwrap(), entry));
    }
    table.remove(entries[2].0);
    assert!(table.get(entries[2].0).is_none());
    assert!(Arc::ptr_eq(&table.get(entries[3].0).unwrap(), &entries[3].1));
}

#[test]
fn what_it_takes_per_entry_is_as_stated() {
    let (table, like, mut numbers) = (Table::new(), entry(), Numbers(2));
    for held in [10_000, 30_000, 100_000] {
        while table.held() < held {
            (0..5_000).for_each(|_| table.put(numbers.slot(), &another(&like)));
        }
        let octets: usize = table.segments.iter().map(|s| s.load().buckets.len() * size_of::<Bucket>()).sum();
        let of_each = octets / held;
        println!("{of_each} octets for each of {held}");
        assert!((PER_ENTRY / 2..PER_ENTRY * 3 / 2).contains(&of_each), "{of_each} octets for each of {held}");
    }
}

impl Table {
    fn held(&self) -> usize {
        let of_segment = |segment: &Segment| {
            segment.buckets.iter().map(|bucket| bucket.held().into_iter().flatten().count()).sum::<usize>()
        };
        self.segments.iter().map(|segment| of_segment(&segment.load())).sum()
    }
}

#[test]
fn an_entry_is_held_by_nothing_else_when_it_is_gone() {
    let (table, like, mut numbers) = (Table::new(), entry(), Numbers(3));
    let entries: Vec<_> = (0..10_000).map(|_| (numbers.slot(), another(&like))).collect();
    entries.iter().for_each(|(slot, entry)| table.put(*slot, entry));
    entries.iter().for_each(|(slot, _)| table.remove(*slot));
    assert!(entries.iter().all(|(_, entry)| Arc::strong_count(entry) == 1));
}

#[test]
fn who_looks_up_meanwhile_never_finds_what_another_slot_holds() {
    let (table, like, mut numbers, done) = (Table::new(), entry(), Numbers(4), AtomicBool::new(false));
    let stay: Vec<_> = (0..1_000).map(|_| (numbers.slot(), another(&like))).collect();
    stay.iter().for_each(|(slot, entry)| table.put(*slot, entry));
    let come_and_go: Vec<Slot> = (0..10_000).map(|_| numbers.slot()).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for (slot, entry) in &stay {
                        // None: its bucket was being changed, by a thread that had to pause.
                        assert!(table.get(*slot).is_none_or(|found| Arc::ptr_eq(&found, entry)));
                    }
                    for slot in &come_and_go {
                        assert!(table.get(*slot).is_none_or(|found| found.slot() == *slot));
                    }
                }
            });
        }
        for _ in 0..5 {
            come_and_go.iter().for_each(|slot| table.put(*slot, &another(&like)));
            come_and_go.iter().for_each(|slot| table.remove(*slot));
        }
        done.store(true, Ordering::Relaxed);
    });
    for (slot, entry) in &stay {
        assert!(table.get(*slot).is_some_and(|found| Arc::ptr_eq(&found, entry)));
    }
}

#[test]
fn a_bucket_is_one_line_of_the_processors_cache() {
    assert_eq!((size_of::<Bucket>(), align_of::<Bucket>()), (64, 64));
}

#[test]
fn who_looks_up_does_not_wait_for_who_changes() {
    let (table, entry, slot) = (Table::new(), entry(), Slot(7 << 48));
    table.put(slot, &entry);
    let segment = table.segment(slot).load_full();
    let changing = segment.pair(slot).map(|bucket| bucket.entries.write());
    assert!(table.get(slot).is_none());
    drop(changing);
    assert!(table.get(slot).is_some());
}

#[test]
fn octets_are_found_in_a_word() {
    for octet in [0_u8, 1, 0x7f, 0x80, 0xff] {
        for at in 0..8 {
            let mut word = [octet ^ 0x55; 8];
            word[at] = octet;
            let found = octets_equal(u64::from_le_bytes(word), octet);
            assert_eq!(found.trailing_zeros() as usize / 8, at, "{octet} at {at}");
        }
        assert_eq!(octets_equal(u64::from_le_bytes([octet ^ 0x55; 8]), octet), 0);
    }
}
