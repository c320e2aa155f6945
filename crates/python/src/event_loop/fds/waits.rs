//! Waits of `sock_*` operations for their socket.
//!
//! Role: an operation that would block becomes the watcher of a direction of its descriptor. When
//! that is ready it tries again, and goes when it is done.
//!
//! Registrations of operations are kept: when nobody waits the driver still has the descriptor,
//! but reports nothing, because each report switches it off ([`Trigger::Once`]). The next wait
//! switches it on again, which is one system call instead of two. What makes that safe, although
//! nobody tells us when a socket is closed and its number goes to another file:
//!
//! - Each wait asks the driver to switch the number on, and the driver looks up the file that is
//!   behind it now. If that is not the file that was registered, it says so, and the file is
//!   added. So there is nothing to be remembered of the socket, neither the object nor its
//!   identity, and `close()`, `detach()`, `dup2()`, another socket object for the same number and
//!   other loops need no rule of their own.
//! - To be switched on means to be looked at: what has come since the operation's last try is
//!   reported. No edge can be lost.
//! - Nothing is reported of a registration in which nobody waits, but once if a wait was cancelled.
//!   So a file that stays open elsewhere (`dup()`, a forked child) after its socket was closed,
//!   which can no longer be taken from the driver, wakes the loop once at most.
//! - A report is an invitation to try. Whoever waits tries on its own socket and goes on waiting
//!   if that would block, so that a report which was meant for a former tenant does no harm.
//!
//! If a callback is added beside an operation, the registration becomes a level-triggered one, as
//! for all callbacks, and ends with its last watcher.

use std::os::fd::RawFd;

use batuta_engine::driver::{Driver, Readiness, Token, Trigger};

use crate::asyncio::names;
use crate::ffi::panic::catch_panic;
use crate::ffi::{Obj, Py, PyResult, Raised};
use crate::handle::{Core, Handle};
use crate::sock::Waiter;

use super::callbacks::fileno;
use super::{NativeLoop, Owner, Side, Watcher, dismiss};

impl Py<NativeLoop> {
    /// Watches a socket's descriptor by a callback; returns what [`Self::unwatch`] wants to know.
    pub fn watch(&self, sock: &Obj, side: Side, callback: &Obj) -> PyResult<(RawFd, Py<Handle>)> {
        let number = sock.call_method0(&names().fileno)?;
        let fd = fileno(&number)?;
        self.ensure_no_transport(&number, fd)?;
        self.check_closed()?;
        let core = Core::new(self, callback, &[], None)?;
        if self.debug.get() {
            core.trace()?;
        }
        let handle = Py::new(Handle(core))?;
        self.add_watcher(fd, side, Watcher::Callback(handle.clone()))?;
        Ok((fd, handle))
    }

    /// Ends a watch, unless the descriptor's number has gone to another since.
    pub fn unwatch(&self, fd: RawFd, side: Side, handle: &Py<Handle>) -> PyResult<()> {
        let handle = handle.as_obj();
        self.take_watcher(fd, side, |here| here.is_callback(handle)).map_or(Ok(()), dismiss)
    }

    /// Lets an operation wait for a descriptor, which its socket has open.
    pub fn begin_wait(&self, fd: RawFd, side: Side, waiter: Waiter) -> PyResult<()> {
        let taken = !matches!(self.registry.borrow().get(fd), None | Some(Owner::User(_)));
        if taken {
            self.ensure_no_transport(&Obj::int(fd.into())?, fd)?;
        }
        self.add_watcher(fd, side, Watcher::Waiter(waiter))
    }

    /// Ends the wait of an operation, unless another one has taken its place.
    pub fn end_wait(&self, fd: RawFd, side: Side, operation: &Obj) {
        let ended = self.take_watcher(fd, side, |here| here.is_waiter(operation));
        drop(ended);
    }

    /// A descriptor is ready: who waits for it tries again.
    pub fn serve_waiters(&self, token: Token, readiness: Readiness) -> PyResult<()> {
        let mut result = Ok(());
        for (side, ready) in [(Side::Read, readiness.read), (Side::Write, readiness.write)] {
            let waiter = match self.registry.borrow().resolve(token) {
                Some(Owner::User(watchers)) if ready => watchers.waiter(side).cloned(),
                _ => None,
            };
            if let Some(waiter) = waiter
                && let Err(raised) = catch_panic(|| waiter.try_again())
                    .or_else(|raised| self.waiter_failed(raised, waiter.as_obj()))
            {
                result = Err(raised.take());
                break;
            }
        }
        self.switch_on_again(token);
        result.map_err(Raised::restore)
    }

    /// The report has switched the descriptor off: on again, if somebody still waits.
    fn switch_on_again(&self, token: Token) {
        let wanted = match self.registry.borrow().resolve(token) {
            Some(Owner::User(watchers)) if watchers.trigger == Trigger::Once => watchers.interest(),
            _ => return,
        };
        if let Ok(io) = self.io()
            && (wanted.read || wanted.write)
        {
            // A closed descriptor is not reported any more: its socket's operations wait for ever,
            // as in asyncio's own loop.
            let _ = io.driver.modify(token, wanted, Trigger::Once);
        }
    }
}
