//! The run itself: warm-up, measured window, drain; and its report.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::config::Config;
use crate::connection::{Connection, Shared};
use crate::histogram::Histogram;
use crate::messages::Messages;
use crate::process::{CpuClock, involuntary_switches};

/// How long the server may take to answer what is open when the window ends.
const DRAIN: Duration = Duration::from_secs(10);
const READ_BUFFER: usize = 256 << 10;
const EVENTS: usize = 256;

pub struct Report {
    requests: u64,
    bytes: u64,
    window_ns: u64,
    client_cpu_ns: u64,
    server_cpu_ns: Option<u64>,
    server_involuntary_switches: Option<u64>,
    least_on_a_connection: u64,
    most_on_a_connection: u64,
    verified: bool,
    percentiles: [(&'static str, u64); 4],
    max_ns: u64,
}

/// Counters at one edge of the measured window.
struct Edge {
    at_ns: u64,
    client_cpu: u64,
    server_cpu: Option<u64>,
    switches: Option<u64>,
}

struct Run<'a> {
    shared: Shared<'a>,
    connections: Vec<Connection>,
    poll: rustix::fd::OwnedFd,
    events: Vec<epoll::Event>,
    latencies: Histogram,
    origin: Instant,
    server: Option<(i32, CpuClock)>,
}

pub fn run(config: &Config) -> Result<Report, String> {
    if let Some(core) = config.core {
        if core >= CpuSet::MAX_CPU {
            return Err(format!("there is no core {core}"));
        }
        let mut cores = CpuSet::new();
        cores.set(core);
        sched_setaffinity(None, &cores).map_err(|error| format!("core {core}: {error}"))?;
    }
    let messages = Messages::new(config.size, config.in_flight, config.connections);
    let mut run = Run::new(config, &messages).map_err(|error| error.to_string())?;
    run.measure(config).map_err(|error| error.to_string())
}

impl<'a> Run<'a> {
    fn new(config: &Config, messages: &'a Messages) -> io::Result<Self> {
        let server = match config.server_pid {
            Some(pid) => Some((pid, CpuClock::of(pid)?)),
            None => None,
        };
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(config.connections);
        for index in 0..config.connections {
            let start = messages.start(index);
            let connection = Connection::open(config.address, start, config.in_flight)?;
            epoll::add(
                &poll,
                connection.stream(),
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET,
            )?;
            connections.push(connection);
        }
        Ok(Self {
            shared: Shared {
                messages,
                size: config.size as u64,
                verify: config.verify,
                buffer: vec![0; READ_BUFFER],
                refill: true,
            },
            connections,
            poll,
            events: Vec::with_capacity(EVENTS),
            latencies: Histogram::new(),
            origin: Instant::now(),
            server,
        })
    }

    fn measure(&mut self, config: &Config) -> io::Result<Report> {
        let now = nanoseconds(self.origin);
        for connection in &mut self.connections {
            connection.grant(config.in_flight as u64, self.shared.size, now);
        }
        // The first report of writability by epoll sends the first requests.
        self.until(Instant::now() + config.warm_up, |_| false)?;

        self.latencies.clear();
        for connection in &mut self.connections {
            connection.completed = 0;
        }
        let begin = self.edge()?;
        self.until(Instant::now() + config.window, |_| false)?;
        let end = self.edge()?;

        let report = self.report(config, &begin, &end);
        self.shared.refill = false;
        let idle = |run: &Self| run.connections.iter().all(|one| one.open_requests() == 0);
        self.until(Instant::now() + DRAIN, idle)?;
        let open: usize = self.connections.iter().map(Connection::open_requests).sum();
        if open > 0 {
            return Err(io::Error::other(format!("{open} requests were never answered")));
        }
        if report.requests == 0 {
            return Err(io::Error::other("no request was answered in the measured window"));
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
                let origin = self.origin;
                let latencies = &mut self.latencies;
                self.connections[index].advance(
                    &mut self.shared,
                    || nanoseconds(origin),
                    |latency| latencies.record(latency),
                )?;
            }
        }
        Ok(())
    }

    fn edge(&self) -> io::Result<Edge> {
        let (server_cpu, switches) = match self.server {
            Some((pid, clock)) => (Some(clock.now()?), Some(involuntary_switches(pid)?)),
            None => (None, None),
        };
        Ok(Edge {
            at_ns: nanoseconds(self.origin),
            client_cpu: CpuClock::own().now()?,
            server_cpu,
            switches,
        })
    }

    fn report(&self, config: &Config, begin: &Edge, end: &Edge) -> Report {
        let requests = self.latencies.count();
        let per_connection = || self.connections.iter().map(|one| one.completed);
        Report {
            requests,
            bytes: requests * self.shared.size,
            window_ns: end.at_ns - begin.at_ns,
            client_cpu_ns: end.client_cpu - begin.client_cpu,
            server_cpu_ns: difference(begin.server_cpu, end.server_cpu),
            server_involuntary_switches: difference(begin.switches, end.switches),
            least_on_a_connection: per_connection().min().unwrap_or(0),
            most_on_a_connection: per_connection().max().unwrap_or(0),
            verified: config.verify,
            percentiles: [("p50_ns", 500), ("p90_ns", 900), ("p99_ns", 990), ("p999_ns", 999)]
                .map(|(name, per_mille)| (name, self.latencies.percentile(per_mille))),
            max_ns: self.latencies.max(),
        }
    }
}

impl Report {
    pub fn to_json(&self) -> String {
        let mut json = format!(
            "{{\"requests\": {}, \"bytes\": {}, \"window_ns\": {}, \"client_cpu_ns\": {}",
            self.requests, self.bytes, self.window_ns, self.client_cpu_ns
        );
        let mut add = |name: &str, value: Option<u64>| {
            let value = value.map_or_else(|| "null".into(), |value| value.to_string());
            // Writing to a String cannot fail.
            let _ = write!(json, ", \"{name}\": {value}");
        };
        add("server_cpu_ns", self.server_cpu_ns);
        add("server_involuntary_switches", self.server_involuntary_switches);
        add("least_on_a_connection", Some(self.least_on_a_connection));
        add("most_on_a_connection", Some(self.most_on_a_connection));
        for (name, value) in self.percentiles {
            add(name, Some(value));
        }
        add("max_ns", Some(self.max_ns));
        let _ = write!(json, ", \"verified\": {}}}", self.verified);
        json
    }
}

fn difference(begin: Option<u64>, end: Option<u64>) -> Option<u64> {
    Some(end?.saturating_sub(begin?))
}

fn nanoseconds(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
