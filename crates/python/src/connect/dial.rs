//! One `connect()` of one socket: asyncio's `_sock_connect()`, `_sock_connect_cb()` and
//! `_sock_write_done()`.
//!
//! Role: [`Dial::begin`] makes the system call. If the connection takes time, the loop watches
//! the descriptor for writing on behalf of a callable, whose calls lead to [`Dial::ready`], and
//! a future says how it ended. [`Dial::end`] takes the watch back.
//!
//! Invariant: a watch is taken back before the socket is closed, and only if the descriptor
//! still has it.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};

use rustix::io::Errno;

use crate::asyncio::names;
use crate::event_loop::{NativeLoop, Side};
use crate::ffi::audit::audit;
use crate::ffi::error::os_error_class;
use crate::ffi::{Obj, Py, PyResult, Raised, Slot, Visitor, gil};
use crate::future::Awaited;
use crate::handle::Handle;

use super::target::Target;

/// A `connect()`.
#[derive(Debug, Default)]
pub struct Dial {
    sock: Slot,
    address: Slot,
    future: Slot,
    watch: RefCell<Option<(RawFd, Py<Handle>)>>,
}

/// How it began.
#[derive(Debug)]
pub enum Dialed {
    /// There is a connection.
    Connected,
    /// There will be one, or an error, when this future is done.
    Waits(Obj),
}

/// Whether the connection takes time: what are `BlockingIOError` and `InterruptedError` there.
fn takes_time(errno: Errno) -> bool {
    matches!(errno, Errno::INPROGRESS | Errno::WOULDBLOCK | Errno::ALREADY | Errno::INTR)
}

/// Lends a socket's descriptor to the system call that follows at once.
fn descriptor(sock: &Obj) -> PyResult<BorrowedFd<'_>> {
    let number = sock.call_method0(&names().fileno)?.to_i64()?;
    let fd = RawFd::try_from(number).ok().filter(|fd| *fd >= 0);
    // SAFETY: the socket has the descriptor open and is held by the caller. No Python code,
    // which could close it, runs before the system call.
    fd.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) }).ok_or_else(|| Raised::os_error(Errno::BADF))
}

impl Dial {
    /// `sock.connect(address)` of a plain socket in non-blocking mode. What `callback`
    /// makes is called when the socket has become writable.
    pub fn begin(
        &self,
        event_loop: &Py<NativeLoop>,
        sock: &Obj,
        target: &Target,
        callback: impl FnOnce() -> PyResult<Obj>,
    ) -> PyResult<Dialed> {
        audit(c"socket.connect", sock, &target.address)?;
        match rustix::net::connect(descriptor(sock)?, &target.native) {
            Ok(()) => return Ok(Dialed::Connected),
            Err(Errno::INTR) => gil::check_signals()?,
            Err(errno) if takes_time(errno) => {}
            Err(errno) => return Err(Raised::os_error(errno)),
        }
        let future = NativeLoop::create_future(event_loop)?;
        self.sock.set(Some(sock.clone()));
        self.address.set(Some(target.address.clone()));
        self.future.set(Some(future.clone()));
        let watch = event_loop.watch(sock, Side::Write, &callback()?)?;
        self.watch.replace(Some(watch));
        Ok(Dialed::Waits(future))
    }

    /// The socket is writable: there is a connection, or an error.
    pub fn ready(&self, event_loop: &Py<NativeLoop>) -> PyResult<()> {
        let Some(future) = self.future.get() else { return Ok(()) };
        let Some(awaited) = Awaited::from_exact(&future) else { return Ok(()) };
        if !awaited.core().is_pending() {
            // Cancelled; who waited has not gone on yet.
            return self.end(event_loop);
        }
        let outcome = self.outcome();
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(Ok(()))) => {
                self.end(event_loop)?;
                awaited.core().set_result(&future, &Obj::none())
            }
            Ok(Some(Err(errno))) => {
                let exception = self.failure(errno)?;
                self.end(event_loop)?;
                awaited.core().set_exception(&future, &exception)
            }
            Err(raised) if raised.escapes() => Err(raised),
            Err(raised) => {
                let exception = raised.take();
                self.end(event_loop)?;
                awaited.core().set_exception(&future, &exception)
            }
        }
    }

    /// What the socket says of its `connect()`; nothing if that is not over.
    fn outcome(&self) -> PyResult<Option<Result<(), Errno>>> {
        let sock = self.sock.get_or_none();
        let answer = rustix::net::sockopt::socket_error(descriptor(&sock)?);
        match answer.map_err(Raised::os_error)? {
            Err(errno) if takes_time(errno) => Ok(None),
            answer => Ok(Some(answer)),
        }
    }

    /// What asyncio raises of a connection that failed.
    fn failure(&self, errno: Errno) -> PyResult<Obj> {
        let address = self.address.get_or_none().to_str()?.to_string_lossy()?;
        let number = Obj::int(i64::from(errno.raw_os_error()))?;
        os_error_class().call2(&number, &Obj::str(&format!("Connect call failed {address}"))?)
    }

    /// The end of the wait, whatever came of it.
    pub fn end(&self, event_loop: &Py<NativeLoop>) -> PyResult<()> {
        let watch = self.watch.take();
        match watch {
            Some((fd, handle)) => event_loop.unwatch(fd, Side::Write, &handle),
            None => Ok(()),
        }
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.sock, &self.address, &self.future] {
            visitor.slot(slot);
        }
        if let Ok(watch) = self.watch.try_borrow()
            && let Some((_, handle)) = &*watch
        {
            visitor.obj(handle.as_obj());
        }
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        let watch = self.watch.take();
        drop(watch);
        for slot in [&self.sock, &self.address, &self.future] {
            slot.set(None);
        }
    }
}
