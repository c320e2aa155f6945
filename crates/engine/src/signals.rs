//! Signals arrive as bytes in a pipe.
//!
//! CPython owns the signal handlers; its C handler writes the signal's number to
//! the descriptor given to `signal.set_wakeup_fd`. That descriptor is the write
//! end of this pipe; the loop polls the read end. A pipe rather than a socket
//! pair: 64 KiB of one-byte writes fit, where a socket pair holds under 300.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{self, Errno};
use rustix::pipe::{PipeFlags, pipe_with};

/// The pipe of one loop.
#[derive(Debug)]
pub struct SignalPipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl SignalPipe {
    /// Makes the pipe, both ends non-blocking and closed on exec.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read, write })
    }

    /// The end for `signal.set_wakeup_fd`.
    pub fn write_end(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// The end to poll.
    pub fn read_end(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Reads the numbers of the signals that have arrived, in order, leaving out
    /// the zero bytes of plain wake-ups.
    pub fn drain(&self) -> Vec<u8> {
        let mut arrived = Vec::new();
        let mut chunk = [0u8; 4096];
        loop {
            match io::read(&self.read, &mut chunk) {
                Ok(0) => break,
                Ok(n) => arrived.extend(chunk[..n].iter().filter(|byte| **byte != 0)),
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_signals_fit_and_keep_their_order() {
        let pipe = SignalPipe::new().unwrap();
        let sent: Vec<u8> = (1..=31).cycle().take(10_000).collect();
        for byte in &sent {
            assert_eq!(io::write(pipe.write_end(), &[*byte]).unwrap(), 1);
        }
        assert_eq!(pipe.drain(), sent);
        assert!(pipe.drain().is_empty());
    }
}
