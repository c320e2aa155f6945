//! Where a connection leads.

use crate::ffi::{Obj, Visitor};

/// What a program wants a connection to.
#[derive(Debug)]
pub struct Wanted {
    /// As given; `None` if it was not.
    pub host: Obj,
    /// The same.
    pub port: Obj,
    /// Numbers for `getaddrinfo()`.
    pub family: i64,
    /// The same.
    pub protocol: i64,
    /// The same.
    pub flags: i64,
}

/// Where a connection leads.
#[derive(Debug)]
pub enum Destination {
    /// To a host and a port.
    Host(Wanted),
    /// To a Unix socket's path.
    Path(Obj),
    /// To where the program has connected a socket.
    Socket(Obj),
}

impl Destination {
    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Host(Wanted { host, port, .. }) => {
                visitor.obj(host);
                visitor.obj(port);
            }
            Self::Path(object) | Self::Socket(object) => visitor.obj(object),
        }
    }
}

/// Which of the loop's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `create_connection()`
    Tcp,
    /// `create_unix_connection()`
    Unix,
}

impl Method {
    /// `__qualname__` of its coroutine.
    pub fn qualname(self) -> &'static str {
        match self {
            Self::Tcp => "BaseEventLoop.create_connection",
            Self::Unix => "_UnixSelectorEventLoop.create_unix_connection",
        }
    }
}
