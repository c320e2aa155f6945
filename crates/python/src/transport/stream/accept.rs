//! The accept path of plain servers.
//!
//! Role: takes the connections that wait at a listening socket and gives each its
//! protocol and transport, without a task or a future. (A TLS connection has a
//! handshake to wait for: asyncio's own coroutine does that.)
//!
//! The listening socket is watched level-triggered, as `add_reader` does it, so
//! several processes may share it and connections may be left for the next turn.

use rustix::io::Errno;

use crate::asyncio::{logger, names};
use crate::event_loop::NativeLoop;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, context};

use super::{Made, StreamTransport};

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
    for _ in 0..backlog.to_i64()? {
        match sock.call_method0(&names().accept) {
            Ok(accepted) => listener.serve(&accepted)?,
            Err(raised) => {
                if raised.is_try_again() || raised.is_aborted_connection() {
                    raised.clear();
                    return Ok(());
                }
                let (raised, errno) = raised.errno();
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

impl Listener<'_> {
    /// Gives a connection its protocol and transport.
    fn serve(&self, accepted: &Obj) -> PyResult<()> {
        let (Some(conn), Some(address)) = (accepted.tuple_item(0), accepted.tuple_item(1)) else {
            return Err(Raised::type_error("accept() must return a pair"));
        };
        conn.call_method1(&names().setblocking, &Obj::bool(false))?;
        if self.event_loop.debug.get() {
            let log = logger()?.getattr(&names().debug)?;
            let text = Obj::str("%r got a new connection from %r: %r")?;
            log.call_with(&[&text, self.server, &address, &conn])?;
        }
        let served = match self.context.non_none() {
            Some(given) => {
                let own = given.attr(c"copy")?.call0()?;
                context::run_in(&own, || self.connect(&conn, &address, Some(&own)))
            }
            None => self.connect(&conn, &address, None),
        };
        served.or_else(|raised| self.failed(raised, &conn))
    }

    fn connect(&self, conn: &Obj, address: &Obj, context: Option<&Obj>) -> PyResult<()> {
        let protocol = self.protocol_factory.call0()?;
        let extra = Obj::dict()?;
        extra.set_item("peername", address)?;
        let server = Some(self.server);
        let made = Made { waiter: None, extra: Some(&extra), server, context };
        StreamTransport::build(self.event_loop, conn, &protocol, &made).map(drop)
    }

    /// A connection that got no transport is closed; debug mode reports why.
    #[cold]
    fn failed(&self, raised: Raised, conn: &Obj) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        conn.call_method0(&names().close)?;
        if !self.event_loop.debug.get() {
            return Ok(());
        }
        let report = Obj::dict()?;
        let message = "Error on transport creation for incoming connection";
        report.dict_set(&names().message, &Obj::str(message)?)?;
        report.dict_set(&names().exception, &exception)?;
        self.event_loop.report(&report)
    }
}
