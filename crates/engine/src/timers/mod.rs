//! Timers: a binary heap with lazy cancellation.
//!
//! Owns the entries of `call_later` and `call_at`. Equal times fire in order of
//! creation (the sequence number), and nothing fires before its time.
//!
//! Cancelling is O(1): the entry's value leaves its slot at once (so what a
//! cancelled timer referred to is free), its heap node becomes stale and is
//! skipped when it surfaces. When more than half of the heap is stale it is
//! rebuilt, so cancelled timers cannot pile up. `due` takes out what is due.

mod due;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;

/// Below this many nodes a rebuild is not worth its time.
const COMPACT_MIN: usize = 64;

/// After a burst no more memory is kept than for so many.
const KEPT_CAPACITY: usize = 4096;

/// Names one timer, for [`Timers::cancel`]. Never reused while it could still
/// be held: the sequence number is unique for the life of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    slot: u32,
    seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    when: Instant,
    seq: u64,
    slot: u32,
}

/// A place for a value; vacant ones form a list.
#[derive(Debug)]
struct Slot<T> {
    seq: u64,
    value: Option<T>,
    next_free: Option<u32>,
}

/// The timers of one loop.
#[derive(Debug)]
pub struct Timers<T> {
    heap: BinaryHeap<Reverse<Node>>,
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    live: usize,
    next_seq: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: None, live: 0, next_seq: 0 }
    }
}

impl<T> Timers<T> {
    /// Adds a timer for `when`.
    #[inline]
    pub fn insert(&mut self, when: Instant, value: T) -> TimerKey {
        let seq = self.next_seq;
        self.next_seq += 1;
        let slot = if let Some(index) = self.free {
            let slot = &mut self.slots[index as usize];
            self.free = slot.next_free;
            slot.seq = seq;
            slot.value = Some(value);
            index
        } else {
            self.slots.push(Slot { seq, value: Some(value), next_free: None });
            // 2^32 timers would be 100 GiB of entries.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.heap.push(Reverse(Node { when, seq, slot }));
        self.live += 1;
        TimerKey { slot, seq }
    }

    /// Cancels a timer and returns its value; `None` if it has fired or was
    /// cancelled before.
    #[inline]
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let value = self.vacate(key.slot, key.seq)?;
        if self.heap.len() > COMPACT_MIN && self.heap.len() > 2 * self.live {
            self.compact();
        }
        Some(value)
    }

    /// Whether the timer waits.
    pub fn holds(&self, key: TimerKey) -> bool {
        self.is_live(key.slot, key.seq)
    }

    /// When the next timer is due.
    pub fn next_due(&mut self) -> Option<Instant> {
        while let Some(Reverse(node)) = self.heap.peek() {
            if self.is_live(node.slot, node.seq) {
                return Some(node.when);
            }
            self.heap.pop();
        }
        None
    }

    /// How many timers wait (cancelled ones do not count).
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no timer waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The waiting timers' values, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }

    /// Takes everything out, to be dropped after the caller's borrow has ended.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let next_seq = self.next_seq;
        std::mem::replace(self, Self { next_seq, ..Self::default() })
    }

    /// What waits in a slot, if it is the timer of that number.
    fn value(&self, slot: u32, seq: u64) -> Option<&T> {
        self.slots.get(slot as usize).filter(|slot| slot.seq == seq)?.value.as_ref()
    }

    fn is_live(&self, slot: u32, seq: u64) -> bool {
        self.value(slot, seq).is_some()
    }

    #[inline]
    fn vacate(&mut self, index: u32, seq: u64) -> Option<T> {
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.seq == seq)?;
        let value = slot.value.take()?;
        slot.next_free = self.free.replace(index);
        self.live -= 1;
        Some(value)
    }

    fn compact(&mut self) {
        let mut heap = std::mem::take(&mut self.heap).into_vec();
        heap.retain(|Reverse(node)| self.is_live(node.slot, node.seq));
        heap.shrink_to(2 * heap.len());
        self.heap = heap.into();
        if self.live == 0 {
            self.slots = Vec::new();
            self.free = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(timers: &mut Timers<&'static str>, now: u64) -> Vec<&'static str> {
        let mut taken = Vec::new();
        timers.take_due(Instant(now), |value| taken.push(value));
        taken
    }

    #[test]
    fn fires_in_order_of_time_then_creation() {
        let mut timers = Timers::default();
        timers.insert(Instant(20), "late");
        timers.insert(Instant(10), "first");
        timers.insert(Instant(10), "second");
        assert_eq!(drain(&mut timers, 20), ["first", "second", "late"]);
        assert!(timers.is_empty());
    }

    #[test]
    fn never_fires_early() {
        let mut timers = Timers::default();
        timers.insert(Instant(10), "x");
        assert_eq!(drain(&mut timers, 9), [""; 0]);
        assert_eq!(timers.next_due(), Some(Instant(10)));
    }

    #[test]
    fn cancelled_timer_gives_its_value_back_and_does_not_fire() {
        let mut timers = Timers::default();
        let key = timers.insert(Instant(10), "x");
        assert_eq!(timers.cancel(key), Some("x"));
        assert_eq!(timers.cancel(key), None);
        assert_eq!(timers.next_due(), None);
        assert_eq!(drain(&mut timers, 100), [""; 0]);
    }

    #[test]
    fn key_of_a_fired_timer_does_not_cancel_its_slots_next_tenant() {
        let mut timers = Timers::default();
        let old = timers.insert(Instant(1), "old");
        assert_eq!(drain(&mut timers, 1), ["old"]);
        let new = timers.insert(Instant(2), "new");
        assert_eq!(old.slot, new.slot);
        assert_eq!(timers.cancel(old), None);
        assert_eq!(drain(&mut timers, 2), ["new"]);
    }

    #[test]
    fn cancelled_timers_do_not_pile_up() {
        let mut timers = Timers::default();
        for n in 0..100_000 {
            let key = timers.insert(Instant(n), "x");
            timers.cancel(key);
        }
        assert!(timers.heap.len() <= COMPACT_MIN + 1);
        assert!(timers.slots.len() <= COMPACT_MIN + 1);
    }

    #[test]
    fn compaction_after_the_last_cancel_keeps_new_keys_apart_from_old_ones() {
        let mut timers = Timers::default();
        let keys: Vec<_> = (0..200).map(|n| timers.insert(Instant(n), "x")).collect();
        for key in &keys {
            timers.cancel(*key);
        }
        timers.insert(Instant(5), "y");
        assert_eq!(timers.cancel(keys[0]), None);
        assert_eq!(drain(&mut timers, 5), ["y"]);
    }
}
