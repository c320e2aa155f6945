//! Taking what is due.
//!
//! A few are taken off the heap one by one. Where a good part of a large heap is due at
//! once, that costs a walk from its top to its bottom for each, through memory that is in
//! no cache; to sort those that are due and to build the heap anew from the others is
//! several times as fast.

use std::cmp::Reverse;

use super::{KEPT_CAPACITY, Node, Timers};
use crate::clock::Instant;

/// So many are taken one by one before their number is looked at.
const FEW: usize = 64;

/// The heap is built anew if at least this part of it is due.
const PART: usize = 8;

impl<T> Timers<T> {
    /// Takes all timers that are due at `now`, in order of time, then of creation, and
    /// gives them to `take`, which must not add timers.
    pub fn take_due(&mut self, now: Instant, mut take: impl FnMut(T)) {
        for _ in 0..FEW {
            match self.pop_due(now) {
                Some(value) => take(value),
                None => return,
            }
        }
        if self.many_are_due(now) {
            self.take_many(now, take);
        } else {
            while let Some(value) = self.pop_due(now) {
                take(value);
            }
        }
        self.relax();
    }

    /// Takes those timers that are due at `now` and `wanted`; the others stay, in their order.
    pub fn take_due_if(
        &mut self,
        now: Instant,
        mut wanted: impl FnMut(&T) -> bool,
        mut take: impl FnMut(T),
    ) {
        let mut others = Vec::new();
        while let Some(Reverse(node)) = self.heap.peek().filter(|top| top.0.when <= now) {
            let Node { slot, seq, .. } = *node;
            let is_wanted = self.value(slot, seq).map(&mut wanted);
            let node = self.heap.pop();
            match is_wanted {
                Some(true) => self.vacate(slot, seq).into_iter().for_each(&mut take),
                Some(false) => others.extend(node),
                None => {}
            }
        }
        self.heap.extend(others);
    }

    /// Takes the next timer that is due at `now`.
    fn pop_due(&mut self, now: Instant) -> Option<T> {
        while let Some(Reverse(node)) = self.heap.peek() {
            if node.when > now {
                return None;
            }
            let Some(Reverse(Node { seq, slot, .. })) = self.heap.pop() else { break };
            if let Some(value) = self.vacate(slot, seq) {
                return Some(value);
            }
        }
        None
    }

    /// Whether a good part of the heap is due. What is due stands together at its top.
    fn many_are_due(&self, now: Instant) -> bool {
        let nodes = self.heap.as_slice();
        let enough = (nodes.len() / PART).max(FEW);
        let mut seen = 0;
        let mut ahead = vec![0];
        while let Some(index) = ahead.pop() {
            if nodes.get(index).is_some_and(|Reverse(node)| node.when <= now) {
                seen += 1;
                if seen >= enough {
                    return true;
                }
                ahead.extend([2 * index + 2, 2 * index + 1]);
            }
        }
        false
    }

    fn take_many(&mut self, now: Instant, mut take: impl FnMut(T)) {
        let mut nodes = std::mem::take(&mut self.heap).into_vec();
        let mut due = Vec::new();
        nodes.retain(|Reverse(node)| {
            let waits = node.when > now;
            if !waits {
                due.push((node.when, node.seq, node.slot));
            }
            waits
        });
        self.heap = nodes.into();
        due.sort_unstable();
        for (_, seq, slot) in due {
            if let Some(value) = self.vacate(slot, seq) {
                take(value);
            }
        }
    }

    /// Gives memory back after a burst.
    fn relax(&mut self) {
        if self.live == 0 && self.slots.capacity() > KEPT_CAPACITY {
            self.heap.clear();
            self.heap.shrink_to(KEPT_CAPACITY);
            self.slots = Vec::new();
            self.free = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(timers: &mut Timers<usize>, now: u64) -> Vec<usize> {
        let mut taken = Vec::new();
        timers.take_due(Instant(now), |value| taken.push(value));
        taken
    }

    /// Times that repeat, in no sorted order, below `range`.
    fn times(count: usize, range: u64) -> Vec<u64> {
        let mut state = 12345_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % range
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn in_order(times: &[u64], mut wanted: impl FnMut(usize, u64) -> bool) -> Vec<usize> {
        let mut due: Vec<usize> =
            (0..times.len()).filter(|&index| wanted(index, times[index])).collect();
        due.sort_by_key(|&index| times[index]);
        due
    }

    #[test]
    fn many_that_are_due_come_in_order_of_time_then_creation_and_the_others_wait() {
        for (count, range, now) in [(1000, 100, 50), (1000, 100, 1), (5000, 7, 6), (300, 300, 5)] {
            let times = times(count, range);
            let mut timers = Timers::default();
            for (index, &time) in times.iter().enumerate() {
                timers.insert(Instant(time), index);
            }
            assert_eq!(drain(&mut timers, now), in_order(&times, |_, time| time <= now));
            assert_eq!(timers.next_due().is_none(), now + 1 >= range);
            assert_eq!(drain(&mut timers, range), in_order(&times, |_, time| time > now));
            assert!(timers.is_empty());
        }
    }

    #[test]
    fn cancelled_ones_are_not_among_the_many() {
        let times = times(1000, 50);
        let mut timers = Timers::default();
        let keys: Vec<_> = times
            .iter()
            .enumerate()
            .map(|(index, &time)| timers.insert(Instant(time), index))
            .collect();
        for key in keys.iter().step_by(3) {
            timers.cancel(*key);
        }
        assert!(timers.many_are_due(Instant(40)));
        assert_eq!(
            drain(&mut timers, 40),
            in_order(&times, |index, time| index % 3 != 0 && time <= 40)
        );
        assert_eq!(
            drain(&mut timers, 50),
            in_order(&times, |index, time| index % 3 != 0 && time > 40)
        );
    }

    #[test]
    fn those_that_are_not_wanted_keep_their_place_and_their_key() {
        let mut timers = Timers::default();
        let keys: Vec<_> = (0..20).map(|n| timers.insert(Instant(n as u64 / 4), n)).collect();
        timers.cancel(keys[3]);
        let mut taken = Vec::new();
        timers.take_due_if(Instant(3), |n| n % 2 == 1, |n| taken.push(n));
        assert_eq!(taken, [1, 5, 7, 9, 11, 13, 15]);
        assert_eq!(timers.cancel(keys[6]), Some(6));
        assert_eq!(timers.cancel(keys[5]), None);
        assert_eq!(drain(&mut timers, 4), [0, 2, 4, 8, 10, 12, 14, 16, 17, 18, 19]);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_few_of_many_are_not_many() {
        let mut timers = Timers::default();
        for index in 0..10_000 {
            timers.insert(Instant(index), 0);
        }
        assert!(!timers.many_are_due(Instant(1000)));
        assert!(timers.many_are_due(Instant(1250)));
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut timers = Timers::default();
        for index in 0..100_000 {
            timers.insert(Instant(1), index);
        }
        assert_eq!(drain(&mut timers, 1).len(), 100_000);
        assert!(timers.heap.capacity() <= 2 * KEPT_CAPACITY);
        assert_eq!(timers.slots.capacity(), 0);
        timers.insert(Instant(2), 7);
        assert_eq!(drain(&mut timers, 2), [7]);
    }
}
