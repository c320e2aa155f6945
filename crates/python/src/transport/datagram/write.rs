//! The way out: from `sendto()` to the socket.
//!
//! A datagram goes out at once, unless others wait. One that would block waits
//! with its address for an edge. An error of the system's concerns one datagram:
//! the protocol is told, and the transport goes on.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, send, sendto};

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::buffer::Buffer;
use crate::ffi::method::Methods;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};
use crate::handle::{Core, TimerHandle};

use super::super::endpoint::{Phase, Transport};
use super::super::report::ReadyMethod;
use super::super::write_buffer::require_bytes_like;
use super::address::{self, Family};
use super::send_queue::{Datagram, Destination};
use super::{BATCH, DatagramTransport, Link, of_asyncio};

/// What an exception of `error_received()` goes through in asyncio where a datagram waited.
const SENDTO_READY: ReadyMethod = of_asyncio(c"_sendto_ready");

const WRITE_FAILED: &str = "Fatal write error on datagram transport";

/// After how many seconds a send is tried again that no edge announces.
const RETRY_AFTER: f64 = 0.001;

/// What became of a datagram.
enum Outcome {
    Sent,
    /// The socket takes nothing now.
    Later,
    /// An `OSError`.
    Failed(Obj),
}

impl Py<DatagramTransport> {
    #[inline]
    fn sendto(&self, args: &Args<'_>) -> PyResult<()> {
        let [data, address] = args.bind("sendto", 0, [&names().data, &names().addr])?;
        let Some(data) = data else {
            return Err(Raised::type_error(
                "sendto() missing 1 required positional argument: 'data'",
            ));
        };
        require_bytes_like(data, "bytes-like")?;
        if cfg!(not(Py_3_13)) && data.len()? == 0 {
            return Ok(()); // Python sends empty datagrams since 3.13.
        }
        let to = self.destination(address.and_then(Obj::non_none))?;
        let phase = self.endpoint.phase();
        if phase == Phase::Closed || phase == Phase::Lost && self.remote_address.is_some() {
            return self.late_write("socket.send() raised exception.");
        }
        if self.queue.borrow().is_empty() {
            match self.attempt(data, &to) {
                Ok(Outcome::Sent) => return Ok(()),
                Ok(Outcome::Later) if phase == Phase::Lost => return Ok(()),
                Ok(Outcome::Later) => self.wait_for_room(&to)?,
                Ok(Outcome::Failed(exception)) => return self.error_received(&exception),
                Err(raised) => return self.fatal_error(raised, WRITE_FAILED),
            }
        }
        let data = immutable(data)?;
        self.queue.borrow_mut().push(Datagram { data, to });
        let event_loop = self.endpoint.event_loop();
        self.endpoint.flow.grown(self.buffered(), &self.whose(event_loop.as_ref()))
    }

    /// Where a datagram for `address` goes.
    #[inline]
    fn destination(&self, address: Option<&Obj>) -> PyResult<Destination> {
        let remote = self.remote_address.get();
        if let (Some(remote), Some(address)) = (&remote, address)
            && !address.is(remote)
            && !address.equals(remote)?
        {
            let remote = match remote.as_str() {
                Some(path) => path.to_owned(),
                None => remote.repr_lossy(),
            };
            return Err(Raised::value_error(&format!("Invalid address: must be None or {remote}")));
        }
        let address = remote.as_ref().or(address);
        match (self.link, address) {
            (Link::Named, _) | (Link::Unnamed, None) => Ok(Destination::Peer),
            // Without an address the socket object finds the right words.
            (Link::None, None) => Ok(Destination::Python(Obj::none())),
            (_, Some(address)) => Ok(self.address_of(address)),
        }
    }

    fn address_of(&self, object: &Obj) -> Destination {
        let known =
            self.received_from.last_of_object(object).or_else(|| self.sent_to.of_object(object));
        if let Some(address) = known {
            return Destination::Native(address);
        }
        match address::parse(self.family, object) {
            Some(address) => {
                self.sent_to.keep(address.clone(), object.clone());
                Destination::Native(address)
            }
            None => Destination::Python(object.clone()),
        }
    }

    /// Tries to send one datagram. An exception that is no `OSError` ends the
    /// transport.
    #[inline]
    fn attempt(&self, data: &Obj, to: &Destination) -> PyResult<Outcome> {
        if let Destination::Python(address) = to {
            return self.attempt_by_python(data, Some(address));
        }
        if self.family == Family::Foreign {
            return self.attempt_by_python(data, None);
        }
        let sent = if data.is_exact_bytes() {
            self.send_now(data.bytes_content(), to)
        } else {
            self.send_now(Buffer::readable(data)?.as_slice(), to)
        };
        match sent {
            Ok(_) => Ok(Outcome::Sent),
            Err(Errno::WOULDBLOCK) => Ok(Outcome::Later),
            Err(errno) => Ok(Outcome::Failed(Raised::os_error(errno).take())),
        }
    }

    #[inline]
    fn send_now(&self, content: &[u8], to: &Destination) -> Result<usize, Errno> {
        let fd = self.endpoint.fd()?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        retry_on_intr(|| match to {
            Destination::Native(address) => sendto(fd, content, flags, address),
            _ => send(fd, content, flags),
        })
    }

    #[cold]
    fn attempt_by_python(&self, data: &Obj, address: Option<&Obj>) -> PyResult<Outcome> {
        let Some(sock) = self.endpoint.file.object()? else {
            return Ok(Outcome::Failed(Raised::os_error(Errno::BADF).take()));
        };
        let sent = match address {
            Some(address) => sock.call_method2(&names().sendto, data, address),
            None => sock.call_method1(&names().send, data),
        };
        match sent {
            Ok(_) => Ok(Outcome::Sent),
            Err(raised) if raised.is_put_off() => {
                raised.clear();
                Ok(Outcome::Later)
            }
            Err(raised) => raised.take_os_error().map(Outcome::Failed),
        }
    }

    /// The socket has taken nothing: an edge will tell when it does again.
    ///
    /// Except where it is not the socket that is full but a receiver that it is
    /// not connected to (Unix sockets): the system calls such a socket writable
    /// all the time. There a timer tries again, and edges mean nothing.
    fn wait_for_room(&self, to: &Destination) -> PyResult<()> {
        self.blocked.set(true);
        self.endpoint.writer_waits(true)?;
        self.watch_room()?;
        let has_edges =
            matches!(self.family, Family::Inet | Family::Inet6) || matches!(to, Destination::Peer);
        if has_edges || self.retrying.get() {
            return Ok(());
        }
        let Some(event_loop) = self.endpoint.event_loop() else { return Ok(()) };
        let retry = self.as_obj().getattr(&names()._retry_sending)?;
        let when = NativeLoop::seconds(&event_loop)? + RETRY_AFTER;
        let core = Core::new(&event_loop, &retry, &[], None)?;
        TimerHandle::schedule(&event_loop, when, None, core)?;
        self.retrying.set(true);
        Ok(())
    }

    fn retry_sending(&self) -> PyResult<()> {
        self.retrying.set(false);
        self.blocked.set(false);
        self.write_ready()
    }

    /// Sends what waits, if the socket may have room.
    pub(super) fn write_ready(&self) -> PyResult<()> {
        if self.blocked.get()
            || self.queue.borrow().is_empty()
            || self.endpoint.phase() >= Phase::Lost
        {
            return Ok(());
        }
        self.endpoint.in_writers_context(|| {
            self.send_batch()?;
            self.flushed()
        })
    }

    fn send_batch(&self) -> PyResult<()> {
        for _ in 0..BATCH {
            let Some(next) = self.next_to_send() else { break };
            match self.attempt(&next.data, &next.to) {
                Ok(Outcome::Sent) => {}
                Ok(Outcome::Later) => {
                    let waiting = self.wait_for_room(&next.to);
                    self.queue.borrow_mut().put_back(next);
                    return waiting;
                }
                Ok(Outcome::Failed(exception)) => self.report_error(&exception, SENDTO_READY)?,
                Err(raised) => return self.fatal_error(raised, WRITE_FAILED),
            }
        }
        Ok(())
    }

    fn next_to_send(&self) -> Option<Datagram> {
        self.queue.borrow_mut().pop()
    }

    /// After a flush: the protocol may write again; a closing transport whose
    /// last datagram has left ends.
    fn flushed(&self) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        let event_loop = self.endpoint.event_loop();
        self.endpoint.flow.shrunk(self.buffered(), &self.whose(event_loop.as_ref()))?;
        let empty = self.queue.borrow().is_empty();
        self.endpoint.writer_waits(!empty)?;
        match self.endpoint.phase() {
            Phase::Closing if empty => self.lose(&Obj::none()),
            _ => {
                if !empty && !self.blocked.get() {
                    self.look_again();
                }
                Ok(())
            }
        }
    }
}

/// `bytes` as they are, a copy of anything that could change.
fn immutable(data: &Obj) -> PyResult<Obj> {
    if data.is_exact_bytes() {
        return Ok(data.clone());
    }
    Obj::bytes(Buffer::readable(data)?.as_slice())
}

pub(super) fn methods(methods: Methods<DatagramTransport>) -> Methods<DatagramTransport> {
    methods
        .args(
            c"sendto",
            c"sendto($self, data, addr=None)\n--\n\n\
              Send a datagram, at once if possible, to addr or to the connected peer.",
            |this: &Py<DatagramTransport>, args: &Args<'_>| this.sendto(args),
        )
        .noargs(
            c"_retry_sending",
            c"Try again to send what waits.",
            |this: &Py<DatagramTransport>| this.retry_sending(),
        )
}
