//! Connections opened and closed, so many at a time, and what they cost the server.
//!
//! A connection is done when the server has closed it, or, with `--exchange`, when one request has
//! come back. It is then reset, not closed in order: nothing of it remains in the kernel, so that
//! ports do not run out.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};
use rustls::ClientConfig;

use crate::config::{Config, Target};
use crate::histogram::Histogram;
use crate::limits;
use crate::messages::Messages;
use crate::report::{Clocks, Report};
use crate::run::DRAIN;
use crate::tls::Tls;
use crate::wire::{Wire, now_or_later};

const READ_BUFFER: usize = 64 << 10;
const EVENTS: usize = 256;

struct Attempt {
    wire: Wire,
    begun: u64,
    sent: usize,
    received: usize,
}

struct Rate<'a> {
    config: &'a Config,
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    request: Vec<u8>,
    attempts: Vec<Option<Attempt>>,
    poll: OwnedFd,
    clocks: Clocks,
    latencies: Histogram,
    buffer: Vec<u8>,
    /// Whether a connection that is done is followed by a new one.
    refill: bool,
}

pub fn run(config: &Config) -> Result<Report, String> {
    limits::pin(config.core)?;
    limits::raise_descriptors();
    let Target::Tcp(address) = config.target else {
        return Err("connect needs --address".into());
    };
    if config.tls.is_some() && !config.exchange {
        return Err("connect with --tls needs --exchange".into());
    }
    Rate::new(config, address)
        .and_then(|mut rate| rate.measure())
        .map_err(|error| error.to_string())
}

impl<'a> Rate<'a> {
    fn new(config: &'a Config, address: SocketAddr) -> io::Result<Self> {
        let messages = Messages::new(config.size, 1, 1);
        Ok(Self {
            config,
            address,
            tls: config.tls.as_deref().map(crate::tls::client).transpose()?,
            request: messages.slice(0, 0, config.size as u64).to_vec(),
            attempts: (0..config.connections).map(|_| None).collect(),
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            clocks: Clocks::of(config.server_pid)?,
            latencies: Histogram::new(),
            buffer: vec![0; READ_BUFFER],
            refill: true,
        })
    }

    fn measure(&mut self) -> io::Result<Report> {
        for slot in 0..self.attempts.len() {
            self.begin(slot)?;
        }
        self.until(Instant::now() + self.config.warm_up, |_| false)?;
        self.latencies.clear();
        let begin = self.clocks.edge()?;
        self.until(Instant::now() + self.config.window, |_| false)?;
        // A window in which nothing was done says nothing: it lasts until something is.
        self.until(Instant::now() + DRAIN, |rate| rate.latencies.count() > 0)?;
        let end = self.clocks.edge()?;
        let requests = self.latencies.count();
        let report = Report {
            verified: self.config.exchange,
            ..Report::between(&begin, &end, requests, &self.latencies)
        };
        self.refill = false;
        self.until(Instant::now() + DRAIN, |rate| rate.attempts.iter().all(Option::is_none))?;
        let open = self.attempts.iter().flatten().count();
        if open > 0 {
            return Err(io::Error::other(format!("{open} connections were never done")));
        }
        if requests == 0 {
            return Err(io::Error::other("no connection was done in the measured window"));
        }
        Ok(report)
    }

    fn begin(&mut self, slot: usize) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let family = match self.address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_socket_linger(&socket, Some(std::time::Duration::ZERO))?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let begun = self.clocks.now();
        match connect(&socket, &self.address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let wire = match &self.tls {
            Some(tls) => Wire::Tls(Box::new(Tls::client(tls, socket)?)),
            None => Wire::Socket(socket),
        };
        wire.register(&self.poll, slot as u64, false)?;
        self.attempts[slot] = Some(Attempt { wire, begun, sent: 0, received: 0 });
        Ok(())
    }

    /// Serves events until the deadline or until `finished` says so.
    fn until(&mut self, deadline: Instant, finished: impl Fn(&Self) -> bool) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        while !finished(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let timeout = left.try_into().map_err(io::Error::other)?;
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.poll, spare, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let slot = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                let Some(attempt) = &mut self.attempts[slot] else { continue };
                let exchange = self.config.exchange.then_some(self.request.as_slice());
                if attempt.advance(event.flags, exchange, &mut self.buffer)? {
                    self.latencies.record(self.clocks.now().saturating_sub(attempt.begun));
                    self.attempts[slot] = None; // closes the socket: epoll forgets it
                    if self.refill {
                        self.begin(slot)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Attempt {
    /// Whether it is done. `exchange` is the request to be sent and received back.
    fn advance(
        &mut self,
        flags: epoll::EventFlags,
        exchange: Option<&[u8]>,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        if !flags.intersects(epoll::EventFlags::OUT | epoll::EventFlags::IN) {
            return Err(io::Error::other("a connection was refused or reset"));
        }
        self.wire.flush()?;
        if let Some(request) = exchange {
            while self.sent < request.len() {
                match now_or_later(self.wire.write(&request[self.sent..]))? {
                    Some(count) => self.sent += count,
                    None => break,
                }
            }
        }
        while let Some(count) = now_or_later(self.wire.read(buffer))? {
            match exchange {
                None if count == 0 => return Ok(true),
                None => return Err(io::Error::other("the server sent something unasked")),
                Some(_) if count == 0 => {
                    return Err(io::Error::other("the server closed a connection"));
                }
                Some(request) => {
                    let expected = request.get(self.received..self.received + count);
                    if expected != Some(&buffer[..count]) {
                        return Err(io::Error::other(
                            "the server sent back other bytes than it received",
                        ));
                    }
                    self.received += count;
                    if self.received == request.len() {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}
