//! The way out: from `write()` to the socket.
//!
//! A write goes out at once, unless `hold` keeps it for a moment. What the socket
//! does not take waits in the buffer for an edge; what waits leaves in one
//! `sendmsg` as far as it fits.

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, send, sendmsg, shutdown};

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::buffer::Buffer;
use crate::ffi::method::Methods;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::endpoint::{Phase, Transport};
use super::super::write_buffer::{Drained, pieces, require_bytes_like};
use super::StreamTransport;

/// How far `write_eof()` has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// Not called.
    No,
    /// Called: the socket is shut down once the buffer is empty.
    Pending,
    /// The socket is shut down for writing.
    Done,
}

/// Never a signal, and never a wait, whatever others do to the socket's flags.
const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

const WRITE_FAILED: &str = "Fatal write error on socket transport";
/// What `write()` takes, in the words of its refusal.
const KINDS: &str = if cfg!(Py_3_14) { "bytes, bytearray, or memoryview" } else { "bytes-like" };

/// From 3.14 on what is false, `None` as well, is passed over.
fn kept(data: Obj) -> Option<PyResult<Obj>> {
    match data.is_true() {
        Ok(true) => Some(Ok(data)),
        Ok(false) => None,
        Err(raised) => Some(Err(raised)),
    }
}

impl Py<StreamTransport> {
    /// `write(data)`.
    #[inline]
    pub fn write(&self, data: &Obj) -> PyResult<()> {
        if data.is_exact_bytes() {
            return self.write_content(data, data.bytes_content());
        }
        require_bytes_like(data, KINDS)?;
        let view = Buffer::readable(data)?;
        self.write_content(data, view.as_slice())
    }

    /// Raises where nothing may be written at all; says whether to go on.
    #[inline]
    fn may_write(&self, function: &str, empty: bool) -> PyResult<bool> {
        if self.half_close.get() != HalfClose::No {
            return Err(Raised::runtime_error(&format!(
                "Cannot call {function}() after write_eof()"
            )));
        }
        if self.empty_waiter.is_some() {
            return Err(Raised::runtime_error(&format!(
                "unable to {function}; sendfile is in progress"
            )));
        }
        if empty {
            return Ok(false);
        }
        if self.endpoint.phase() >= Phase::Lost {
            self.late_write("socket.send() raised exception.")?;
            return Ok(false);
        }
        Ok(true)
    }

    #[inline]
    fn write_content(&self, data: &Obj, content: &[u8]) -> PyResult<()> {
        if !self.may_write("write", content.is_empty())? {
            return Ok(());
        }
        let waiting = self.buffered();
        if self.blocked.get() {
            self.buffer.borrow_mut().push(data, content, 0);
            return self.buffer_grew();
        }
        if self.holds(waiting, content.len()) {
            self.buffer.borrow_mut().push(data, content, 0);
            return Ok(());
        }
        if waiting == 0 {
            return self.send_now(data, content);
        }
        self.buffer.borrow_mut().push(data, content, 0);
        self.flush_or_wait()?;
        self.buffer_grew()
    }

    #[inline]
    fn send_now(&self, data: &Obj, content: &[u8]) -> PyResult<()> {
        let sent = self.endpoint.fd().and_then(|fd| send(fd, content, SEND));
        match sent {
            Ok(count) if count == content.len() => return Ok(()),
            Ok(count) => self.buffer.borrow_mut().push(data, content, count),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                self.buffer.borrow_mut().push(data, content, 0);
            }
            Err(errno) => return self.fatal_error(Raised::os_error(errno), WRITE_FAILED),
        }
        self.flush_or_wait()?;
        self.buffer_grew()
    }

    /// Sends what waits until the buffer is empty or the socket is full; then an
    /// edge will tell.
    pub(super) fn flush_or_wait(&self) -> PyResult<()> {
        let drained = self.endpoint.fd().and_then(|fd| {
            self.buffer.borrow_mut().drain(|slices| match slices {
                [one] => send(fd, one, SEND),
                several => sendmsg(fd, several, &mut SendAncillaryBuffer::default(), SEND),
            })
        });
        match drained {
            Ok(drained) => {
                self.blocked.set(drained != Drained::Empty);
                self.endpoint.writer_waits(drained != Drained::Empty)?;
                self.await_room(drained)
            }
            Err(errno) => {
                self.blocked.set(false);
                let raised = Raised::os_error(errno);
                let exception = raised.take();
                self.fail_waiter_with(&exception)?;
                self.fatal_error(Raised::restore(exception), WRITE_FAILED)
            }
        }
    }

    /// The socket has room again.
    pub(super) fn write_ready(&self) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        self.endpoint.in_writers_context(|| {
            self.flush_or_wait()?;
            self.flushed()
        })
    }

    /// After a flush: the protocol may write again, and what waited for an empty
    /// buffer happens.
    pub(super) fn flushed(&self) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        self.rest();
        self.buffer_shrank()?;
        if self.buffered() > 0 {
            return Ok(());
        }
        if let Some(waiter) = self.empty_waiter.get() {
            set_unless_done(&waiter, &Ok(Obj::none()))?;
        }
        match (self.endpoint.phase(), self.half_close.get()) {
            (Phase::Closing, _) => self.lose(&Obj::none()),
            (Phase::Open, HalfClose::Pending) => self.shut_down(),
            _ => Ok(()),
        }
    }

    fn writelines(&self, lines: &Obj) -> PyResult<()> {
        if cfg!(not(Py_3_12)) {
            // It is `write()` of all of it there, also where a program has put its own.
            let all = Obj::bytes(&[])?.attr(c"join")?.call1(lines)?;
            return self.as_obj().call_method1(&names().write, &all).map(drop);
        }
        if !self.may_write("writelines", !lines.is_true()?)? {
            return Ok(());
        }
        let mut given = lines.collect()?;
        if cfg!(Py_3_14) {
            given = given.into_iter().filter_map(kept).collect::<PyResult<_>>()?;
        }
        let pieces = pieces(given)?;
        let waiting = self.buffered();
        for (data, content) in &pieces {
            self.buffer.borrow_mut().push(data, content.as_slice(), 0);
        }
        if !self.blocked.get() {
            if self.holds(waiting, self.buffered() - waiting) {
                return Ok(());
            }
            self.flush_or_wait()?;
        }
        self.buffer_grew()
    }

    fn write_eof(&self) -> PyResult<()> {
        self.uncork()?;
        if self.endpoint.is_closing() || self.half_close.get() != HalfClose::No {
            return Ok(());
        }
        self.half_close.set(HalfClose::Pending);
        if self.buffered() == 0 { self.shut_down() } else { Ok(()) }
    }

    fn shut_down(&self) -> PyResult<()> {
        self.half_close.set(HalfClose::Done);
        let done = self.endpoint.fd().and_then(|fd| shutdown(fd, Shutdown::Write));
        done.map_err(Raised::os_error)
    }

    /// A future that is done once the buffer is empty; writes are refused until
    /// it is given back.
    fn make_empty_waiter(&self) -> PyResult<Obj> {
        if self.empty_waiter.is_some() {
            return Err(Raised::runtime_error("Empty waiter is already set"));
        }
        // What is held back leaves now: nobody would tell the waiter of it later.
        self.uncork()?;
        let Some(event_loop) = self.endpoint.event_loop() else {
            return Err(Raised::connection_error("Connection is closed by peer"));
        };
        let waiter = NativeLoop::create_future(&event_loop)?;
        self.empty_waiter.set(Some(waiter.clone()));
        if self.buffered() == 0 {
            set_unless_done(&waiter, &Ok(Obj::none()))?;
        }
        Ok(waiter)
    }

    /// Whoever waits for an empty buffer will not see it.
    pub(super) fn fail_empty_waiter(&self) -> PyResult<()> {
        if !self.empty_waiter.is_some() {
            return Ok(());
        }
        let exception = Raised::connection_error("Connection is closed by peer").take();
        self.fail_waiter_with(&exception)
    }

    fn fail_waiter_with(&self, exception: &Obj) -> PyResult<()> {
        match self.empty_waiter.get() {
            Some(waiter) => set_unless_done(&waiter, &Err(exception.clone())),
            None => Ok(()),
        }
    }
}

/// Completes a future, unless somebody has cancelled or completed it.
fn set_unless_done(future: &Obj, outcome: &Result<Obj, Obj>) -> PyResult<()> {
    if future.call_method0(&names().done)?.is_true()? {
        return Ok(());
    }
    match outcome {
        Ok(value) => future.call_method1(&names().set_result, value),
        Err(exception) => future.call_method1(&names().set_exception, exception),
    }
    .map(drop)
}

pub(super) fn methods(methods: Methods<StreamTransport>) -> Methods<StreamTransport> {
    methods
        .named(
            c"write",
            c"write($self, data)\n--\n\n\
                  Send data, at once if possible; it is not copied if it is bytes.",
            || ("write", &names().data),
            |this: &Py<StreamTransport>, data: &Obj| this.write(data),
        )
        .named(
            c"writelines",
            c"writelines($self, list_of_data)\n--\n\n\
                  Send several pieces of data in one system call.",
            || ("writelines", &names().list_of_data),
            |this: &Py<StreamTransport>, lines: &Obj| this.writelines(lines),
        )
        .noargs(
            c"write_eof",
            c"Close the writing side after what waits has been sent.",
            |this: &Py<StreamTransport>| this.write_eof(),
        )
        .noargs(c"can_write_eof", c"Return True.", |_: &Py<StreamTransport>| Ok(true))
        .noargs(
            c"_make_empty_waiter",
            c"Return a future that is done when the write buffer is empty.",
            |this: &Py<StreamTransport>| this.make_empty_waiter(),
        )
        .noargs(c"_reset_empty_waiter", c"Allow writes again.", |this: &Py<StreamTransport>| {
            this.empty_waiter.set(None);
            Ok(())
        })
}
