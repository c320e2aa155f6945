//! Receiving from a Unix socket, and whether a boundary has ended it.
//!
//! Role: one system call. A Unix stream socket keeps messages with ancillary data apart: a receive
//! that brings less than there is room for may have left others in the queue. `recv(2)` does not
//! tell that from a queue that is empty now, `recvmsg(2)` does: it says if ancillary data was cut
//! off, for which there is no room here.
//!
//! The call is made here because those of the libraries ask for the sender's address as well: a
//! quarter of a microsecond for each receive.
//!
//! Ownership: none. Thread: any.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// What one receive has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// So many bytes; none at the end of the stream.
    pub bytes: usize,
    /// No boundary has ended them, as far as is known: less than there was room for is all there
    /// was.
    pub is_all: bool,
}

/// Receives into `place` what is there, without a wait. Ancillary data is dropped, as by `recv`.
#[inline]
pub fn receive(fd: BorrowedFd<'_>, place: &mut [u8]) -> Result<Received, Errno> {
    let mut piece = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
    // SAFETY: of numbers and pointers, for which zero is nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    // SAFETY: the descriptor is open and the message names one piece of memory, which may be
    // written to; no address and no ancillary data is asked for.
    let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    match usize::try_from(count) {
        Ok(bytes) => Ok(Received { bytes, is_all: message.msg_flags & libc::MSG_CTRUNC == 0 }),
        Err(_) => Err(last_error()),
    }
}

#[cold]
fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn tells_what_it_has_received_and_when_there_is_nothing() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut place = [0; 8];
        assert_eq!(receive(far.as_fd(), &mut place), Err(Errno::WOULDBLOCK));
        near.write_all(b"five!").unwrap();
        let received = receive(far.as_fd(), &mut place);
        assert_eq!(received, Ok(Received { bytes: 5, is_all: true }));
        assert_eq!(place.get(..5), Some(b"five!".as_slice()));
        drop(near);
        let received = receive(far.as_fd(), &mut place);
        assert_eq!(received, Ok(Received { bytes: 0, is_all: true }));
    }

    #[test]
    fn tells_of_a_boundary_behind_which_more_waits() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let passed = [far.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&passed)));
        sendmsg(&near, &[IoSlice::new(b"with")], &mut ancillary, SendFlags::empty()).unwrap();
        near.write_all(b"without").unwrap();
        let mut place = [0; 64];
        let received = receive(far.as_fd(), &mut place);
        assert_eq!(received, Ok(Received { bytes: 4, is_all: false }));
        let received = receive(far.as_fd(), &mut place);
        assert_eq!(received, Ok(Received { bytes: 7, is_all: true }));
    }
}
