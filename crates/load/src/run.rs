//! The run itself: warm-up, measured window, drain.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::config::{Config, Talk, Target};
use crate::connection::{Connection, Shared};
use crate::histogram::Histogram;
use crate::limits;
use crate::messages::Messages;
use crate::report::{Clocks, Edge, Report};
use crate::wire::has_ended;

/// How long the server may take to answer what is open when the window ends.
pub const DRAIN: Duration = Duration::from_secs(10);
/// The same for datagrams: what is not back by then is lost.
const DRAIN_DATAGRAMS: Duration = Duration::from_millis(200);
const READ_BUFFER: usize = 256 << 10;
const EVENTS: usize = 256;

struct Run<'a> {
    shared: Shared<'a>,
    connections: Vec<Connection>,
    poll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    latencies: Histogram,
    clocks: Clocks,
}

pub fn run(config: &Config) -> Result<Report, String> {
    limits::pin(config.core)?;
    limits::raise_descriptors();
    let messages = messages(config);
    let mut run = Run::new(config, &messages).map_err(|error| error.to_string())?;
    let report = run.measure(config).map_err(|error| error.to_string())?;
    if config.talk == Talk::OneWay {
        for connection in run.connections {
            connection.settle().map_err(|error| error.to_string())?;
        }
    }
    Ok(report)
}

fn messages(config: &Config) -> Messages {
    let (size, in_flight, connections) = (config.size, config.in_flight, config.connections);
    match config.talk {
        Talk::Stream => Messages::new(size, in_flight, connections),
        Talk::OneWay => {
            // Whole chunks can be taken in one slice.
            Messages::new(size, (READ_BUFFER / size).max(1), connections)
        }
        Talk::Http => {
            let path = &config.path;
            Messages::fixed(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        }
        Talk::WebSocket => {
            let (request, reply) = frames(size);
            Messages::framed(size, in_flight, connections, &request, &reply)
        }
    }
}

/// The heads of a client's and of a server's binary message. The client's mask is zero, which
/// leaves the payload as it is; servers must unmask it all the same.
fn frames(size: usize) -> (Vec<u8>, Vec<u8>) {
    let mut reply = vec![0x82];
    match size {
        0..126 => reply.push(u8::try_from(size).unwrap_or(0)),
        126..65_536 => {
            reply.push(126);
            reply.extend(u16::try_from(size).unwrap_or(0).to_be_bytes());
        }
        _ => {
            reply.push(127);
            reply.extend((size as u64).to_be_bytes());
        }
    }
    let mut request = reply.clone();
    request[1] |= 0x80;
    request.extend([0; 4]);
    (request, reply)
}

impl<'a> Run<'a> {
    fn new(config: &Config, messages: &'a Messages) -> io::Result<Self> {
        let clocks = Clocks::of(config.server_pid)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(config.connections);
        for index in 0..config.connections {
            let connection = Connection::open(config, messages.start(index))?;
            connection.wire().register(&poll, index as u64, config.talk == Talk::OneWay)?;
            connections.push(connection);
        }
        Ok(Self {
            shared: Shared {
                messages,
                verify: config.verify,
                buffer: vec![0; READ_BUFFER],
                refill: true,
            },
            connections,
            poll,
            events: Vec::with_capacity(EVENTS),
            latencies: Histogram::new(),
            clocks,
        })
    }

    fn measure(&mut self, config: &Config) -> io::Result<Report> {
        let one_way = config.talk == Talk::OneWay;
        let now = self.clocks.now();
        let size = self.shared.messages.request_size();
        if !one_way {
            for connection in &mut self.connections {
                connection.grant(config.in_flight as u64, size, now);
            }
        }
        // The first report of writability by epoll sends the first requests.
        self.until(Instant::now() + config.warm_up, |_| false)?;

        self.latencies.clear();
        let before: Vec<u64> = self.connections.iter().map(|one| one.completed).collect();
        let begin = self.clocks.edge()?;
        self.until(Instant::now() + config.window, |_| false)?;
        // A window in which nothing came back says nothing: it lasts until something does.
        let answered = |run: &Self| run.completed() > before.iter().sum();
        self.until(Instant::now() + DRAIN, answered)?;
        let end = self.clocks.edge()?;

        let mut report = self.report(config, &before, &begin, &end);
        if report.requests == 0 {
            return Err(io::Error::other("no request was answered in the measured window"));
        }
        if one_way {
            return Ok(report);
        }
        self.shared.refill = false;
        let datagrams = matches!(config.target, Target::Udp(_));
        let patience = if datagrams { DRAIN_DATAGRAMS } else { DRAIN };
        let idle = |run: &Self| run.connections.iter().all(|one| one.open_requests() == 0);
        self.until(Instant::now() + patience, idle)?;
        let open: usize = self.connections.iter().map(Connection::open_requests).sum();
        if datagrams {
            report.lost = open as u64;
        } else if open > 0 {
            return Err(io::Error::other(format!("{open} requests were never answered")));
        }
        Ok(report)
    }

    /// Serves events until the deadline or until `finished` says so.
    fn until(&mut self, deadline: Instant, finished: impl Fn(&Self) -> bool) -> io::Result<()> {
        while !finished(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let timeout = left.try_into().map_err(io::Error::other)?;
            self.events.clear();
            let spare = rustix::buffer::spare_capacity(&mut self.events);
            match epoll::wait(&self.poll, spare, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &self.events {
                let index = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                let clocks = &self.clocks;
                let latencies = &mut self.latencies;
                self.connections[index].advance(
                    &mut self.shared,
                    has_ended(event.flags),
                    || clocks.now(),
                    |latency| latencies.record(latency),
                )?;
            }
        }
        Ok(())
    }

    fn completed(&self) -> u64 {
        self.connections.iter().map(|one| one.completed).sum()
    }

    fn report(&self, config: &Config, before: &[u64], begin: &Edge, end: &Edge) -> Report {
        let per_connection =
            || self.connections.iter().zip(before).map(|(one, before)| one.completed - before);
        let requests: u64 = per_connection().sum();
        Report {
            bytes: requests * config.size as u64,
            least_on_a_connection: per_connection().min().unwrap_or(0),
            most_on_a_connection: per_connection().max().unwrap_or(0),
            verified: config.verify && matches!(config.talk, Talk::Stream | Talk::WebSocket),
            ..Report::between(begin, end, requests, &self.latencies)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websocket_heads_carry_the_length_in_each_of_its_three_forms() {
        let heads = |size| {
            let (request, reply) = frames(size);
            assert_eq!(request.len(), reply.len() + 4, "a mask of four bytes");
            assert_eq!(request[1], reply[1] | 0x80);
            reply
        };
        assert_eq!(heads(64), [0x82, 64]);
        assert_eq!(heads(1024), [0x82, 126, 4, 0]);
        assert_eq!(heads(100 << 10), [0x82, 127, 0, 0, 0, 0, 0, 1, 0x90, 0]);
    }
}
