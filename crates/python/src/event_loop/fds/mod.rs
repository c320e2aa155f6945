//! File descriptors: who owns which, and what the driver is told of it.
//!
//! A descriptor has one owner at a time ([`Owner`]). What users watch is reported
//! level-triggered, as `add_reader` promises, or once for each wait of an operation
//! (`waits.rs`); transports are registered edge-triggered.
//!
//! Invariant: an operation's registration stays with the driver when nobody waits, switched off.
//! So it may be that of a file that has gone, and of another that has got its number since:
//! nothing relies on it before [`arm`](Py::arm) has asked the driver.
//!
//! Files: this one has owners and registrations; `watchers` is who watches; `callbacks` is
//! `add_reader` and its kin; `waits` are the waits of `sock_*` operations.

mod callbacks;
mod waits;
mod watchers;

use std::os::fd::RawFd;

use batuta_engine::driver::{Driver, Interest, Token, Trigger};
use rustix::io::Errno;

use crate::ffi::{Obj, Py, PyResult, Raised, Visitor};
use crate::handle::{Handle, HasCore};
use crate::transport::AnyTransport;

use super::NativeLoop;

pub(super) use callbacks::methods;
pub use watchers::{Side, Watcher, Watchers};

/// Who owns a descriptor.
#[derive(Debug)]
pub enum Owner {
    /// Callbacks of `add_reader` and `add_writer`, and operations that wait.
    User(Watchers),
    /// A native transport.
    Transport(AnyTransport),
    /// The loop's own wake-up.
    Waker,
    /// The loop's own signal pipe.
    Signals,
    /// Where the resolver's answers arrive.
    Answers,
}

impl Owner {
    pub(super) fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::User(watchers) => watchers.traverse(visitor),
            Self::Transport(transport) => transport.traverse(visitor),
            Self::Waker | Self::Signals | Self::Answers => {}
        }
    }
}

/// A watcher that was taken from its place is told nothing any more.
fn dismiss(watcher: Watcher) -> PyResult<()> {
    match watcher {
        Watcher::Callback(handle) => Handle::cancel(&handle),
        Watcher::Waiter(_) => Ok(()),
    }
}

impl Py<NativeLoop> {
    /// Registers or re-arms a descriptor with the driver, whatever the driver
    /// knew of the number before: a descriptor that was closed without our
    /// knowledge has left the driver by itself.
    fn arm(&self, token: Token, interest: Interest, trigger: Trigger, known: bool) -> PyResult<()> {
        let driver = &self.io()?.driver;
        let armed = if known {
            match driver.modify(token, interest, trigger) {
                Err(Errno::NOENT) => driver.add(token, interest, trigger),
                done => done,
            }
        } else {
            match driver.add(token, interest, trigger) {
                Err(Errno::EXIST) => driver.modify(token, interest, trigger),
                done => done,
            }
        };
        armed.map_err(Raised::os_error)
    }

    /// Raises unless the table of owners may grow as far as `fd`.
    fn check_open(&self, fd: RawFd) -> PyResult<()> {
        if self.registry.borrow().reaches(fd) {
            return Ok(());
        }
        batuta_engine::driver::check_open(fd).map_err(Raised::os_error)
    }

    /// Puts a watcher in the place of another one or of none.
    fn add_watcher(&self, fd: RawFd, side: Side, watcher: Watcher) -> PyResult<()> {
        self.check_closed()?;
        self.check_open(fd)?;
        let trigger = match watcher {
            Watcher::Callback(_) => Trigger::Level,
            Watcher::Waiter(_) => Trigger::Once,
        };
        let mut former = None;
        let (token, wanted, trigger, known) = {
            let mut registry = self.registry.borrow_mut();
            let known = match registry.get_mut(fd) {
                Some(Owner::User(watchers)) => {
                    former = watchers.place(side).replace(watcher);
                    if trigger == Trigger::Level && watchers.trigger == Trigger::Once {
                        // The number may have a new tenant, who gets a token of its own: an
                        // operation takes an event of the former one for an invitation to try,
                        // a callback would take it for its own.
                        let mut joined = std::mem::replace(watchers, Watchers::none(trigger));
                        joined.trigger = trigger;
                        registry.insert(fd, Owner::User(joined));
                    }
                    true
                }
                Some(_) => {
                    drop(registry);
                    return Err(Raised::runtime_error(&format!(
                        "File descriptor {fd} is used by a transport"
                    )));
                }
                None => {
                    if matches!(watcher, Watcher::Callback(_)) {
                        self.budget.borrow_mut().exhaust();
                    }
                    let mut watchers = Watchers::none(trigger);
                    *watchers.place(side) = Some(watcher);
                    registry.insert(fd, Owner::User(watchers));
                    false
                }
            };
            let (wanted, trigger) = match registry.get(fd) {
                Some(Owner::User(watchers)) => (watchers.interest(), watchers.trigger),
                _ => (Interest::default(), trigger),
            };
            (registry.token(fd), wanted, trigger, known)
        };
        if let Some(token) = token
            && let Err(raised) = self.arm(token, wanted, trigger, known)
        {
            let undone = self.registry.borrow_mut().remove(fd);
            drop((undone, former));
            return Err(raised);
        }
        former.map_or(Ok(()), dismiss)
    }

    /// Takes a watcher from its place, if `wanted` says that it is the one.
    fn take_watcher(
        &self,
        fd: RawFd,
        side: Side,
        wanted: impl FnOnce(&Watcher) -> bool,
    ) -> Option<Watcher> {
        let (removed, token, left, gone) = {
            let mut registry = self.registry.borrow_mut();
            let Some(Owner::User(watchers)) = registry.get_mut(fd) else { return None };
            if !watchers.get(side).is_some_and(wanted) {
                return None;
            }
            let removed = watchers.place(side).take();
            if watchers.trigger == Trigger::Once {
                // Stays with the driver for the next wait. What it still reports finds nobody.
                return removed;
            }
            let (left, is_idle) = (watchers.interest(), watchers.is_idle());
            let token = registry.token(fd);
            let gone = if is_idle { registry.remove(fd) } else { None };
            (removed, token, left, gone)
        };
        if let (Ok(io), Some(token)) = (self.io(), token) {
            // A closed descriptor has left the driver by itself.
            let _ = if left.read || left.write {
                io.driver.modify(token, left, Trigger::Level)
            } else {
                io.driver.remove(fd)
            };
        }
        // With it a socket may go that nobody else has.
        drop(gone);
        removed
    }

    /// Keeps what a callback was added for.
    fn keep_file(&self, fd: RawFd, file: &Obj) {
        let former = match self.registry.borrow_mut().get_mut(fd) {
            Some(Owner::User(watchers)) => watchers.keep(file),
            _ => None,
        };
        drop(former);
    }

    /// Which descriptor has callbacks that were added for this object, whatever number the object
    /// has now.
    fn watched_as(&self, file: &Obj) -> Option<RawFd> {
        let registry = self.registry.borrow();
        let (fd, _) = registry
            .iter()
            .find(|(_, owner)| matches!(owner, Owner::User(watchers) if watchers.are_of(file)))?;
        RawFd::try_from(fd).ok()
    }

    /// Gives a descriptor to a transport, whose events it gets from now on.
    /// Former user callbacks are cancelled, as a second `add_reader` would.
    pub fn adopt_fd(&self, fd: RawFd, transport: AnyTransport) -> PyResult<()> {
        self.check_open(fd)?;
        let wanted = transport.interest();
        self.budget.borrow_mut().exhaust();
        let inserted = self.registry.borrow_mut().insert(fd, Owner::Transport(transport));
        let Some((token, former)) = inserted else {
            return Err(Raised::value_error(&format!("Invalid file descriptor: {fd}")));
        };
        if let Err(raised) = self.arm(token, wanted, Trigger::Edge, former.is_some()) {
            let undone = self.registry.borrow_mut().remove(fd);
            drop(undone);
            return Err(raised);
        }
        if let Some(Owner::User(mut watchers)) = former {
            for side in [Side::Read, Side::Write] {
                watchers.place(side).take().map_or(Ok(()), dismiss)?;
            }
        }
        Ok(())
    }

    /// Changes what the descriptor of a transport is watched for.
    pub fn rewatch_fd(&self, token: Token, wanted: Interest) -> PyResult<()> {
        self.io()?.driver.modify(token, wanted, Trigger::Edge).map_err(Raised::os_error)
    }

    /// Takes a descriptor from its transport, before it is closed.
    pub fn release_fd(&self, fd: RawFd, transport: &Obj) {
        let owned = matches!(self.registry.borrow().get(fd),
            Some(Owner::Transport(owner)) if owner.is(transport));
        if owned {
            let released = self.registry.borrow_mut().remove(fd);
            drop(released);
            if let Ok(io) = self.io() {
                let _ = io.driver.remove(fd);
            }
        }
    }

    /// The token under which a transport owns its descriptor.
    pub fn token_of(&self, fd: RawFd) -> Option<Token> {
        self.registry.borrow().token(fd)
    }

    /// `RuntimeError` if a transport that is not closing uses the socket, which may be closed.
    #[cfg(Py_3_12)]
    pub fn ensure_no_transport_of(&self, sock: &Obj) -> PyResult<()> {
        match RawFd::try_from(callbacks::number(sock)?) {
            Ok(fd) => self.ensure_no_transport(sock, fd),
            Err(_) => Ok(()),
        }
    }

    /// `RuntimeError` if a transport that is not closing uses the descriptor.
    pub fn ensure_no_transport(&self, file: &Obj, fd: RawFd) -> PyResult<()> {
        let owner = match self.registry.borrow().get(fd) {
            Some(Owner::Transport(transport)) => Some(transport.to_obj()),
            Some(Owner::Waker | Owner::Signals | Owner::Answers) => None,
            _ => return Ok(()),
        };
        let Some(transport) = owner else {
            return Err(Raised::runtime_error(&format!(
                "File descriptor {fd} belongs to the event loop"
            )));
        };
        if transport.attr(c"is_closing")?.call0()?.is_true()? {
            return Ok(());
        }
        Err(Raised::runtime_error(&format!(
            "File descriptor {} is used by transport {}",
            file.repr_lossy(),
            transport.repr_lossy()
        )))
    }
}
