//! The command line: a command and `--name value` pairs, into a checked [`Command`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub const USAGE: &str = "\
usage: batuta-load [COMMAND] [options]

commands
  echo                 requests that a server sends back, and what they cost it (the default)
  connect              connections opened and closed, and what they cost the server
  idle                 opens connections, says so, and holds them until its input ends
  serve                a server with nothing in it but the system calls: the limit
  certificate FOLDER   writes certificate.pem and key.pem for 127.0.0.1 and localhost

where (echo, connect and idle; serve takes --unix and --pipes, and ports of its own choice)
  --address HOST:PORT  a TCP server (numeric host)
  --unix PATH          a server on a Unix socket
  --udp HOST:PORT      datagrams
  --pipes FOLDER       named pipes FOLDER/to-server and FOLDER/from-server
  --tls CERTIFICATE    TLS over --address; trusts this PEM file

echo
  --talk KIND          stream: bytes sent back as they are (default)
                       one-way: the server counts, and answers with the count at the end
                       http: GET requests; the answer's body has --size bytes
                       websocket: binary messages of --size bytes
  --path PATH          of the HTTP request (default /)
  --connections N      connections to open (default 10)
  --size N             bytes per request, at least 2 (default 64)
  --in-flight N        requests kept in flight on each connection (default 1)
  --seconds S          length of the measured window (default 1)
  --warm-up S          time before the window (default 0.2)
  --server-pid PID     report the processor time and context switches of this process
  --core N             run on this processor only
  --verify             compare every byte that comes back (stream and websocket; the report says
                       \"verified\": true if it was done)

connect (also --connections: how many at a time, --seconds, --warm-up, --server-pid, --core)
  --exchange           send one request and read the answer before closing;
                       without it the server closes

idle (also --connections)

serve
  --what KIND          echo (default), sink, close, http
  --udp-echo           serve echo over UDP
  --uring              serve echo over TCP by io_uring instead of epoll
  --tls-key FOLDER     serve TLS with what `certificate` wrote there
  --reset              answer the end of a connection with a reset, so that nothing of it remains
  --size N             bytes in the body of HTTP answers
  --read N             bytes to receive at once (default 262144)
  --core N             run on this processor only";

/// Largest request: the reply buffer and the message templates stay far from exhausting memory.
const MAX_SIZE: usize = 16 << 20;
/// How much a server receives at once, in bytes.
const READ: usize = 256 << 10;
/// Largest datagram that UDP over IPv4 carries.
const MAX_DATAGRAM: usize = 65_507;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Echo(Config),
    Connect(Config),
    Idle(Config),
    Serve(Service),
    Certificate(PathBuf),
    Help,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Udp(SocketAddr),
    Pipes(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Talk {
    Stream,
    OneWay,
    Http,
    WebSocket,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub target: Target,
    pub tls: Option<PathBuf>,
    pub talk: Talk,
    pub path: String,
    pub connections: usize,
    pub size: usize,
    pub in_flight: usize,
    pub window: Duration,
    pub warm_up: Duration,
    pub server_pid: Option<i32>,
    pub core: Option<usize>,
    pub verify: bool,
    pub exchange: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    Echo,
    Sink,
    Close,
    Http,
}

/// Where the limit listens.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    Tcp,
    /// The same by `io_uring`.
    TcpByUring,
    Unix(PathBuf),
    Udp,
    Pipes(PathBuf),
    Tls(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub what: What,
    pub place: Place,
    pub size: usize,
    pub read: usize,
    pub core: Option<usize>,
    pub reset: bool,
}

impl Command {
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.peekable();
        if arguments.peek().is_some_and(|word| word == "--help" || word == "-h") {
            return Ok(Self::Help);
        }
        let named = arguments.next_if(|word| !word.starts_with("--"));
        match named.as_deref() {
            None | Some("echo") => Ok(Self::Echo(Config::from_options(arguments)?.checked()?)),
            Some("connect") => Ok(Self::Connect(Config::from_options(arguments)?.checked()?)),
            Some("idle") => Ok(Self::Idle(Config::from_options(arguments)?.checked()?)),
            Some("serve") => Ok(Self::Serve(Service::from_options(arguments)?)),
            Some("certificate") => match (arguments.next(), arguments.next()) {
                (Some(folder), None) => Ok(Self::Certificate(folder.into())),
                _ => Err("certificate needs a folder and nothing else".into()),
            },
            Some(other) => Err(format!("unknown command {other}")),
        }
    }
}

impl Config {
    fn from_options(mut options: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut target = None;
        let mut config = Self {
            target: Target::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            tls: None,
            talk: Talk::Stream,
            path: "/".into(),
            connections: 10,
            size: 64,
            in_flight: 1,
            window: Duration::from_secs(1),
            warm_up: Duration::from_millis(200),
            server_pid: None,
            core: None,
            verify: false,
            exchange: false,
        };
        while let Some(name) = options.next() {
            match name.as_str() {
                "--verify" => {
                    config.verify = true;
                    continue;
                }
                "--exchange" => {
                    config.exchange = true;
                    continue;
                }
                _ => {}
            }
            let value = options.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--address" => only(&mut target, Target::Tcp(parse(&name, &value)?))?,
                "--unix" => only(&mut target, Target::Unix(value.into()))?,
                "--udp" => only(&mut target, Target::Udp(parse(&name, &value)?))?,
                "--pipes" => only(&mut target, Target::Pipes(value.into()))?,
                "--tls" => config.tls = Some(value.into()),
                "--talk" => config.talk = talk(&value)?,
                "--path" => config.path = value,
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
        config.target = target.ok_or("--address, --unix, --udp or --pipes is required")?;
        Ok(config)
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
        if self.talk == Talk::Http && self.in_flight != 1 {
            return Err("--talk http has one request in flight; --in-flight must be 1".into());
        }
        if self.talk == Talk::OneWay && (self.tls.is_some() || self.in_flight != 1) {
            return Err("--talk one-way goes with neither --tls nor --in-flight".into());
        }
        match &self.target {
            Target::Tcp(_) => {}
            _ if self.tls.is_some() => return Err("--tls needs --address".into()),
            Target::Unix(_) => {}
            _ if self.talk != Talk::Stream => return Err("--talk needs --address or --unix".into()),
            Target::Udp(_) if self.size > MAX_DATAGRAM => {
                return Err(format!("--size of a datagram must not exceed {MAX_DATAGRAM}"));
            }
            Target::Pipes(_) if self.connections != 1 => {
                return Err("--pipes is one connection: --connections must be 1".into());
            }
            Target::Udp(_) | Target::Pipes(_) => {}
        }
        Ok(self)
    }
}

impl Service {
    fn from_options(mut options: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut place = None;
        let mut service = Self {
            what: What::Echo,
            place: Place::Tcp,
            size: 64,
            read: READ,
            core: None,
            reset: false,
        };
        while let Some(name) = options.next() {
            if name == "--reset" {
                service.reset = true;
                continue;
            }
            if let Some(named) = match name.as_str() {
                "--udp-echo" => Some(Place::Udp),
                "--uring" => Some(Place::TcpByUring),
                _ => None,
            } {
                only(&mut place, named)?;
                continue;
            }
            let value = options.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--what" => {
                    service.what = match value.as_str() {
                        "echo" => What::Echo,
                        "sink" => What::Sink,
                        "close" => What::Close,
                        "http" => What::Http,
                        _ => return Err(format!("--what: {value:?} is not valid")),
                    }
                }
                "--unix" => only(&mut place, Place::Unix(value.into()))?,
                "--pipes" => only(&mut place, Place::Pipes(value.into()))?,
                "--tls-key" => only(&mut place, Place::Tls(value.into()))?,
                "--size" => service.size = parse(&name, &value)?,
                "--read" => service.read = parse(&name, &value)?,
                "--core" => service.core = Some(parse(&name, &value)?),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        service.place = place.unwrap_or(Place::Tcp);
        if service.size > MAX_SIZE {
            return Err(format!("--size must not exceed {MAX_SIZE}"));
        }
        if service.read == 0 || service.read > MAX_SIZE {
            return Err(format!("--read must be between 1 and {MAX_SIZE}"));
        }
        if service.read != READ && service.place == Place::TcpByUring {
            return Err(
                "--read is for epoll: with --uring the kernel has buffers of one size".into()
            );
        }
        let echo_only = matches!(service.place, Place::Udp | Place::Pipes(_) | Place::TcpByUring);
        if echo_only && service.what != What::Echo {
            return Err("--udp-echo, --pipes and --uring serve echo only: --what".into());
        }
        if service.reset && !matches!(service.place, Place::Tcp | Place::Tls(_)) {
            return Err("--reset is for connections over TCP that epoll watches".into());
        }
        Ok(service)
    }
}

/// Keeps the one place that may be named.
fn only<T>(kept: &mut Option<T>, place: T) -> Result<(), String> {
    match kept.replace(place) {
        None => Ok(()),
        Some(_) => Err("one place only: a second one is named".into()),
    }
}

fn talk(value: &str) -> Result<Talk, String> {
    match value {
        "stream" => Ok(Talk::Stream),
        "one-way" => Ok(Talk::OneWay),
        "http" => Ok(Talk::Http),
        "websocket" => Ok(Talk::WebSocket),
        _ => Err(format!("--talk: {value:?} is not valid")),
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
mod tests;
