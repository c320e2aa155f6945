//! The driver: which file descriptors are ready.
//!
//! This file is the contract; each implementation is a file of its own, chosen
//! here at compile time.
//!
//! What a driver supplies ([`Driver`]):
//! - `add`, `modify`, `remove` for one registration per descriptor, with a
//!   [`Token`] that comes back in every event of that registration;
//! - `wait`, which blocks for at most the given time (nanosecond resolution
//!   where the system has it, rounded *up* where not, so that no timer is early),
//!   and which reports an interrupting signal as `EINTR`.
//!
//! All methods take `&self`: one thread may wait while another, holding the
//! interpreter's lock, changes a registration.

mod epoll;

use std::os::fd::RawFd;

use rustix::io;

pub use epoll::{Epoll, EventBuffer, check_open};

/// Names a registration: descriptor and generation. A descriptor's number is
/// reused by the system; the generation tells the tenants apart, so an event
/// meant for the old one cannot reach the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The descriptor.
    pub fd: RawFd,
    /// Which tenant of that number.
    pub generation: u32,
}

impl Token {
    /// As one number.
    #[inline]
    #[must_use]
    pub fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.fd.cast_unsigned())
    }

    /// The token that was packed.
    #[expect(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
    #[inline]
    #[must_use]
    pub fn unpack(packed: u64) -> Self {
        Self { fd: (packed as u32).cast_signed(), generation: (packed >> 32) as u32 }
    }
}

/// What a registration asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Interest {
    /// Report when a read would not block.
    pub read: bool,
    /// Report when a write would not block.
    pub write: bool,
}

/// When a registration reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as the descriptor is ready: what `add_reader` promises.
    Level,
    /// When the descriptor becomes ready: for owners that read until it is not.
    Edge,
    /// Once, if or as soon as the descriptor is ready; then not again before `modify` or `add`.
    Once,
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readiness {
    /// A read will not block (data, end of file or an error).
    pub read: bool,
    /// A write will not block (room, or an error).
    pub write: bool,
    /// The peer has finished sending, or the connection is broken, or urgent data
    /// is about: read until a read would block, whatever a short read says.
    pub closed: bool,
}

/// An event of the registration `token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose event it is.
    pub token: Token,
    /// What has become possible.
    pub readiness: Readiness,
}

/// The contract above, as a trait.
pub trait Driver: Sized {
    /// Makes a driver with nothing registered.
    fn new() -> io::Result<Self>;
    /// Registers `token.fd`; `EEXIST` if it is registered.
    fn add(&self, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()>;
    /// Changes a registration and re-arms it; `ENOENT` if there is none.
    fn modify(&self, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()>;
    /// Removes a registration; `ENOENT` or `EBADF` if there is none.
    fn remove(&self, fd: RawFd) -> io::Result<()>;
    /// Waits for events, at most `timeout` nanoseconds (`None`: for ever), and
    /// puts them into `events`.
    fn wait(&self, events: &mut EventBuffer, timeout: Option<u64>) -> io::Result<()>;
}
