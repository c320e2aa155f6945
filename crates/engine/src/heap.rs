//! What the C library's allocator does with large blocks.
//!
//! glibc gives the end of its heap back to the system as soon as 128 KiB of it are free, and takes
//! it again for the next block, page by page: a server that reads 64 KiB at a time spends up to
//! two fifths of its time on that. Once a program has freed one block of more than 128 KiB, glibc
//! expects more of the kind, keeps blocks of that size in the heap and gives back what is more than
//! twice as much (`mallopt(3)`, "dynamic mmap threshold"). Here such a block is freed. Where the
//! program has chosen thresholds itself (`mallopt()`, `MALLOC_TRIM_THRESHOLD_`), and with other
//! allocators, that changes nothing.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of the block, in bytes.
const SIZE: usize = 2 * 1024 * 1024;

static EXPECTED: AtomicBool = AtomicBool::new(false);

/// Has the allocator expect large blocks. The first call in a process does so, from any thread.
#[inline]
pub fn expect_large_blocks() {
    if !EXPECTED.load(Ordering::Relaxed) {
        expect();
    }
}

#[cold]
fn expect() {
    if !EXPECTED.swap(true, Ordering::Relaxed) {
        drop(black_box(Vec::<u8>::with_capacity(black_box(SIZE))));
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::*;

    /// How many pages this thread has been given so far.
    fn page_faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn large_blocks_are_not_given_back_between_two_uses() {
        const ROUNDS: u64 = 200;
        expect_large_blocks();
        let before = page_faults();
        for _ in 0..ROUNDS {
            // 800 KiB, 200 pages.
            let blocks: Vec<Vec<u8>> = (0..8).map(|_| vec![1; 100 * 1024]).collect();
            drop(black_box(blocks));
        }
        let taken = page_faults() - before;
        assert!(taken < 10 * ROUNDS, "{taken} pages in {ROUNDS} rounds");
    }
}
