//! Waking a sleeping loop from another thread: an eventfd.
//!
//! [`Waker::wake`] may be called from any thread and from a forked child's
//! leftovers without harm. Wake-ups coalesce: only the first since the last
//! [`Waker::noticed`] makes a system call.
//!
//! The eventfd is watched edge-triggered and never read: each write is an edge,
//! whatever the counter has come to (eventfd(2), epoll(7)), and 2^64 wake-ups, at
//! which it would be full, take centuries.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io;

/// The eventfd of one loop. The loop's thread watches it with [`Trigger::Edge`].
///
/// [`Trigger::Edge`]: crate::driver::Trigger::Edge
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
            // The only failure is a full counter.
            let _ = io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// From here on [`Waker::wake`] wakes again. Called by the loop's thread on the
    /// event, before it looks at what the wakers left.
    pub fn noticed(&self) {
        self.pending.store(false, Ordering::SeqCst);
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
    use crate::driver::{Driver, Epoll, EventBuffer, Interest, Token, Trigger};
    use std::os::fd::AsRawFd;

    #[test]
    fn wakes_once_and_again_after_it_was_noticed() {
        let (waker, driver) = (Waker::new().unwrap(), Epoll::new().unwrap());
        let token = Token { fd: waker.as_fd().as_raw_fd(), generation: 0 };
        driver.add(token, Interest { read: true, write: false }, Trigger::Edge).unwrap();
        let woken = || {
            let mut events = EventBuffer::default();
            driver.wait(&mut events, Some(0)).unwrap();
            events.iter().count() == 1
        };
        assert!(!woken());
        for _ in 0..3 {
            waker.wake();
            waker.wake();
            assert!(woken());
            waker.wake();
            assert!(!woken());
            waker.noticed();
            assert!(!woken());
        }
    }
}
