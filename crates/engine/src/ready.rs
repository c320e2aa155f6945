//! The ready queue: one fifo, run in turns.
//!
//! Owns what is to run next. A turn runs a snapshot: [`ReadyQueue::len`] is read
//! once when the turn begins, and that many entries are popped; what is pushed
//! meanwhile waits for the next turn.

use std::collections::VecDeque;

/// Entries shrink back to this capacity after a burst, so that one large
/// `gather` does not pin its peak for the life of the loop.
const KEPT_CAPACITY: usize = 16_384;

/// The fifo of one loop.
#[derive(Debug)]
pub struct ReadyQueue<T> {
    entries: VecDeque<T>,
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self { entries: VecDeque::with_capacity(64) }
    }
}

impl<T> ReadyQueue<T> {
    /// Appends an entry.
    #[inline]
    pub fn push(&mut self, entry: T) {
        self.entries.push_back(entry);
    }

    /// Puts an entry before all others.
    pub fn push_front(&mut self, entry: T) {
        self.entries.push_front(entry);
    }

    /// Takes the oldest entry.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    /// The entry that will be taken after `ahead` others.
    #[inline]
    pub fn peek(&self, ahead: usize) -> Option<&T> {
        self.entries.get(ahead)
    }

    /// How many entries wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The waiting entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// Takes everything out. The caller drops it, after its borrow has ended:
    /// dropping an entry may run code that pushes.
    pub fn take(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.entries)
    }

    /// Gives memory back after a burst. Called between turns.
    #[inline]
    pub fn relax(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries.shrink_to(KEPT_CAPACITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_is_first_out() {
        let mut ready = ReadyQueue::default();
        (0..100).for_each(|n| ready.push(n));
        let order: Vec<_> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let mut ready = ReadyQueue::default();
        (0..100_000).for_each(|n| ready.push(n));
        while ready.pop().is_some() {}
        ready.relax();
        assert!(ready.entries.capacity() <= 2 * KEPT_CAPACITY);
    }
}
