//! The accept path of servers.
//!
//! Role: takes the connections that wait at a listening socket and gives each its
//! protocol and transport, without a task or a future; with TLS, nobody waits for
//! the handshake either.
//!
//! The listening socket is watched level-triggered, as `add_reader` does it, so
//! several processes may share it and connections may be left for the next turn.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, getsockname};

use crate::address;
use crate::asyncio::{logger, names};
use crate::event_loop::NativeLoop;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, context};
use crate::sock::{SocketKind, Sockets};

use super::super::file::File;
use super::super::socket::{End, address_of};
use super::{Known, Made, StreamTransport};

/// The system is short of something: accepting pauses.
const OUT_OF_RESOURCES: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];

/// What a server needs to serve.
struct Listener<'a> {
    event_loop: &'a Py<NativeLoop>,
    protocol_factory: &'a Obj,
    server: &'a Obj,
    context: &'a Obj,
}

/// `loop._accept_ready(protocol_factory, sock, server, backlog, context)`: accepts
/// up to `backlog` connections.
pub fn accept_ready(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<()> {
    let ([protocol_factory, sock, server, backlog, context], _) =
        args.split::<5>("_accept_ready")?;
    let listener = Listener { event_loop, protocol_factory, server, context };
    let kind = Sockets::get().listener_kind(sock)?;
    // From 3.14 on a backlog of 0 accepts one.
    let most = backlog.to_i64()?.saturating_add(i64::from(cfg!(Py_3_14)));
    for number in 0..most {
        match kind.map_or_else(|| accept_by_method(sock), |kind| listener.accept(sock, kind)) {
            Ok(Some(accepted)) => listener.serve(accepted)?,
            Ok(None) => return Ok(()),
            Err(raised) => {
                let (raised, errno) = raised.errno();
                if number > 0 && errno == Some(Errno::BADF) {
                    raised.clear(); // A protocol factory has closed the server.
                    return Ok(());
                }
                if errno.is_some_and(|errno| OUT_OF_RESOURCES.contains(&errno)) {
                    let exception = raised.take();
                    let later = event_loop.as_obj().getattr(&names()._accept_later)?;
                    let all = [&exception, protocol_factory, sock, server, backlog, context];
                    return later.call_with(&all).map(drop);
                }
                return Err(raised);
            }
        }
    }
    Ok(())
}

/// A connection: a socket in non-blocking mode, and the addresses of its ends.
struct Accepted {
    conn: File,
    near: Obj,
    far: Obj,
}

/// The next connection, by `sock.accept()`; nothing if there is none.
fn accept_by_method(sock: &Obj) -> PyResult<Option<Accepted>> {
    let accepted = match sock.call_method0(&names().accept) {
        Ok(accepted) => accepted,
        Err(raised) if raised.is_try_again() || raised.is_aborted_connection() => {
            raised.clear();
            return Ok(None);
        }
        Err(raised) => return Err(raised),
    };
    let pair = accepted.tuple_item(0).zip(accepted.tuple_item(1));
    let (conn, far) = pair.ok_or_else(|| Raised::type_error("accept() must return a pair"))?;
    conn.call_method1(&names().setblocking, &Obj::bool(false))?;
    let near = address_of(&conn, End::Near)?;
    Ok(Some(Accepted { conn: File::from(&conn), near, far }))
}

/// The address of the far end, of which the system has said `address`.
fn far_end(conn: &File, address: Option<SocketAddrAny>) -> PyResult<Obj> {
    match address {
        None => Ok(Obj::none()),
        Some(address) if address::is_native(address.address_family()) => {
            address::to_python(&address)
        }
        Some(_) => address_of(&conn.socket()?, End::Far),
    }
}

impl Listener<'_> {
    /// The same without its method, for sockets whose own one would do the same and ask the
    /// system more often.
    fn accept(&self, sock: &Obj, kind: SocketKind) -> PyResult<Option<Accepted>> {
        let fd = sock.call_method0(&names().fileno)?.to_i64()?;
        let Some(fd) = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0) else {
            return Err(Raised::os_error(Errno::BADF));
        };
        // SAFETY: the socket has it open during this one system call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        match acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((accepted, far)) => {
                let near = getsockname(&accepted).ok();
                let conn = File::accepted(accepted, kind);
                let far = far_end(&conn, far)?;
                let near = self.near_end(&conn, near)?;
                Ok(Some(Accepted { conn, near, far }))
            }
            Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(Raised::os_error(errno)),
        }
    }

    /// The address of the near end, of which the system has said `address`. All connections to
    /// one address share one object.
    fn near_end(&self, conn: &File, address: Option<SocketAddrAny>) -> PyResult<Obj> {
        match address.filter(|address| address::is_native(address.address_family())) {
            Some(address) if Sockets::get().says_addresses()? => {
                self.event_loop.near_address.object_of(Some(address))
            }
            _ => address_of(&conn.socket()?, End::Near),
        }
    }

    /// Gives a connection its protocol and transport.
    fn serve(&self, accepted: Accepted) -> PyResult<()> {
        if self.event_loop.debug.get() {
            let Accepted { conn, far, .. } = &accepted;
            let log = logger()?.getattr(&names().debug)?;
            let text = Obj::str("%r got a new connection from %r: %r")?;
            log.call_with(&[&text, self.server, far, &conn.socket()?])?;
        }
        let sock = accepted.conn.made();
        // asyncio makes a task for each connection, which has a context of its own.
        let served = match self.context.non_none() {
            Some(given) => {
                let own = given.attr(c"copy")?.call0()?;
                context::run_in(&own, || self.connect(accepted, Some(&own)))
            }
            None => context::run_in(&context::copy_current()?, || self.connect(accepted, None)),
        };
        served.or_else(|raised| self.failed(raised, sock.as_ref()))
    }

    fn connect(&self, accepted: Accepted, context: Option<&Obj>) -> PyResult<()> {
        let protocol = self.protocol_factory.call0()?;
        let Accepted { conn, near, far } = accepted;
        let extra = Known::Addresses { near, far };
        let made = Made { waiter: None, extra, server: Some(self.server), context };
        StreamTransport::build(self.event_loop, conn, &protocol, made).map(drop)
    }

    /// A connection that got no transport is closed, which one without a socket object is
    /// already; debug mode reports why.
    #[cold]
    fn failed(&self, raised: Raised, sock: Option<&Obj>) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        if let Some(sock) = sock {
            sock.call_method0(&names().close)?;
        }
        if !self.event_loop.debug.get() {
            return Ok(());
        }
        let report = Obj::dict()?;
        let message = "Error on transport creation for incoming connection";
        report.dict_set(&names().message, &Obj::str(message)?)?;
        report.dict_set(&names().exception, &exception)?;
        self.event_loop.report(&exception, &report)
    }
}
