//! Who goes for want of room.
//!
//! Every zone has a shelf: its entries in the order they came. When the budget is spent, the zone that holds most gives,
//! so that a flood of names in one zone ends where that zone holds as much as any other, and takes nothing from those
//! that hold less. Within the shelf, what was never told again goes first (as in S3-FIFO: new entries wait in a queue
//! of their own, and only those that are told move to the long one), so that names asked for once do not drive out
//! names in use.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Entry;
use super::table::{Slot, Table};
use crate::active::ZoneState;
use crate::moment::Moment;

/// Of a zone's entries, one in so many is new; more than that, and the new ones go first.
const NEW_PART: usize = 10;

/// So many entries in use are passed over for one that is not; then the next goes, in use or not. A bound on the work
/// of one insertion: a tenth of a millisecond or two.
pub(super) const MAX_PASSED_OVER: usize = 1_000;

/// What the zones hold. Exact: all that is put into the table and taken out of it goes through here.
pub(super) struct Shelves {
    budget: u64,
    bytes: u64,
    /// By the address of the zone, which the shelf holds on to.
    by_zone: HashMap<usize, Shelf, RandomState>,
}

/// One zone's entries.
struct Shelf {
    zone: Arc<ZoneState>,
    bytes: u64,
    entries: u64,
    /// In the order they came. Slots whose entry has gone, or is another zone's now, are passed over.
    new: VecDeque<Slot>,
    in_use: VecDeque<Slot>,
}

impl Shelves {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, bytes: 0, by_zone: HashMap::default() }
    }

    /// Puts `entry` into its place, in place of what is there. What has to go for it is told to `gone`.
    pub(super) fn put(&mut self, table: &Table, slot: Slot, entry: &Arc<Entry>, gone: impl Fn(&Entry)) {
        let weight = entry.weight();
        if weight > self.budget {
            return;
        }
        let before = loop {
            let before = table.get(slot);
            if self.bytes + weight <= self.budget + before.as_ref().map_or(0, |before| before.weight()) {
                break before;
            }
            match self.take_from_the_richest(table, &entry.zone) {
                Some(victim) => gone(&victim),
                None => return,
            }
        };
        if let Some(before) = &before {
            entry.succeed(before);
            self.count_out(before);
        }
        let stays = before.is_some_and(|before| Arc::ptr_eq(&before.zone, &entry.zone));
        let shelf = self.shelf(&entry.zone);
        if !stays {
            shelf.new.push_back(slot);
        }
        shelf.bytes += weight;
        shelf.entries += 1;
        self.bytes += weight;
        table.put(slot, entry);
    }

    /// Takes out what `is_meant` picks; how many that were.
    pub(super) fn take_out(&mut self, table: &Table, is_meant: impl Fn(&Entry) -> bool) -> u64 {
        let mut taken = Vec::new();
        for shelf in self.by_zone.values_mut() {
            let queues = [std::mem::take(&mut shelf.new), std::mem::take(&mut shelf.in_use)];
            let mut stays = |slot: &Slot| match shelf.entry(table, *slot) {
                Some(entry) if is_meant(&entry) => {
                    table.remove(*slot);
                    taken.push(entry);
                    false
                }
                found => found.is_some(),
            };
            let [new, in_use] = queues.map(|queue| queue.into_iter().filter(&mut stays).collect());
            (shelf.new, shelf.in_use) = (new, in_use);
        }
        taken.iter().for_each(|entry| self.count_out(entry));
        taken.len() as u64
    }

    /// Takes out all that is of zones that `is_there` knows no more.
    pub(super) fn clear_away(&mut self, table: &Table, is_there: impl Fn(&Arc<ZoneState>) -> bool) {
        let is_gone = |shelf: &Shelf| !is_there(&shelf.zone);
        let gone: Vec<usize> = self.by_zone.iter().filter(|(_, shelf)| is_gone(shelf)).map(|(at, _)| *at).collect();
        for shelf in gone.iter().filter_map(|at| self.by_zone.remove(at)) {
            for slot in shelf.new.iter().chain(&shelf.in_use) {
                if shelf.entry(table, *slot).is_some() {
                    table.remove(*slot);
                }
            }
            self.bytes -= shelf.bytes;
        }
    }

    /// Entries and bytes.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.by_zone.values().map(|shelf| shelf.entries).sum(), self.bytes)
    }

    /// Entries and bytes of each zone.
    pub(super) fn by_zone(&self) -> impl Iterator<Item = (&ZoneState, u64, u64)> {
        self.by_zone.values().map(|shelf| (&*shelf.zone, shelf.entries, shelf.bytes))
    }

    /// One entry of the zone that holds most; of `own` when that has half of everything, whatever the others have.
    fn take_from_the_richest(&mut self, table: &Table, own: &Arc<ZoneState>) -> Option<Arc<Entry>> {
        let own = address(own);
        let richest = match self.by_zone.get(&own) {
            Some(shelf) if shelf.bytes >= self.bytes / 2 => own,
            _ => *self.by_zone.iter().max_by_key(|(_, shelf)| shelf.bytes)?.0,
        };
        let (slot, entry) = self.by_zone.get_mut(&richest)?.pick(table)?;
        table.remove(slot);
        self.count_out(&entry);
        Some(entry)
    }

    fn count_out(&mut self, entry: &Entry) {
        let weight = entry.weight();
        let shelf = self.shelf(&entry.zone);
        shelf.bytes -= weight;
        shelf.entries -= 1;
        self.bytes -= weight;
    }

    fn shelf(&mut self, zone: &Arc<ZoneState>) -> &mut Shelf {
        self.by_zone.entry(address(zone)).or_insert_with(|| Shelf {
            zone: Arc::clone(zone),
            bytes: 0,
            entries: 0,
            new: VecDeque::new(),
            in_use: VecDeque::new(),
        })
    }
}

impl Shelf {
    /// The next to go, off its queue.
    fn pick(&mut self, table: &Table) -> Option<(Slot, Arc<Entry>)> {
        let (now, mut passed_over) = (Moment::now(), 0);
        loop {
            let is_new = self.in_use.is_empty() || self.new.len() > (self.new.len() + self.in_use.len()) / NEW_PART;
            let slot = if is_new { self.new.pop_front() } else { self.in_use.pop_front() }?;
            let Some(entry) = self.entry(table, slot) else { continue };
            if passed_over < MAX_PASSED_OVER && !entry.is_stale(now) && entry.take_hits() {
                passed_over += 1;
                self.in_use.push_back(slot);
                continue;
            }
            return Some((slot, entry));
        }
    }

    /// The entry in that place, if it is still this zone's.
    fn entry(&self, table: &Table, slot: Slot) -> Option<Arc<Entry>> {
        table.get(slot).filter(|entry| Arc::ptr_eq(&entry.zone, &self.zone))
    }
}

fn address(zone: &Arc<ZoneState>) -> usize {
    Arc::as_ptr(zone) as usize
}
