//! What every native transport has: a file, a protocol, and an end.
//!
//! Ownership: the endpoint owns its file (a socket or pipe object) from the
//! making of the transport until `connection_lost()` has been called; then it
//! closes the file and lets go of protocol and loop.
//!
//! States ([`Phase`]):
//!
//! ```text
//! Open --close(), buffer empty--> Lost --connection_lost() called--> Closed
//!   |  `--close(), data waits--> Closing --flushed--> Lost
//!   `--abort() or an error (from Closing, too)------> Lost
//! ```
//!
//! Invariant: the descriptor is with the driver only while the file is open, so
//! a closed number is never polled, read, written or closed again.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, RawFd};

use batuta_engine::driver::{Readiness, Token};
use rustix::io::Errno;

use crate::asyncio::{Asyncio, logger, names};
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::error::{os_error_class, resource_warning};
use crate::ffi::method::{Methods, Properties};
use crate::ffi::names::Name;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor, context};

use super::AnyTransport;
use super::flow::{Flow, Whose, report};

/// asyncio's `LOG_THRESHOLD_FOR_CONNLOST_WRITES`.
const LOGGED_LOST_WRITES: u32 = 5;

/// How far a transport's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// In use.
    Open,
    /// `close()` was called; what waits is still sent.
    Closing,
    /// `connection_lost()` is scheduled; nothing is read or written any more.
    Lost,
    /// `connection_lost()` was called and the file is closed.
    Closed,
}

/// The shared part of a native transport.
#[derive(Debug)]
pub struct Endpoint {
    event_loop: RefCell<Option<Py<NativeLoop>>>,
    file: Slot,
    protocol: Slot,
    server: Slot,
    extra: Slot,
    context: Slot,
    /// The context that the transport was made to run in (Python 3.15); without
    /// one each callback runs in a copy of its scheduler's.
    given_context: Slot,
    fd: Cell<RawFd>,
    token: Cell<Option<Token>>,
    phase: Cell<Phase>,
    lost_writes: Cell<u32>,
    /// Water marks.
    pub flow: Flow,
}

impl Endpoint {
    /// An open endpoint. `extra` is the dict of `get_extra_info()`.
    pub fn new(
        event_loop: &Py<NativeLoop>,
        file: &Obj,
        protocol: &Obj,
        server: Option<&Obj>,
        extra: Obj,
    ) -> PyResult<Self> {
        let fd = file.call_method0(&names().fileno)?.to_i64()?;
        let fd = RawFd::try_from(fd).map_err(|_| Raised::value_error("invalid descriptor"))?;
        Ok(Self {
            event_loop: RefCell::new(Some(event_loop.clone())),
            file: Slot::from(file.clone()),
            protocol: Slot::from(protocol.clone()),
            server: Slot::from(server.and_then(Obj::non_none).cloned()),
            extra: Slot::from(extra),
            context: Slot::from(context::copy_current()?),
            given_context: Slot::default(),
            fd: Cell::new(fd),
            token: Cell::new(None),
            phase: Cell::new(Phase::Open),
            lost_writes: Cell::new(0),
            flow: Flow::default(),
        })
    }

    /// Lends the descriptor to one system call.
    #[inline]
    pub fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        let fd = self.fd.get();
        if fd < 0 {
            return Err(Errno::BADF);
        }
        // SAFETY: the file object (or the transport, which has put a descriptor of
        // its own here) keeps it open until `finish` closes the file, which sets
        // the number to -1 first.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Uses another descriptor of the same file, which the transport keeps open
    /// until its end.
    pub fn use_fd(&self, fd: RawFd) {
        self.fd.set(fd);
    }

    /// The loop, until the end.
    #[inline]
    pub fn event_loop(&self) -> Option<Py<NativeLoop>> {
        self.event_loop.borrow().clone()
    }

    /// The protocol, until the end.
    #[inline]
    pub fn protocol(&self) -> Option<Obj> {
        self.protocol.get()
    }

    /// Changes the protocol.
    pub fn set_protocol(&self, protocol: &Obj) {
        self.protocol.set(Some(protocol.clone()));
    }

    /// The file object, until the end.
    pub fn file(&self) -> Option<Obj> {
        self.file.get()
    }

    /// Puts another object in the place of the file, which it wraps. Data still
    /// goes through the descriptor.
    pub fn wrap_file(&self, wrapper: &Obj) {
        if self.file.is_some() {
            self.file.set(Some(wrapper.clone()));
        }
    }

    /// How far it has come.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether `close()` or an end has been asked for.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.phase.get() > Phase::Open
    }

    /// Begins to close; false if that has begun.
    pub fn begin_closing(&self) -> bool {
        let open = self.phase.get() == Phase::Open;
        if open {
            self.phase.set(Phase::Closing);
        }
        open
    }

    /// Whether debug mode is on.
    pub fn debug(&self) -> bool {
        self.event_loop.borrow().as_ref().is_some_and(|event_loop| event_loop.debug.get())
    }

    /// Runs `body`, a call of the protocol, in the transport's context.
    #[inline]
    pub fn in_context<R>(&self, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        match self.context.get() {
            Some(context) => context::run_in(&context, body),
            None => body(),
        }
    }

    /// Makes everything run in this context from now on.
    pub fn use_context(&self, given: Option<&Obj>) {
        if let Some(given) = given.and_then(Obj::non_none) {
            self.context.set(Some(given.clone()));
            self.given_context.set(Some(given.clone()));
        }
    }

    /// `loop.call_soon(callback, *args)`, in the transport's context if it was
    /// given one.
    fn schedule(&self, callback: &Obj, args: &[Obj]) -> PyResult<()> {
        match self.event_loop() {
            Some(event_loop) => {
                let given = self.given_context.get();
                NativeLoop::schedule(&event_loop, callback, args, given.as_ref()).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Takes the caller's context for the calls of the protocol from now on.
    pub fn renew_context(&self) -> PyResult<()> {
        if self.given_context.is_some() {
            return Ok(());
        }
        self.context.set(Some(context::copy_current()?));
        Ok(())
    }

    /// Counts a write that is lost.
    pub fn count_lost_write(&self) {
        self.lost_writes.set(self.lost_writes.get().saturating_add(1));
    }

    /// Queues the transport to be looked at in the next turn, as if its
    /// descriptor had just become ready.
    pub fn queue(&self, readiness: Readiness) {
        if let (Some(event_loop), Some(token)) = (self.event_loop(), self.token.get()) {
            event_loop.push(Ready::Io(token, readiness));
        }
    }

    /// Logs at debug level, in debug mode: `format` with the transport in it.
    pub fn debug_log(&self, transport: &Obj, format: &str) -> PyResult<()> {
        self.log(&names().debug, transport, format)
    }

    /// Logs at info level, in debug mode: `format` with the transport in it.
    pub fn info_log(&self, transport: &Obj, format: &str) -> PyResult<()> {
        self.log(&names().info, transport, format)
    }

    fn log(&self, level: &Name, transport: &Obj, format: &str) -> PyResult<()> {
        if self.debug() {
            logger()?.getattr(level)?.call2(&Obj::str(format)?, transport)?;
        }
        Ok(())
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(event_loop) = self.event_loop.try_borrow()
            && let Some(event_loop) = event_loop.as_ref()
        {
            visitor.obj(event_loop.as_obj());
        }
        for slot in [
            &self.file,
            &self.protocol,
            &self.server,
            &self.extra,
            &self.context,
            &self.given_context,
        ] {
            visitor.slot(slot);
        }
    }

    /// Breaks cycles. The file stays: the finalizer has closed it.
    pub fn clear(&self) {
        let event_loop = self.event_loop.borrow_mut().take();
        drop(event_loop);
        for slot in [&self.protocol, &self.server, &self.extra, &self.context, &self.given_context]
        {
            slot.set(None);
        }
    }
}

/// A native transport type.
pub trait Transport: NativeType {
    /// How many lost writes the end of the transport counts as: one for a socket;
    /// none for a pipe, where only a write that failed counts.
    const END_COUNTS: u32 = 1;

    /// The shared part.
    fn endpoint(&self) -> &Endpoint;
    /// As an owner of a descriptor.
    fn to_any(this: &Py<Self>) -> AnyTransport;
    /// How many bytes wait to be sent.
    fn buffered(&self) -> usize;
    /// Drops the bytes that wait to be sent.
    fn discard(&self);
    /// Whether an exception that ends the transport is the peer's doing, so that
    /// only debug mode logs it.
    fn is_expected(exception: &Obj) -> PyResult<bool> {
        exception.is_instance(os_error_class())
    }
    /// Called at the very end, after `connection_lost()`.
    fn ended(_this: &Py<Self>) -> PyResult<()> {
        Ok(())
    }
}

impl<T: Transport> Py<T> {
    /// Whom flow control tells.
    pub fn whose<'a>(&'a self, event_loop: Option<&'a Py<NativeLoop>>) -> Whose<'a> {
        Whose { event_loop, transport: self.as_obj(), protocol: self.endpoint().protocol() }
    }

    /// asyncio's `_conn_lost`.
    fn conn_lost(&self) -> u32 {
        let endpoint = self.endpoint();
        let ended = if endpoint.phase() >= Phase::Lost { T::END_COUNTS } else { 0 };
        endpoint.lost_writes.get().saturating_add(ended)
    }

    /// Counts a write that comes too late, and warns as asyncio does.
    #[cold]
    pub fn late_write(&self, warning: &str) -> PyResult<()> {
        if self.conn_lost() >= LOGGED_LOST_WRITES {
            logger()?.getattr(&names().warning)?.call1(&Obj::str(warning)?)?;
        }
        self.endpoint().count_lost_write();
        Ok(())
    }

    /// Gives the descriptor to the loop's driver, once.
    pub fn register(&self) -> PyResult<()> {
        let endpoint = self.endpoint();
        if endpoint.token.get().is_some() || endpoint.phase() == Phase::Closed {
            return Ok(());
        }
        if let Some(event_loop) = endpoint.event_loop() {
            let fd = endpoint.fd.get();
            event_loop.adopt_fd(fd, T::to_any(self))?;
            endpoint.token.set(event_loop.token_of(fd));
        }
        Ok(())
    }

    /// Takes the descriptor back from the loop's driver.
    pub fn unregister(&self) {
        let endpoint = self.endpoint();
        if endpoint.token.take().is_some()
            && let Some(event_loop) = endpoint.event_loop()
        {
            event_loop.release_fd(endpoint.fd.get(), self.as_obj());
        }
    }

    /// Schedules the beginning of a transport's life: `connection_made()`, then
    /// its own method `start`, then waking the waiter.
    pub fn introduce(&self, start: Option<&Name>, waiter: Option<&Obj>) -> PyResult<()> {
        let endpoint = self.endpoint();
        let Some(protocol) = endpoint.protocol() else { return Ok(()) };
        let connection_made = protocol.getattr(&names().connection_made)?;
        let this = std::slice::from_ref(self.as_obj());
        endpoint.schedule(&connection_made, this)?;
        if let Some(start) = start {
            endpoint.schedule(&self.as_obj().getattr(start)?, &[])?;
        }
        if let Some(waiter) = waiter.and_then(Obj::non_none) {
            let set = &Asyncio::get().set_result_unless_cancelled;
            endpoint.schedule(set, &[waiter.clone(), Obj::none()])?;
        }
        Ok(())
    }

    /// Lets go of the file without closing it: it is somebody else's from now on.
    pub fn forget_file(&self) {
        self.unregister();
        self.endpoint().fd.set(-1);
        self.endpoint().file.set(None);
    }

    /// Reports an error that ends the transport, and ends it. What the peer has
    /// caused is logged in debug mode only.
    #[cold]
    pub fn fatal_error(&self, raised: Raised, message: &str) -> PyResult<()> {
        if raised.escapes() {
            return Err(raised);
        }
        let exception = raised.take();
        self.fatal_exception(&exception, message)
    }

    fn fatal_exception(&self, exception: &Obj, message: &str) -> PyResult<()> {
        let endpoint = self.endpoint();
        if T::is_expected(exception)? {
            endpoint.debug_log(self.as_obj(), &format!("%r: {message}"))?;
        } else {
            let event_loop = endpoint.event_loop();
            let raised = Raised::restore(exception.clone());
            report(&self.whose(event_loop.as_ref()), raised, message)?;
        }
        self.force_close(exception)
    }

    /// Ends the transport without sending what waits; `connection_lost(reason)`
    /// comes in the next turn.
    pub fn force_close(&self, reason: &Obj) -> PyResult<()> {
        if self.endpoint().phase() >= Phase::Lost {
            return Ok(());
        }
        self.discard();
        self.schedule_lost(reason)
    }

    /// Schedules `connection_lost(reason)`.
    pub fn schedule_lost(&self, reason: &Obj) -> PyResult<()> {
        let endpoint = self.endpoint();
        endpoint.phase.set(Phase::Lost);
        if let Some(event_loop) = endpoint.event_loop() {
            if event_loop.check_closed().is_err() {
                Raised::already_set().clear();
                return Ok(()); // Nobody is left to be told.
            }
            let callback = self.as_obj().getattr(&names()._call_connection_lost)?;
            endpoint.schedule(&callback, std::slice::from_ref(reason))?;
        }
        Ok(())
    }

    /// Calls `connection_lost(reason)`, closes the file and lets go.
    pub fn lose(&self, reason: &Obj) -> PyResult<()> {
        let endpoint = self.endpoint();
        if endpoint.phase.replace(Phase::Closed) == Phase::Closed {
            return Ok(());
        }
        let told = match endpoint.protocol() {
            Some(protocol) => protocol.call_method1(&names().connection_lost, reason).map(drop),
            None => Ok(()),
        };
        // An exception of the protocol's must not keep the file open.
        let told = told.map_err(Raised::take);
        let finished = self.finish().and_then(|()| T::ended(self));
        told.map_err(Raised::restore).and(finished)
    }

    /// Closes the file and lets go of protocol, server and loop.
    fn finish(&self) -> PyResult<()> {
        let endpoint = self.endpoint();
        self.unregister();
        endpoint.fd.set(-1);
        endpoint.phase.set(Phase::Closed);
        let closed = match endpoint.file.take() {
            Some(file) => close_file(&file),
            None => Ok(()),
        };
        let closed = closed.map_err(Raised::take);
        endpoint.protocol.set(None);
        endpoint.context.set(None);
        endpoint.given_context.set(None);
        let event_loop = endpoint.event_loop.borrow_mut().take();
        drop(event_loop);
        if let Some(server) = endpoint.server.take() {
            #[cfg(Py_3_13)]
            server.call_method1(&names()._detach, self.as_obj())?;
            #[cfg(not(Py_3_13))]
            server.call_method0(&names()._detach)?;
        }
        closed.map_err(Raised::restore)
    }

    /// `__del__`: a transport that nobody has closed is warned about and closed.
    pub fn abandoned(&self) {
        if !self.endpoint().file.is_some() {
            return;
        }
        let warned = Obj::str(&format!("unclosed transport {}", self.as_obj().repr_lossy()))
            .and_then(|text| resource_warning(self.as_obj(), &text));
        if let Err(raised) = warned {
            raised.unraisable(self.as_obj());
        }
        if let Err(raised) = self.finish() {
            raised.unraisable(self.as_obj());
        }
    }
}

/// Keeps a socket's descriptor open as long as the transport uses it, even if
/// somebody closes the socket object meanwhile: its number must not go to
/// another file under the transport's feet.
pub fn hold_socket(sock: &Obj) -> PyResult<()> {
    let refs = sock.attr_or_none(c"_io_refs")?;
    if refs.is_int() {
        sock.set_attr(c"_io_refs", &Obj::int(refs.to_i64()? + 1)?)?;
    }
    Ok(())
}

fn close_file(file: &Obj) -> PyResult<()> {
    let release = file.attr_or_none(c"_decref_socketios")?;
    let refs = file.attr_or_none(c"_io_refs")?;
    if !release.is_none() && refs.is_int() && refs.to_i64()? > 0 {
        file.call_method0(&names().close)?;
        return release.call0().map(drop);
    }
    file.call_method0(&names().close).map(drop)
}

/// The methods that all transports share.
pub fn methods<T: Transport>() -> Methods<T> {
    Methods::new()
        .noargs(
            c"is_closing",
            c"Return True if the transport is closing or closed.",
            |this: &Py<T>| Ok(this.endpoint().is_closing()),
        )
        .noargs(c"abort", c"Close at once: what waits to be sent is lost.", |this: &Py<T>| {
            this.force_close(&Obj::none())
        })
        .noargs(c"get_protocol", c"Return the protocol.", |this: &Py<T>| {
            Ok(this.endpoint().protocol())
        })
        .one(
            c"_force_close",
            c"Close at once, with the exception for connection_lost().",
            |this: &Py<T>, reason: &Obj| this.force_close(reason),
        )
        .one(
            c"_call_connection_lost",
            c"Call the protocol's connection_lost() and close the file.",
            |this: &Py<T>, reason: &Obj| this.lose(reason),
        )
        .args(
            c"_fatal_error",
            c"Report an exception that ends the transport, and close it.",
            |this: &Py<T>, args: &Args<'_>| {
                let ([exception], rest) = args.split::<1>("_fatal_error")?;
                let message = match rest.first() {
                    Some(message) => message.to_string_lossy()?,
                    None => "Fatal error on transport".to_owned(),
                };
                this.fatal_exception(exception, &message)
            },
        )
}

/// The private names that libraries and tests read.
pub fn properties<T: Transport>() -> Properties<T> {
    Properties::new()
        .get(c"_loop", |this: &Py<T>| Ok(this.endpoint().event_loop().map(Py::into_obj)))
        .get(c"_protocol", |this: &Py<T>| Ok(this.endpoint().protocol()))
        .get(c"_sock_fd", |this: &Py<T>| Obj::int(i64::from(this.endpoint().fd.get())))
        .get(c"_server", |this: &Py<T>| Ok(this.endpoint().server.get()))
        .get(c"_closing", |this: &Py<T>| Ok(this.endpoint().is_closing()))
        .get(c"_conn_lost", |this: &Py<T>| Ok(this.conn_lost() as usize))
        .get(c"_high_water", |this: &Py<T>| Ok(this.endpoint().flow.high()))
        .get(c"_low_water", |this: &Py<T>| Ok(this.endpoint().flow.low()))
        .get(c"_protocol_paused", |this: &Py<T>| Ok(this.endpoint().flow.is_paused()))
        .get_set(
            c"_extra",
            |this: &Py<T>| Ok(this.endpoint().extra.get()),
            |this: &Py<T>, value: &Obj| {
                this.endpoint().extra.set(Some(value.clone()));
                Ok(())
            },
        )
}
