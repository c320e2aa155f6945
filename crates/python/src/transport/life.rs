//! A transport's life: how it begins, and the ways it ends.
//!
//! The states are [`Phase`]'s; every transition after `Open` happens here.
//! Exceptions: what a protocol raises must not keep a file open, so each end is
//! carried through before the exception goes on.

use crate::asyncio::{Asyncio, logger, names};
use crate::event_loop::NativeLoop;
use crate::ffi::error::resource_warning;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::endpoint::{LOGGED_LOST_WRITES, Phase, Transport};
use super::report::{Whose, report};
use super::server;

impl<T: Transport> Py<T> {
    /// Whom flow control tells.
    pub fn whose<'a>(&'a self, event_loop: Option<&'a Py<NativeLoop>>) -> Whose<'a> {
        Whose { event_loop, transport: self.as_obj(), protocol: self.endpoint().protocol() }
    }

    /// asyncio's `_conn_lost`.
    pub(super) fn conn_lost(&self) -> u32 {
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
        let elsewhere = endpoint.lent.get() || endpoint.phase() == Phase::Closed;
        if endpoint.token.get().is_some() || elsewhere {
            return Ok(());
        }
        if let Some(event_loop) = endpoint.event_loop() {
            let fd = endpoint.fd.get();
            event_loop.adopt_fd(fd, T::to_any(self))?;
            endpoint.token.set(event_loop.token_of(fd));
        }
        Ok(())
    }

    /// Has edges tell of room to write from now on.
    ///
    /// Not from the beginning: Unix and UDP sockets make such an edge whenever the peer has
    /// read something, which would wake the loop for nothing between a request and its answer.
    pub fn watch_room(&self) -> PyResult<()> {
        let endpoint = self.endpoint();
        match (endpoint.room_watched.replace(true), endpoint.token.get()) {
            (false, Some(token)) => match endpoint.event_loop() {
                Some(event_loop) => event_loop.rewatch_fd(token, T::to_any(self).interest()),
                None => Ok(()),
            },
            _ => self.register(),
        }
    }

    /// Notes an edge that told of room when nothing waited for it: more of them would come.
    #[cold]
    pub fn leave_room(&self) {
        let endpoint = self.endpoint();
        if endpoint.room_watched.replace(false)
            && let (Some(event_loop), Some(token)) = (endpoint.event_loop(), endpoint.token.get())
            && event_loop.rewatch_fd(token, T::to_any(self).interest()).is_err()
        {
            // Somebody has closed the descriptor: then no edge comes either.
            Raised::already_set().clear();
        }
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
        self.endpoint().drop_fd();
        self.endpoint().file.forget();
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

    pub(super) fn fatal_exception(&self, exception: &Obj, message: &str) -> PyResult<()> {
        let endpoint = self.endpoint();
        if T::is_expected(exception)? {
            endpoint.debug_log_exception(self.as_obj(), &format!("%r: {message}"), exception)?;
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
        T::send_held_back(self)?;
        if self.endpoint().phase() >= Phase::Lost {
            return Ok(());
        }
        self.discard();
        self.schedule_lost(reason)
    }

    /// Schedules `connection_lost(reason)`; a `RuntimeError` if the loop is closed.
    pub fn schedule_lost(&self, reason: &Obj) -> PyResult<()> {
        let endpoint = self.endpoint();
        endpoint.phase.set(Phase::Lost);
        if let Some(event_loop) = endpoint.event_loop() {
            event_loop.check_closed()?;
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
        endpoint.drop_fd();
        endpoint.phase.set(Phase::Closed);
        let closed = endpoint.file.close().map_err(Raised::take);
        endpoint.protocol.set(None);
        endpoint.forget_contexts();
        let event_loop = endpoint.event_loop.borrow_mut().take();
        drop(event_loop);
        if let Some(server) = endpoint.server.take() {
            server::detach(&server, self.as_obj())?;
        }
        closed.map_err(Raised::restore)
    }

    /// `__del__`: a transport that nobody has closed is warned about and closed.
    pub fn abandoned(&self) {
        if !self.endpoint().file.is_open() {
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
