//! The command line: `--name value` pairs into a checked [`Config`].

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

pub const USAGE: &str = "\
usage: batuta-load --address HOST:PORT [options]
  --address HOST:PORT  the echo server (numeric host)
  --connections N      connections to open (default 10)
  --size N             bytes per request, at least 2 (default 64)
  --in-flight N        requests kept in flight on each connection (default 1)
  --seconds S          length of the measured window (default 1)
  --warm-up S          time before the window (default 0.2)
  --server-pid PID     report the processor time and context switches of this process
  --core N             run on this processor only
  --verify             compare every byte that comes back";

/// Largest request: the reply buffer and the message templates stay far from exhausting memory.
const MAX_SIZE: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub address: SocketAddr,
    pub connections: usize,
    pub size: usize,
    pub in_flight: usize,
    pub window: Duration,
    pub warm_up: Duration,
    pub server_pid: Option<i32>,
    pub core: Option<usize>,
    pub verify: bool,
}

impl Config {
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut address = None;
        let mut config = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            connections: 10,
            size: 64,
            in_flight: 1,
            window: Duration::from_secs(1),
            warm_up: Duration::from_millis(200),
            server_pid: None,
            core: None,
            verify: false,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            if name == "--verify" {
                config.verify = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--address" => address = Some(parse(&name, &value)?),
                "--connections" => config.connections = parse(&name, &value)?,
                "--size" => config.size = parse(&name, &value)?,
                "--in-flight" => config.in_flight = parse(&name, &value)?,
                "--seconds" => config.window = seconds(&name, &value)?,
                "--warm-up" => config.warm_up = seconds(&name, &value)?,
                "--server-pid" => config.server_pid = Some(parse(&name, &value)?),
                "--core" => config.core = Some(parse(&name, &value)?),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        config.address = address.ok_or("--address is required")?;
        config.checked()
    }

    fn checked(self) -> Result<Self, String> {
        if self.connections == 0 || self.in_flight == 0 {
            return Err("--connections and --in-flight must be at least 1".into());
        }
        if !(2..=MAX_SIZE).contains(&self.size) {
            return Err(format!("--size must be between 2 and {MAX_SIZE}"));
        }
        if self.in_flight.checked_mul(self.size).is_none_or(|bytes| bytes > MAX_SIZE) {
            return Err(format!("--in-flight times --size must not exceed {MAX_SIZE}"));
        }
        if self.window.is_zero() {
            return Err("--seconds must be more than 0".into());
        }
        if self.server_pid.is_some_and(|pid| pid <= 0) {
            return Err("--server-pid must be a process id".into());
        }
        Ok(self)
    }
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is not valid"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(parse(name, value)?)
        .map_err(|_| format!("{name}: {value:?} is not a time in seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Config, String> {
        Config::from_arguments(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_reach_their_fields() {
        let config = read(
            "--address 127.0.0.1:80 --connections 3 --size 100 --in-flight 4 --seconds 0.5 \
             --warm-up 0 --server-pid 7 --core 1 --verify",
        )
        .unwrap();
        assert_eq!(config.address.port(), 80);
        assert_eq!((config.connections, config.size, config.in_flight), (3, 100, 4));
        assert_eq!(config.window, Duration::from_millis(500));
        assert!(config.warm_up.is_zero());
        assert_eq!((config.server_pid, config.core, config.verify), (Some(7), Some(1), true));
    }

    #[test]
    fn bad_options_are_refused_by_name() {
        for (line, word) in [
            ("--connections 3", "--address"),
            ("--address nowhere", "--address"),
            ("--address 127.0.0.1:80 --size 1", "--size"),
            ("--address 127.0.0.1:80 --size 9999999 --in-flight 9999999", "--in-flight"),
            ("--address 127.0.0.1:80 --in-flight 0", "--in-flight"),
            ("--address 127.0.0.1:80 --seconds 0", "--seconds"),
            ("--address 127.0.0.1:80 --seconds -1", "--seconds"),
            ("--address 127.0.0.1:80 --speed 3", "--speed"),
            ("--address 127.0.0.1:80 --core", "--core"),
            ("--address 127.0.0.1:80 --server-pid -4", "--server-pid"),
        ] {
            let problem = read(line).unwrap_err();
            assert!(problem.contains(word), "{line}: {problem}");
        }
    }
}
