//! What a transport reads from: one system call, and what a short read says.
//!
//! Role: the kinds of descriptors. What is remembered between reads is
//! [`Intake`](super::intake::Intake)'s.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use batuta_engine::boundary::{self, Received};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread, read};
use rustix::net::{RecvFlags, recv};

/// What is read from, which decides what a short read says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A TCP socket: a short read has emptied it.
    Tcp,
    /// A Unix socket: messages with ancillary data (descriptors, say) keep their
    /// boundaries. A read says if it has come upon such; then the socket is asked what is left.
    Unix,
    /// Another stream socket, which is always asked what is left.
    Socket,
    /// A pipe: a short read has emptied it, unless its writer sends packets.
    Pipe,
    /// Anything else, such as a terminal, which gives a line at a time and which
    /// another process may have made blocking: asked before it is read again.
    Other,
}

/// Whether a read would not block now.
fn can_read(fd: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut asked, Some(&now)), Ok(0))
}

/// What a read has brought that does not tell of boundaries.
fn counted(count: usize) -> Received {
    Received { bytes: count, is_all: false }
}

impl Source {
    /// Whether there is nothing to read now.
    #[inline]
    pub fn is_empty(self, fd: BorrowedFd<'_>) -> bool {
        match self {
            Self::Tcp | Self::Unix | Self::Socket | Self::Pipe => {
                matches!(ioctl_fionread(fd), Ok(0))
            }
            Self::Other => !can_read(fd),
        }
    }

    /// The same after a read that was shorter than its room, which said `is_all`.
    #[inline]
    pub fn is_emptied(self, fd: BorrowedFd<'_>, is_all: bool) -> bool {
        match self {
            Self::Tcp => true,
            Self::Unix if is_all => true,
            Self::Unix | Self::Socket | Self::Pipe | Self::Other => self.is_empty(fd),
        }
    }

    /// Reads once.
    #[inline]
    pub fn read(self, fd: BorrowedFd<'_>, place: &mut [u8]) -> Result<Received, Errno> {
        match self {
            Self::Tcp | Self::Socket => {
                recv(fd, place, RecvFlags::DONTWAIT).map(|(count, _)| counted(count))
            }
            // Which costs less than to ask what is left.
            Self::Unix => boundary::receive(fd, place),
            Self::Pipe | Self::Other => read(fd, place).map(counted),
        }
    }

    /// Reads once, into the front of memory that is not initialised.
    #[inline]
    pub fn read_uninit(
        self,
        fd: BorrowedFd<'_>,
        place: &mut [MaybeUninit<u8>],
    ) -> Result<Received, Errno> {
        match self {
            Self::Tcp | Self::Unix | Self::Socket => {
                recv(fd, place, RecvFlags::DONTWAIT).map(|(_, count)| counted(count))
            }
            Self::Pipe | Self::Other => read(fd, place).map(|(filled, _)| counted(filled.len())),
        }
    }

    /// Reads once, behind what a vector holds, as much as it has room for.
    #[inline]
    pub fn read_behind(self, fd: BorrowedFd<'_>, data: &mut Vec<u8>) -> Result<Received, Errno> {
        match self {
            Self::Tcp | Self::Unix | Self::Socket => {
                let received = recv(fd, spare_capacity(data), RecvFlags::DONTWAIT);
                received.map(|(count, _)| counted(count))
            }
            Self::Pipe | Self::Other => read(fd, spare_capacity(data)).map(counted),
        }
    }
}
