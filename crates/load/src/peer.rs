//! One client of the limit: what it has sent, and what it has not yet taken back.

use std::io;

use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use crate::wire::{Wire, now_or_later};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

pub struct Peer {
    wire: Wire,
    /// Whether the other side has ended: what is read then is read to its end.
    pub ended: bool,
    /// What the kernel has not taken; nothing is read meanwhile.
    unsent: Vec<u8>,
    counted: u64,
    /// How much of the end of a request's head has been seen.
    seen: usize,
}

/// Each returns whether the peer goes on.
impl Peer {
    pub fn new(wire: Wire) -> Self {
        Self { wire, ended: false, unsent: Vec::new(), counted: 0, seen: 0 }
    }

    /// Sends back whatever arrives.
    pub fn echo(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if let Wire::Datagrams(socket) = &self.wire {
            return echo_datagrams(socket, buffer);
        }
        self.each_read(buffer, Self::send)
    }

    /// Answers each request with the same bytes.
    pub fn answer(&mut self, buffer: &mut [u8], answer: &[u8]) -> io::Result<bool> {
        self.each_read(buffer, |peer, received| {
            for &byte in received {
                peer.seen = match byte {
                    _ if byte == END_OF_HEAD[peer.seen] => peer.seen + 1,
                    b'\r' => 1,
                    _ => 0,
                };
                if peer.seen == END_OF_HEAD.len() {
                    peer.seen = 0;
                    peer.send(answer)?;
                }
            }
            Ok(())
        })
    }

    /// Counts what arrives, and says at the end how much it was.
    pub fn count(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let goes_on = self.each_read(buffer, |peer, received| {
            peer.counted += received.len() as u64;
            Ok(())
        })?;
        if !goes_on {
            self.wire.write(self.counted.to_string().as_bytes())?;
        }
        Ok(goes_on)
    }

    fn each_read(
        &mut self,
        buffer: &mut [u8],
        mut handle: impl FnMut(&mut Self, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.wire.flush()?;
        if !self.unsent.is_empty() {
            let kept = std::mem::take(&mut self.unsent);
            self.send(&kept)?;
        }
        while self.unsent.is_empty() {
            match now_or_later(self.wire.read(buffer))? {
                Some(0) => return Ok(false),
                Some(count) => {
                    handle(self, &buffer[..count])?;
                    if count < buffer.len() && self.wire.short_read_is_last() && !self.ended {
                        break;
                    }
                }
                None => break,
            }
        }
        Ok(true)
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.unsent.is_empty() && !bytes.is_empty() {
            match now_or_later(self.wire.write(bytes))? {
                Some(count) => bytes = &bytes[count..],
                None => break,
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }
}

fn echo_datagrams(socket: &rustix::fd::OwnedFd, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        let (count, from) = match recvfrom(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _, from)) => (count, from),
            Err(rustix::io::Errno::AGAIN) => return Ok(true),
            // A client that has gone sends an ICMP message back; the others go on.
            Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let Some(from) = from else { continue };
        match sendto(socket, &buffer[..count], SendFlags::empty(), &from) {
            // A full buffer loses the datagram, as everywhere.
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNREFUSED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
