//! The report of a measured run, as one JSON object.

use std::fmt::Write as _;
use std::io;
use std::time::Instant;

use crate::histogram::Histogram;
use crate::process::{CpuClock, involuntary_switches};

/// Reads the clocks at the edges of the measured window.
pub struct Clocks {
    origin: Instant,
    server: Option<(i32, CpuClock)>,
}

/// Counters at one edge of the measured window.
pub struct Edge {
    at_ns: u64,
    client_cpu: u64,
    server_cpu: Option<u64>,
    switches: Option<u64>,
}

pub struct Report {
    pub requests: u64,
    pub bytes: u64,
    pub lost: u64,
    pub least_on_a_connection: u64,
    pub most_on_a_connection: u64,
    pub verified: bool,
    pub window_ns: u64,
    pub client_cpu_ns: u64,
    pub server_cpu_ns: Option<u64>,
    pub server_involuntary_switches: Option<u64>,
    /// None where requests have no answer of their own.
    pub latencies: Option<([(&'static str, u64); 4], u64)>,
}

impl Clocks {
    pub fn of(server_pid: Option<i32>) -> io::Result<Self> {
        let server = match server_pid {
            Some(pid) => Some((pid, CpuClock::of(pid)?)),
            None => None,
        };
        Ok(Self { origin: Instant::now(), server })
    }

    pub fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub fn edge(&self) -> io::Result<Edge> {
        let (server_cpu, switches) = match self.server {
            Some((pid, clock)) => (Some(clock.now()?), Some(involuntary_switches(pid)?)),
            None => (None, None),
        };
        Ok(Edge { at_ns: self.now(), client_cpu: CpuClock::own().now()?, server_cpu, switches })
    }
}

impl Report {
    pub fn between(begin: &Edge, end: &Edge, requests: u64, latencies: &Histogram) -> Self {
        let percentiles = || {
            [("p50_ns", 500), ("p90_ns", 900), ("p99_ns", 990), ("p999_ns", 999)]
                .map(|(name, per_mille)| (name, latencies.percentile(per_mille)))
        };
        Self {
            requests,
            bytes: 0,
            lost: 0,
            least_on_a_connection: 0,
            most_on_a_connection: 0,
            verified: false,
            window_ns: end.at_ns - begin.at_ns,
            client_cpu_ns: end.client_cpu - begin.client_cpu,
            server_cpu_ns: difference(begin.server_cpu, end.server_cpu),
            server_involuntary_switches: difference(begin.switches, end.switches),
            latencies: (latencies.count() > 0).then(|| (percentiles(), latencies.max())),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rates, not counts")]
    pub fn to_json(&self) -> String {
        let seconds = self.window_ns as f64 / 1e9;
        let mut json = format!(
            "{{\"requests\": {}, \"bytes\": {}, \"window_ns\": {}, \"client_cpu_ns\": {}, \
             \"requests_per_s\": {:.1}, \"mb_per_s\": {:.3}",
            self.requests,
            self.bytes,
            self.window_ns,
            self.client_cpu_ns,
            self.requests as f64 / seconds,
            self.bytes as f64 / 1e6 / seconds,
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
        add("lost", Some(self.lost));
        if let Some((percentiles, max)) = self.latencies {
            for (name, value) in percentiles {
                add(name, Some(value));
            }
            add("max_ns", Some(max));
        }
        let _ = write!(json, ", \"verified\": {}}}", self.verified);
        json
    }
}

fn difference(begin: Option<u64>, end: Option<u64>) -> Option<u64> {
    Some(end?.saturating_sub(begin?))
}
