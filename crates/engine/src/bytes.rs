//! Bytes that come in at one end and leave at the other: the buffer of a stream.
//!
//! Role: what a reader has received and nobody has taken yet. Taking from the front
//! moves a mark, bytes are moved only when the room behind them is used up, and then
//! so seldom that each byte is moved about once.
//!
//! Ownership: an empty queue has no memory. What it had goes to a few spare blocks
//! of the thread, from which the next queue that fills takes its first one: most
//! connections are idle at any time, and the memory that was just in use is in the
//! processor's caches.

use std::cell::RefCell;

/// So many bytes are kept at most for the next queues, in blocks.
const MOST_SPARE: usize = 4 * 1024 * 1024;

/// A block larger than this, in bytes, is not kept.
const LARGEST_SPARE: usize = 512 * 1024;

/// So much room, in bytes, is little.
const SMALL: usize = 16 * 1024;

/// Blocks that are empty, the longest unused first.
#[derive(Debug)]
struct Spares {
    blocks: Vec<Vec<u8>>,
    /// What they hold together.
    bytes: usize,
}

impl Spares {
    fn remove(&mut self, place: usize) -> Vec<u8> {
        let block = self.blocks.remove(place);
        self.bytes -= block.capacity();
        block
    }

    /// The block that fits `room` bytes best: not one that is far too large, which a few
    /// bytes that stay would hold on to; rather the largest than one that has to grow.
    fn take(&mut self, room: usize) -> Option<Vec<u8>> {
        let most = room.max(SMALL).saturating_mul(4);
        let fit = |block: &Vec<u8>| {
            let capacity = block.capacity();
            if capacity < room { (1, usize::MAX - capacity) } else { (0, capacity) }
        };
        let suitable = self.blocks.iter().enumerate().rev();
        let suitable = suitable.filter(|(_, block)| block.capacity() <= most);
        let (place, _) = suitable.min_by_key(|(_, block)| fit(block))?;
        Some(self.remove(place))
    }

    fn keep(&mut self, block: Vec<u8>) {
        self.bytes += block.capacity();
        self.blocks.push(block);
        while self.bytes > MOST_SPARE || self.blocks.len() > MOST_BLOCKS {
            self.remove(0);
        }
    }
}

/// So many blocks are kept at most.
const MOST_BLOCKS: usize = 32;

thread_local! {
    static SPARES: RefCell<Spares> =
        const { RefCell::new(Spares { blocks: Vec::new(), bytes: 0 }) };
}

fn take_spare(room: usize) -> Vec<u8> {
    // A thread that ends has none any more.
    SPARES.try_with(|spares| spares.borrow_mut().take(room)).ok().flatten().unwrap_or_default()
}

fn keep_spare(mut block: Vec<u8>) {
    if block.capacity() > 0 && block.capacity() <= LARGEST_SPARE {
        block.clear();
        let _gone_with_the_thread = SPARES.try_with(|spares| spares.borrow_mut().keep(block));
    }
}

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct ByteQueue {
    data: Vec<u8>,
    /// Where the first byte is that has not been taken. Invariant: at most
    /// `data.len()`, and less if there is any byte.
    start: usize,
}

impl ByteQueue {
    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.data.len() - self.start
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.data.get(self.start..).unwrap_or_default()
    }

    /// Adds bytes at the end.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.data.extend_from_slice(bytes);
    }

    /// Has `fill` add bytes at the end of a vector that has room for `room` of them.
    /// `fill` leaves alone what is there.
    pub fn append_with<R>(&mut self, room: usize, fill: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.make_room(room);
        let result = fill(&mut self.data);
        if self.is_empty() {
            self.clear();
        }
        result
    }

    /// Makes room for `count` bytes in all, if that is not much: so many are expected.
    #[inline]
    pub fn reserve(&mut self, count: usize) {
        if count > self.len() && count <= LARGEST_SPARE {
            self.make_room(count - self.len());
        }
    }

    /// Takes `count` bytes from the front, or all if there are fewer.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        if count >= self.len() {
            self.clear();
        } else {
            self.start += count;
        }
    }

    /// Takes all bytes.
    #[inline]
    pub fn clear(&mut self) {
        self.start = 0;
        keep_spare(std::mem::take(&mut self.data));
    }

    #[inline]
    fn make_room(&mut self, room: usize) {
        if self.data.capacity() - self.data.len() < room {
            self.move_or_grow(room);
        }
    }

    fn move_or_grow(&mut self, room: usize) {
        if self.data.capacity() == 0 {
            self.data = take_spare(room);
        }
        let (live, capacity) = (self.len(), self.data.capacity());
        // Moving pays if at least as many bytes have left as are moved.
        if live <= self.start && capacity - live >= room {
            self.data.copy_within(self.start.., 0);
            self.data.truncate(live);
            self.start = 0;
        } else if capacity - self.data.len() < room {
            let wanted = live.saturating_add(room).max(capacity.saturating_mul(2));
            let mut data = Vec::with_capacity(wanted);
            data.extend_from_slice(self.as_slice());
            self.start = 0;
            keep_spare(std::mem::replace(&mut self.data, data));
        }
    }
}

impl Drop for ByteQueue {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        let mut queue = ByteQueue::default();
        queue.append(b"one ");
        queue.append(b"two");
        assert_eq!(queue.as_slice(), b"one two");
        queue.consume(4);
        assert_eq!((queue.as_slice(), queue.len()), (b"two".as_slice(), 3));
        queue.consume(100);
        assert!(queue.is_empty());
    }

    #[test]
    fn random_use_agrees_with_a_deque() {
        let (mut queue, mut model) = (ByteQueue::default(), VecDeque::new());
        let mut state = 12345_u64;
        let mut random = |most: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap_or(0) % most
        };
        for turn in 0..20_000_u32 {
            let most = if random(50) == 0 { 20_000 } else { 300 };
            let count = random(most);
            if random(5) < 2 {
                queue.consume(count);
                model.drain(..count.min(model.len()));
            } else {
                let piece: Vec<u8> = (0..count).map(|_| turn.to_le_bytes()[0]).collect();
                queue.append(&piece);
                model.extend(&piece);
            }
            if random(400) == 0 {
                queue.clear();
                model.clear();
            }
            assert_eq!(queue.len(), model.len());
            assert!(queue.as_slice().iter().eq(&model));
        }
    }

    #[test]
    fn an_empty_queue_has_no_memory_and_the_next_one_reuses_it() {
        let mut first = ByteQueue::default();
        first.append(&[1; 1000]);
        let block = first.data.as_ptr();
        first.consume(1000);
        assert_eq!(first.data.capacity(), 0);
        let mut second = ByteQueue::default();
        second.append(&[2; 10]);
        assert_eq!(second.data.as_ptr(), block);
    }

    #[test]
    fn the_block_that_fits_best_is_taken() {
        let mut spares = Spares { blocks: Vec::new(), bytes: 0 };
        for capacity in [1000, 100_000, 200_000, 10_000] {
            spares.keep(Vec::with_capacity(capacity));
        }
        assert_eq!(spares.bytes, 311_000);
        let mut take = |room| spares.take(room).map(|block| block.capacity());
        assert_eq!(take(150_000), Some(200_000));
        assert_eq!(take(150_000), Some(100_000), "the largest, to grow");
        assert_eq!(take(5000), Some(10_000));
        assert_eq!(take(5000), Some(1000));
        assert_eq!(take(5000), None);
        spares.keep(Vec::with_capacity(300_000));
        assert_eq!(spares.take(100), None, "far too large");
    }

    #[test]
    fn no_more_is_kept_than_is_said() {
        let mut spares = Spares { blocks: Vec::new(), bytes: 0 };
        for _ in 0..100 {
            spares.keep(Vec::with_capacity(LARGEST_SPARE));
        }
        assert_eq!(spares.bytes, MOST_SPARE);
        for _ in 0..100 {
            spares.keep(Vec::with_capacity(10));
        }
        assert_eq!(spares.blocks.len(), MOST_BLOCKS);
        assert_eq!(spares.bytes, spares.blocks.iter().map(Vec::capacity).sum());
    }

    #[test]
    fn what_is_expected_does_not_grow_again() {
        let mut queue = ByteQueue::default();
        queue.append(b"some");
        queue.reserve(100_000);
        let block = queue.data.as_ptr();
        queue.append(&vec![1; 60_000]);
        queue.append(&vec![2; 39_996]);
        assert_eq!((queue.len(), queue.data.as_ptr()), (100_000, block));
        queue.reserve(usize::MAX);
        assert_eq!(queue.data.as_ptr(), block);
    }

    #[test]
    fn filling_in_place_that_brings_nothing_leaves_an_empty_queue() {
        let mut queue = ByteQueue::default();
        let room = queue.append_with(5000, |data| data.capacity() - data.len());
        assert!(room >= 5000);
        assert_eq!((queue.len(), queue.data.capacity()), (0, 0));
        queue.append_with(3, |data| data.extend_from_slice(b"abc"));
        assert_eq!(queue.as_slice(), b"abc");
    }

    #[test]
    fn bytes_are_moved_seldom() {
        let mut queue = ByteQueue::default();
        queue.append(&[7; 4000]);
        let capacity = queue.data.capacity();
        for _ in 0..100_000 {
            queue.consume(10);
            queue.append(&[7; 10]);
        }
        assert_eq!(queue.len(), 4000);
        assert!(
            queue.data.capacity() <= capacity.max(SMALL) * 4,
            "grew to {}",
            queue.data.capacity()
        );
    }
}
