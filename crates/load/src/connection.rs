//! One connection: how far its stream of requests is granted, sent and answered.
//!
//! Invariant: `answered <= sent <= granted`, and `granted` is a whole number of messages. The
//! stream is registered edge-triggered, so [`Connection::advance`] reads and writes until the
//! socket would block.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::messages::Messages;

pub struct Connection {
    stream: TcpStream,
    start: u64,
    granted: u64,
    sent: u64,
    answered: u64,
    /// When each open request was granted, oldest first.
    open_since: VecDeque<u64>,
    pub completed: u64,
}

/// What the connections share while they run.
pub struct Shared<'a> {
    pub messages: &'a Messages,
    pub size: u64,
    pub verify: bool,
    pub buffer: Vec<u8>,
    /// Whether an answered request is followed by a new one.
    pub refill: bool,
}

impl Connection {
    pub fn open(address: SocketAddr, start: u64, in_flight: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            start,
            granted: 0,
            sent: 0,
            answered: 0,
            open_since: VecDeque::with_capacity(in_flight),
            completed: 0,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn open_requests(&self) -> usize {
        self.open_since.len()
    }

    pub fn grant(&mut self, requests: u64, size: u64, now: u64) {
        self.granted += requests * size;
        for _ in 0..requests {
            self.open_since.push_back(now);
        }
    }

    /// Reads all answers and sends what is granted; `latency` is called for every answer.
    pub fn advance(
        &mut self,
        shared: &mut Shared<'_>,
        now: impl Fn() -> u64,
        mut latency: impl FnMut(u64),
    ) -> io::Result<()> {
        self.send(shared.messages)?;
        loop {
            let count = match self.stream.read(&mut shared.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let received = &shared.buffer[..count];
            if self.answered + count as u64 > self.sent {
                return Err(io::Error::other("the server sent more than it received"));
            }
            if shared.verify && !shared.messages.matches(self.start + self.answered, received) {
                return Err(io::Error::other("the server sent back other bytes than it received"));
            }
            let before = self.answered / shared.size;
            self.answered += count as u64;
            let finished = self.answered / shared.size - before;
            if finished > 0 {
                let now = now();
                for granted_at in self.open_since.drain(..usize::try_from(finished).unwrap_or(0)) {
                    latency(now.saturating_sub(granted_at));
                }
                self.completed += finished;
                if shared.refill {
                    self.grant(finished, shared.size, now);
                    self.send(shared.messages)?;
                }
            }
            if count < shared.buffer.len() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, messages: &Messages) -> io::Result<()> {
        while self.sent < self.granted {
            let slice = messages.slice(self.start + self.sent, self.granted - self.sent);
            match self.stream.write(slice) {
                Ok(count) => self.sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
