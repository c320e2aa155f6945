//! The operations behind the `sock_*` calls: one try each, by the system call.
//!
//! Role: an [`Operation`] is a socket, what is to be done with it, and how far
//! it has come. [`Operation::begin`] makes the checks and the first try,
//! [`Operation::attempt`] every further one.
//!
//! There are two routes. A genuine `socket.socket` is served by system calls
//! that never block, whatever the socket's own mode. Everything else goes through
//! the socket object's own methods: subclasses and look-alikes, sockets that are
//! in blocking mode and would block, and arguments that are to raise (so that
//! the error is the interpreter's own).
//!
//! Invariant: the descriptor is asked of the socket for every try, so a socket
//! that was closed meanwhile fails instead of using a number that may have gone
//! to another file.

use std::cell::Cell;
use std::os::fd::RawFd;

use rustix::io::Errno;

use crate::event_loop::{NativeLoop, Side};
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot, Visitor, gil};

use super::lookups::Sockets;
use super::{own, system};

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `sock_recv(sock, n)`
    Recv,
    /// `sock_recv_into(sock, buf)`
    RecvInto,
    /// `sock_recvfrom(sock, bufsize)`
    RecvFrom,
    /// `sock_recvfrom_into(sock, buf, nbytes=0)`
    RecvFromInto,
    /// `sock_sendall(sock, data)`
    SendAll,
    /// `sock_sendto(sock, data, address)`
    SendTo,
    /// `sock_accept(sock)`
    Accept,
}

impl Method {
    /// `__qualname__` of the coroutine: that of asyncio's method.
    pub fn qualname(self) -> &'static str {
        match self {
            Self::Recv => "BaseSelectorEventLoop.sock_recv",
            Self::RecvInto => "BaseSelectorEventLoop.sock_recv_into",
            Self::RecvFrom => "BaseSelectorEventLoop.sock_recvfrom",
            Self::RecvFromInto => "BaseSelectorEventLoop.sock_recvfrom_into",
            Self::SendAll => "BaseSelectorEventLoop.sock_sendall",
            Self::SendTo => "BaseSelectorEventLoop.sock_sendto",
            Self::Accept => "BaseSelectorEventLoop.sock_accept",
        }
    }

    /// The method of the loop.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recv => "sock_recv",
            Self::RecvInto => "sock_recv_into",
            Self::RecvFrom => "sock_recvfrom",
            Self::RecvFromInto => "sock_recvfrom_into",
            Self::SendAll => "sock_sendall",
            Self::SendTo => "sock_sendto",
            Self::Accept => "sock_accept",
        }
    }

    /// What the socket must become for another try.
    pub fn side(self) -> Side {
        match self {
            Self::SendAll | Self::SendTo => Side::Write,
            _ => Side::Read,
        }
    }
}

/// Who makes the system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    System,
    OwnMethods,
}

/// What a try came to.
#[derive(Debug)]
pub enum Attempt {
    /// The result of the call.
    Done(Obj),
    /// To be tried again when the socket is ready.
    Blocked,
}

/// What a try by the system call came to.
pub(super) enum Native {
    Done(Obj),
    Blocked,
    /// The socket's own method has to do it.
    Unsuited,
}

impl Native {
    /// What the answer of a system call means.
    pub(super) fn settle(answer: Result<Obj, Errno>) -> PyResult<Self> {
        match answer {
            Ok(value) => Ok(Self::Done(value)),
            Err(Errno::WOULDBLOCK) => Ok(Self::Blocked),
            Err(Errno::INTR) => gil::check_signals().map(|()| Self::Blocked),
            Err(errno) => Err(Raised::os_error(errno)),
        }
    }
}

/// How far a `sock_sendall()` has come.
pub(super) enum Sending {
    /// Nothing was sent yet.
    NotBegun,
    /// By the system call: what to send, and how much of it has gone.
    System(Buffer, usize),
    /// By the socket's own method: a view of bytes, and how much of it has gone.
    Own(Obj, usize),
}

/// A socket and what is to be done with it.
pub struct Operation {
    /// Which call.
    pub method: Method,
    sock: Slot,
    /// Size, buffer or data.
    first: Slot,
    /// Size or address.
    second: Slot,
    route: Cell<Route>,
    sending: Cell<Sending>,
}

impl Operation {
    /// An operation that has not begun.
    pub fn new(method: Method, sock: &Obj, first: Option<&Obj>, second: Option<&Obj>) -> Self {
        Self {
            method,
            sock: Slot::from(sock.clone()),
            first: Slot::from(first.cloned()),
            second: Slot::from(second.cloned()),
            route: Cell::new(Route::System),
            sending: Cell::new(Sending::NotBegun),
        }
    }

    /// The socket, until the end.
    pub fn sock(&self) -> Obj {
        self.sock.get_or_none()
    }

    pub(super) fn first(&self) -> Obj {
        self.first.get_or_none()
    }

    pub(super) fn second(&self) -> Obj {
        self.second.get_or_none()
    }

    /// How far `sock_sendall()` has come, to be put back by [`Self::sent`].
    pub(super) fn take_sending(&self) -> Sending {
        self.sending.replace(Sending::NotBegun)
    }

    /// Notes how far `sock_sendall()` has come.
    pub(super) fn sent(&self, sending: Sending) {
        self.sending.set(sending);
    }

    /// Makes asyncio's checks of the socket, then the first try.
    pub fn begin(&self, event_loop: &Py<NativeLoop>) -> PyResult<Attempt> {
        let sock = self.sock();
        let sockets = Sockets::get();
        if !sockets.is_genuine(&sock, self.method)? {
            self.route.set(Route::OwnMethods);
            sockets.check_ssl_socket.call1(&sock)?;
        }
        if event_loop.debug.get() && !sockets.is_nonblocking(&sock)? {
            return Err(Raised::value_error("the socket must be non-blocking"));
        }
        if self.method == Method::RecvFromInto && !self.second().is_true()? {
            self.second.set(Some(Obj::size(self.first().len()?)?));
        }
        let attempt = self.attempt(event_loop)?;
        if matches!(attempt, Attempt::Blocked)
            && self.route.get() == Route::System
            && !sockets.is_nonblocking(&sock)?
        {
            // asyncio's own loop blocks here, for as long as the socket says.
            self.route.set(Route::OwnMethods);
            return self.attempt(event_loop);
        }
        Ok(attempt)
    }

    /// Tries.
    pub fn attempt(&self, event_loop: &Py<NativeLoop>) -> PyResult<Attempt> {
        let sock = self.sock();
        if self.route.get() == Route::System {
            match self.attempt_by_system(event_loop, &sock)? {
                Native::Done(value) => return Ok(Attempt::Done(value)),
                Native::Blocked => return Ok(Attempt::Blocked),
                Native::Unsuited => self.route.set(Route::OwnMethods),
            }
        }
        own::attempt(self, &sock).or_else(|raised| {
            if raised.is_try_again() {
                raised.clear();
                return Ok(Attempt::Blocked);
            }
            Err(raised)
        })
    }

    /// The descriptor, if further tries are nothing but the system call: no code of the program's
    /// is run by them.
    pub fn descriptor(&self) -> PyResult<Option<RawFd>> {
        let plain = match self.method {
            Method::Recv | Method::RecvFrom | Method::SendAll => true,
            Method::RecvInto | Method::RecvFromInto => self.first().is_plain_buffer(),
            Method::SendTo | Method::Accept => false,
        };
        if self.route.get() != Route::System || !plain {
            return Ok(None);
        }
        Ok(Some(Sockets::get().fd(&self.sock())?).filter(|fd| *fd >= 0))
    }

    fn attempt_by_system(&self, event_loop: &Py<NativeLoop>, sock: &Obj) -> PyResult<Native> {
        match self.method {
            Method::Recv => system::recv(event_loop, sock, &self.first()),
            Method::RecvInto => system::recv_into(sock, &self.first()),
            Method::RecvFrom => system::recvfrom(event_loop, sock, &self.first()),
            Method::RecvFromInto => system::recvfrom_into(sock, &self.first(), &self.second()),
            Method::SendAll => system::send(self, sock),
            Method::SendTo => system::sendto(sock, &self.first(), &self.second()),
            Method::Accept => Ok(Native::Unsuited),
        }
    }

    /// Lets go of socket, arguments and buffers.
    pub fn release(&self) {
        drop(self.take_sending());
        for slot in [&self.sock, &self.first, &self.second] {
            slot.set(None);
        }
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.sock, &self.first, &self.second] {
            visitor.slot(slot);
        }
    }
}
