//! One connection: how far its stream of requests is granted, sent and answered.
//!
//! Invariant: `sent <= granted`, and `granted` is a whole number of messages. The wire is
//! registered edge-triggered, so [`Connection::advance`] reads and writes until the wire would
//! block. A one-way connection is registered level-triggered and writes once an event.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use crate::config::{Config, Talk};
use crate::http::Answers;
use crate::messages::Messages;
use crate::wire::{Wire, now_or_later};

/// Bytes that a one-way connection offers at a time.
const ONE_WAY_CHUNK: u64 = 256 << 10;
const MOST_OF_AN_UPGRADE: usize = 16 << 10;

pub struct Connection {
    wire: Wire,
    start: u64,
    granted: u64,
    sent: u64,
    answered: u64,
    replies: Replies,
    /// When each open request was granted, oldest first.
    open_since: VecDeque<u64>,
    pub completed: u64,
}

/// How the end of a reply is known.
enum Replies {
    /// The requests themselves.
    Echo,
    /// Of the size that the messages have in their frames.
    Framed,
    Http(Answers),
    /// There are none.
    Counted,
}

/// What the connections share while they run.
pub struct Shared<'a> {
    pub messages: &'a Messages,
    pub verify: bool,
    pub buffer: Vec<u8>,
    /// Whether an answered request is followed by a new one.
    pub refill: bool,
}

impl Connection {
    pub fn open(config: &Config, start: u64) -> io::Result<Self> {
        let mut wire = Wire::open(config)?;
        let replies = match config.talk {
            Talk::Stream => Replies::Echo,
            Talk::OneWay => Replies::Counted,
            Talk::Http => Replies::Http(Answers::new(config.size)),
            Talk::WebSocket => {
                upgrade(&mut wire, &config.path)?;
                Replies::Framed
            }
        };
        Ok(Self {
            wire,
            start,
            granted: 0,
            sent: 0,
            answered: 0,
            replies,
            open_since: VecDeque::with_capacity(config.in_flight),
            completed: 0,
        })
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
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

    /// Reads all answers and sends what is granted; `latency` is called for every answer. `ended`
    /// says that the server has closed its end.
    pub fn advance(
        &mut self,
        shared: &mut Shared<'_>,
        ended: bool,
        now: impl Fn() -> u64,
        mut latency: impl FnMut(u64),
    ) -> io::Result<()> {
        if matches!(self.replies, Replies::Counted) {
            return self.pour(shared.messages);
        }
        self.wire.flush()?;
        self.send(shared.messages)?;
        loop {
            let count = match self.wire.read(&mut shared.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let finished = self.take(shared, count)?;
            if finished > 0 {
                let Ok(answered) = usize::try_from(finished) else { return Ok(()) };
                if answered > self.open_since.len() {
                    return Err(too_much());
                }
                let now = now();
                for granted_at in self.open_since.drain(..answered) {
                    latency(now.saturating_sub(granted_at));
                }
                self.completed += finished;
                if shared.refill {
                    self.grant(finished, shared.messages.request_size(), now);
                    self.send(shared.messages)?;
                }
            }
            if count < shared.buffer.len() && self.wire.short_read_is_last() && !ended {
                return Ok(());
            }
        }
    }

    /// Looks at what has arrived; how many replies end in it.
    fn take(&mut self, shared: &Shared<'_>, count: usize) -> io::Result<u64> {
        let received = &shared.buffer[..count];
        let size = shared.messages.reply_size();
        match &mut self.replies {
            Replies::Http(answers) => return answers.feed(received).map_err(io::Error::other),
            Replies::Echo if self.answered + count as u64 > self.sent => return Err(too_much()),
            Replies::Echo | Replies::Framed | Replies::Counted => {}
        }
        if self.wire.is_datagrams() && count as u64 != size {
            return Err(io::Error::other("the server sent back a datagram of another size"));
        }
        if shared.verify && !shared.messages.matches(self.start, self.answered, received) {
            return Err(io::Error::other("the server sent back other bytes than it received"));
        }
        let before = self.answered / size;
        self.answered += count as u64;
        Ok(self.answered / size - before)
    }

    fn send(&mut self, messages: &Messages) -> io::Result<()> {
        while self.sent < self.granted {
            let mut wanted = self.granted - self.sent;
            if self.wire.is_datagrams() {
                wanted = wanted.min(messages.request_size());
            }
            let slice = messages.slice(self.start, self.sent, wanted);
            match now_or_later(self.wire.write(slice))? {
                Some(count) => self.sent += count as u64,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// One write of a one-way connection.
    fn pour(&mut self, messages: &Messages) -> io::Result<()> {
        let mut left = ONE_WAY_CHUNK;
        while left > 0 {
            let slice = messages.slice(self.start, self.sent, left);
            let offered = slice.len();
            let Some(count) = now_or_later(self.wire.write(slice))? else { break };
            self.sent += count as u64;
            left = left.saturating_sub(count as u64);
            if count < offered {
                break;
            }
        }
        self.completed = self.sent / messages.request_size();
        Ok(())
    }

    /// Ends a one-way connection: the server must have counted what was sent.
    pub fn settle(self) -> io::Result<()> {
        let sent = self.sent;
        let Some(socket) = self.wire.into_socket() else {
            return Err(io::Error::other("a one-way connection is a socket"));
        };
        // What is said about TCP here holds for Unix sockets as well: it is the same descriptor.
        let mut stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(crate::run::DRAIN))?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| {
            io::Error::other(format!("the server did not answer the end of an upload: {error}"))
        })?;
        if answer.trim().parse() == Ok(sent) {
            return Ok(());
        }
        let answer = answer.trim();
        Err(io::Error::other(format!("the server counted {answer:?} bytes; {sent} were sent")))
    }
}

fn too_much() -> io::Error {
    io::Error::other("the server sent more than it received")
}

/// The opening handshake of a WebSocket; its key need not be random for us.
fn upgrade(wire: &mut Wire, path: &str) -> io::Result<()> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let Wire::Socket(socket) = wire else {
        return Err(io::Error::other("WebSockets go over plain sockets here"));
    };
    let mut stream = std::os::unix::net::UnixStream::from(socket.try_clone()?);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(crate::run::DRAIN))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // Byte by byte: what follows belongs to the messages.
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < MOST_OF_AN_UPGRADE {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        let line = String::from_utf8_lossy(&answer);
        let line = line.lines().next().unwrap_or_default();
        return Err(io::Error::other(format!("the server answered {line:?} to the upgrade")));
    }
    stream.set_nonblocking(true)?;
    Ok(())
}
