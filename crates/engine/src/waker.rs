//! Waking a sleeping loop from another thread: an eventfd.
//!
//! [`Waker::wake`] may be called from any thread and from a forked child's
//! leftovers without harm. Wake-ups coalesce: only the first since the last
//! [`Waker::drain`] makes a system call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;

/// The eventfd of one loop. The loop's thread polls and drains it.
#[derive(Debug)]
pub struct Waker {
    fd: OwnedFd,
    pending: AtomicBool,
}

impl Waker {
    /// Makes the eventfd.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, pending: AtomicBool::new(false) })
    }

    /// Makes the poll that runs, or the next one, return at once.
    pub fn wake(&self) {
        if !self.pending.swap(true, Ordering::SeqCst) {
            // The only failure is a full counter, which is readable already.
            let _ = io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Makes the eventfd quiet again. Called by the loop's thread before it
    /// looks at what the wakers left.
    pub fn drain(&self) {
        self.pending.store(false, Ordering::SeqCst);
        let mut counter = [0u8; 8];
        let _ = io::read(&self.fd, &mut counter);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(waker: &Waker) -> bool {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut fds = [PollFd::new(waker, PollFlags::IN)];
        poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn wakes_once_and_again_after_a_drain() {
        let waker = Waker::new().unwrap();
        assert!(!readable(&waker));
        waker.wake();
        waker.wake();
        assert!(readable(&waker));
        waker.drain();
        assert!(!readable(&waker));
        waker.wake();
        assert!(readable(&waker));
    }
}
