//! What carries bytes: a socket, datagrams, two pipes, or TLS over a socket. Never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};

use crate::config::{Config, Target};
use crate::limits;
use crate::tls::Tls;

pub enum Wire {
    Socket(OwnedFd),
    Datagrams(OwnedFd),
    Pipes { from: OwnedFd, to: OwnedFd },
    Tls(Box<Tls>),
}

impl Wire {
    /// Connects, with the TLS handshake done where there is one.
    pub fn open(config: &Config) -> io::Result<Self> {
        match &config.target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                if let Some(certificate) = &config.tls {
                    let tls = Tls::handshake(&crate::tls::client(certificate)?, stream)?;
                    return Ok(Self::Tls(Box::new(tls)));
                }
                stream.set_nonblocking(true)?;
                Ok(Self::Socket(stream.into()))
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Self::Socket(stream.into()))
            }
            Target::Udp(address) => {
                let own = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
                let socket = std::net::UdpSocket::bind(own)?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                limits::make_room_for_datagrams(&socket)?;
                Ok(Self::Datagrams(socket.into()))
            }
            Target::Pipes(folder) => Ok(Self::Pipes {
                to: open_pipe(&folder.join("to-server"), OFlags::WRONLY)?,
                from: open_pipe(&folder.join("from-server"), OFlags::RDONLY)?,
            }),
        }
    }

    /// The server's ends of named pipes that the client opens by the same names.
    pub fn serve_pipes(folder: &Path) -> io::Result<Self> {
        // Opened for both directions, so that a client may come and go without an end of file.
        Ok(Self::Pipes {
            from: open_pipe(&folder.join("to-server"), OFlags::RDWR)?,
            to: open_pipe(&folder.join("from-server"), OFlags::RDWR)?,
        })
    }

    /// Register with these events, edge-triggered unless said otherwise; pipes, each end for what
    /// it can do.
    pub fn register(&self, poll: &OwnedFd, index: u64, level: bool) -> io::Result<()> {
        let data = || epoll::EventData::new_u64(index);
        let trigger = if level { epoll::EventFlags::empty() } else { epoll::EventFlags::ET };
        let read = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | trigger;
        let write = epoll::EventFlags::OUT | trigger;
        match self {
            Self::Pipes { from, to } => {
                epoll::add(poll, from, data(), read)?;
                epoll::add(poll, to, data(), write)?;
            }
            Self::Socket(fd) | Self::Datagrams(fd) => {
                epoll::add(poll, fd, data(), read | write)?;
            }
            Self::Tls(tls) => epoll::add(poll, tls.socket(), data(), read | write)?,
        }
        Ok(())
    }

    /// Whether a read that does not fill the buffer has emptied the source, unless the peer has
    /// ended.
    pub fn short_read_is_last(&self) -> bool {
        matches!(self, Self::Socket(_) | Self::Pipes { .. })
    }

    /// Whether each write must be one message.
    pub fn is_datagrams(&self) -> bool {
        matches!(self, Self::Datagrams(_))
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(fd) | Self::Datagrams(fd) | Self::Pipes { from: fd, .. } => {
                Ok(rustix::io::read(fd, buffer)?)
            }
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(fd) | Self::Datagrams(fd) | Self::Pipes { to: fd, .. } => {
                Ok(rustix::io::write(fd, bytes)?)
            }
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Hands the kernel what a `write` has kept, as far as it takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(tls) => tls.flush(),
            _ => Ok(()),
        }
    }

    /// The socket alone, for what is done at the end.
    pub fn into_socket(self) -> Option<OwnedFd> {
        match self {
            Self::Socket(fd) => Some(fd),
            _ => None,
        }
    }
}

fn open_pipe(path: &Path, direction: OFlags) -> io::Result<OwnedFd> {
    rustix::fs::open(path, direction | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// A descriptor as `Read` and `Write`, for rustls.
pub struct Plain<'a>(pub BorrowedFd<'a>);

impl<'a> Plain<'a> {
    pub fn of(fd: &'a OwnedFd) -> Self {
        Self(fd.as_fd())
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the peer has ended, so that there is an end to be read behind the last bytes. It may
/// have come with them, in one event: then no other one follows.
pub fn has_ended(flags: epoll::EventFlags) -> bool {
    flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
}

/// None instead of an error that only says "not now".
pub fn now_or_later(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => Ok(None),
        Err(error) => Err(error),
    }
}
