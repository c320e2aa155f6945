//! The limit: a server on one thread with nothing in it but the system calls that it cannot do
//! without. Depth first: what a connection has sent is sent back before the next one is looked at.
//!
//! It talks to the runner as the servers under test do: one line of JSON that says who and where
//! it is, then one line with the processor time used so far for each line it reads; it ends with
//! its standard input.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustls::{ServerConfig, ServerConnection};

use crate::config::{Place, Service, What};
use crate::limits;
use crate::peer::Peer;
use crate::process;
use crate::tls::Tls;
use crate::uring;
use crate::wire::{Wire, has_ended};

const LISTENER: u64 = u64::MAX;
const RUNNER: u64 = u64::MAX - 1;
const EVENTS: usize = 1024;
const BACKLOG: i32 = 1024;

struct Server {
    what: What,
    /// Whether the end of a connection is answered with a reset.
    reset: bool,
    answer: Vec<u8>,
    tls: Option<Arc<ServerConfig>>,
    listener: Option<OwnedFd>,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    poll: OwnedFd,
    buffer: Vec<u8>,
}

pub fn run(service: &Service) -> Result<(), String> {
    if service.place == Place::TcpByUring {
        return uring::run(service.core);
    }
    limits::pin(service.core)?;
    limits::raise_descriptors();
    Server::new(service).and_then(Server::serve).map_err(|error| error.to_string())
}

impl Server {
    fn new(service: &Service) -> io::Result<Self> {
        let mut server = Self {
            what: service.what,
            reset: service.reset,
            answer: answer_of(service.size),
            tls: None,
            listener: None,
            peers: Vec::new(),
            free: Vec::new(),
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            buffer: vec![0; service.read],
        };
        let mut port = 0;
        match &service.place {
            Place::Unix(path) => server.listener = Some(UnixListener::bind(path)?.into()),
            Place::Tcp | Place::TcpByUring | Place::Tls(_) => {
                let listener = TcpListener::bind("127.0.0.1:0")?;
                port = listener.local_addr()?.port();
                server.listener = Some(listener.into());
            }
            Place::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.set_nonblocking(true)?;
                limits::make_room_for_datagrams(&socket)?;
                port = socket.local_addr()?.port();
                server.adopt(Wire::Datagrams(socket.into()))?;
            }
            Place::Pipes(folder) => server.adopt(Wire::serve_pipes(folder)?)?,
        }
        if let Place::Tls(folder) = &service.place {
            server.tls = Some(crate::tls::server(folder)?);
        }
        if let Some(listener) = &server.listener {
            rustix::net::listen(listener, BACKLOG)?;
            rustix::io::ioctl_fionbio(listener, true)?;
            let data = epoll::EventData::new_u64(LISTENER);
            epoll::add(&server.poll, listener, data, epoll::EventFlags::IN)?;
        }
        let data = epoll::EventData::new_u64(RUNNER);
        epoll::add(&server.poll, io::stdin().as_fd(), data, epoll::EventFlags::IN)?;
        introduce(port)?;
        Ok(server)
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.poll, spare, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    RUNNER => {
                        if !attend()? {
                            return Ok(());
                        }
                    }
                    index => {
                        let index = usize::try_from(index).map_err(io::Error::other)?;
                        self.advance(index, has_ended(event.flags))?;
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let Some(listener) = &self.listener else { return Ok(()) };
            let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
            let socket = match rustix::net::accept_with(listener, flags) {
                Ok(socket) => socket,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.what == What::Close {
                continue; // dropped: closed
            }
            // Fails on Unix sockets, which have no such delay.
            let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
            if self.reset {
                rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
            }
            let wire = match &self.tls {
                Some(config) => {
                    let session =
                        ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                    Wire::Tls(Box::new(Tls::new(session, socket)))
                }
                None => Wire::Socket(socket),
            };
            self.adopt(wire)?;
        }
    }

    fn adopt(&mut self, wire: Wire) -> io::Result<()> {
        let index = self.free.pop().unwrap_or(self.peers.len());
        wire.register(&self.poll, index as u64, false)?;
        if index == self.peers.len() {
            self.peers.push(None);
        }
        self.peers[index] = Some(Peer::new(wire));
        Ok(())
    }

    fn advance(&mut self, index: usize, ended: bool) -> io::Result<()> {
        let Some(peer) = &mut self.peers[index] else { return Ok(()) };
        peer.ended |= ended;
        let goes_on = match self.what {
            What::Http => peer.answer(&mut self.buffer, &self.answer),
            What::Sink => peer.count(&mut self.buffer),
            What::Echo | What::Close => peer.echo(&mut self.buffer),
        };
        match goes_on {
            Ok(true) => {}
            // One client's end is not the server's.
            Ok(false) => self.forget(index),
            Err(error) if is_the_clients(&error) => self.forget(index),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Dropping the wire closes it, and epoll forgets what is closed.
    fn forget(&mut self, index: usize) {
        self.peers[index] = None;
        self.free.push(index);
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::Other // rustls: the peer does not speak TLS
    )
}

fn answer_of(size: usize) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {size}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}

/// Tells the runner who and where the server is.
pub fn introduce(port: u16) -> io::Result<()> {
    say(&format!(
        "{{\"type\": \"batuta-load serve\", \"bases\": [], \"version\": \"{}\", \"build\": \
         null, \"pid\": {}, \"host\": \"127.0.0.1\", \"port\": {port}}}",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
    ))
}

/// Answers the runner; false when it has gone.
pub fn attend() -> io::Result<bool> {
    let mut line = [0; 4096];
    let count = io::stdin().lock().read(&mut line)?;
    // One line is one question.
    for _ in line[..count].split_inclusive(|&byte| byte == b'\n') {
        let used = process::own_usage()?;
        say(&format!(
            "{{\"user_s\": {:.6}, \"system_s\": {:.6}, \"page_faults\": {}}}",
            used.user_s, used.system_s, used.page_faults
        ))?;
    }
    Ok(count > 0)
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
