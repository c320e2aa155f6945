//! What every native transport has: a file, a protocol, and an end.
//!
//! Ownership: the endpoint owns its [`File`] from the making of the transport until
//! `connection_lost()` has been called; then it closes the file and lets go of protocol and
//! loop.
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

use batuta_engine::driver::{Event, Interest, Readiness, Token};
use rustix::io::Errno;

use crate::asyncio::{logger, names};
use crate::event_loop::{NativeLoop, Ready};
use crate::ffi::error::os_error_class;
use crate::ffi::names::Name;
use crate::ffi::{NativeType, Obj, Py, PyResult, Slot, Visitor, context};

use super::AnyTransport;
use super::extra::Extra;
use super::file::File;
use super::flow::Flow;

/// An edge that tells of room to write and of nothing else.
pub(super) const ROOM: Readiness = Readiness { read: false, write: true, closed: false };

/// asyncio's `LOG_THRESHOLD_FOR_CONNLOST_WRITES`.
pub(super) const LOGGED_LOST_WRITES: u32 = 5;

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
    pub(super) event_loop: RefCell<Option<Py<NativeLoop>>>,
    pub(super) file: File,
    pub(super) protocol: Slot,
    pub(super) server: Slot,
    pub(super) extra: Extra,
    pub(super) context: Slot,
    /// The context that the transport was made to run in (Python 3.15); without
    /// one each callback runs in a copy of its scheduler's.
    pub(super) given_context: Slot,
    /// That of the write that has had to wait first: what comes of it runs there.
    writer_context: Slot,
    /// The descriptor; its complement, which is negative, once the file is not the transport's
    /// any more.
    pub(super) fd: Cell<RawFd>,
    pub(super) token: Cell<Option<Token>>,
    /// Whether edges tell of room to write, too: not before something waits for it.
    pub(super) room_watched: Cell<bool>,
    /// The descriptor is with somebody else (sendfile), who has it registered: not a
    /// transport's business until it is given back.
    pub(super) lent: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    pub(super) lost_writes: Cell<u32>,
    /// Water marks.
    pub flow: Flow,
}

impl Endpoint {
    /// An open endpoint. `extra` is what `get_extra_info()` tells of it.
    pub fn new(
        event_loop: &Py<NativeLoop>,
        file: File,
        protocol: &Obj,
        server: Option<&Obj>,
        extra: Extra,
    ) -> PyResult<Self> {
        let fd = file.number()?;
        Ok(Self {
            event_loop: RefCell::new(Some(event_loop.clone())),
            file,
            protocol: Slot::from(protocol.clone()),
            server: Slot::from(server.and_then(Obj::non_none).cloned()),
            extra,
            context: Slot::from(context::copy_current()?),
            given_context: Slot::default(),
            writer_context: Slot::default(),
            fd: Cell::new(fd),
            token: Cell::new(None),
            room_watched: Cell::new(false),
            lent: Cell::new(false),
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
        // SAFETY: the file (or the transport, which has put a descriptor of
        // its own here) keeps it open until `finish` closes the file, which makes
        // the number negative first.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The number of the descriptor, also after the end.
    pub fn number(&self) -> RawFd {
        let fd = self.fd.get();
        if fd < 0 { !fd } else { fd }
    }

    /// Uses the descriptor no more; its number is still told.
    pub fn drop_fd(&self) {
        self.fd.set(!self.number());
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

    /// Puts another object in the place of the file's, which it wraps. Data still
    /// goes through the descriptor.
    pub fn wrap_file(&self, wrapper: &Obj) -> PyResult<()> {
        if !self.file.is_open() {
            return Ok(());
        }
        // Who asks for the socket is told of the file's own from now on.
        self.extra.socket(&self.file)?;
        self.file.wrap(wrapper)
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

    /// The loop's turn.
    #[inline]
    pub fn turn(&self) -> u64 {
        self.event_loop.borrow().as_ref().map_or(0, |event_loop| event_loop.turn.get())
    }

    /// What its descriptor is watched for, unless its kind wants something else.
    pub fn interest(&self) -> Interest {
        Interest { read: true, write: self.room_watched.get() }
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

    /// The same for what comes of room to write.
    pub fn in_writers_context<R>(&self, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        match self.writer_context.get() {
            Some(context) => context::run_in(&context, body),
            None => self.in_context(body),
        }
    }

    /// Something that was written waits for room, or nothing does any more.
    #[inline]
    pub fn writer_waits(&self, waits: bool) -> PyResult<()> {
        if !waits {
            self.writer_context.set(None);
        } else if !self.writer_context.is_some() && !self.given_context.is_some() {
            self.writer_context.set(Some(context::copy_current()?));
        }
        Ok(())
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
    pub(super) fn schedule(&self, callback: &Obj, args: &[Obj]) -> PyResult<()> {
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
            event_loop.push(Ready::Io(Event { token, readiness }.into()));
        }
    }

    /// Logs at debug level, in debug mode: `format` with the transport in it.
    pub fn debug_log(&self, transport: &Obj, format: &str) -> PyResult<()> {
        self.log(&names().debug, transport, format)
    }

    /// The same with an exception, whose traceback is logged as well.
    #[cold]
    pub fn debug_log_exception(
        &self,
        transport: &Obj,
        format: &str,
        exception: &Obj,
    ) -> PyResult<()> {
        if self.debug() {
            let keyword = Obj::tuple(&[Obj::str("exc_info")?])?;
            let args = [&Obj::str(format)?, transport];
            logger()?.call_method_with(&names().debug, args, &keyword, exception)?;
        }
        Ok(())
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
        let contexts = [&self.context, &self.given_context, &self.writer_context];
        for slot in [&self.protocol, &self.server].into_iter().chain(contexts) {
            visitor.slot(slot);
        }
        self.file.traverse(visitor);
        self.extra.traverse(visitor);
    }

    /// Lets go of the contexts.
    pub(super) fn forget_contexts(&self) {
        for slot in [&self.context, &self.given_context, &self.writer_context] {
            slot.set(None);
        }
    }

    /// Breaks cycles.
    pub fn clear(&self) {
        let event_loop = self.event_loop.borrow_mut().take();
        drop(event_loop);
        self.forget_contexts();
        for slot in [&self.protocol, &self.server] {
            slot.set(None);
        }
        self.file.clear();
        self.extra.clear();
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
    /// Gives it another protocol.
    fn use_protocol(this: &Py<Self>, protocol: &Obj) -> PyResult<()> {
        this.endpoint().set_protocol(protocol);
        Ok(())
    }
    /// How many bytes wait to be sent.
    fn buffered(&self) -> usize;
    /// Sends what is held back for a moment though the file would take it: before the
    /// transport is made to end, and before anybody is told what waits.
    fn send_held_back(_this: &Py<Self>) -> PyResult<()> {
        Ok(())
    }
    /// Sends what is held back for the end of the turn: before anybody is told whether the
    /// connection is still there.
    fn send_held_for_turn(_this: &Py<Self>) -> PyResult<()> {
        Ok(())
    }
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
