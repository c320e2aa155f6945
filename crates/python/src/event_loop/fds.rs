//! File descriptors: `add_reader` and its kin, and who owns what.
//!
//! A descriptor has one owner at a time ([`Owner`]). User callbacks are
//! registered level-triggered, transports edge-triggered.

use std::os::fd::RawFd;

use batuta_engine::driver::{Driver, Interest, Token, Trigger};
use rustix::io::Errno;

use crate::asyncio::names;
use crate::ffi::method::Methods;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Visitor};
use crate::handle::{Core, Handle, HasCore};
use crate::transport::AnyTransport;

use super::NativeLoop;

/// Who owns a descriptor.
#[derive(Debug)]
pub enum Owner {
    /// The callbacks of `add_reader` and `add_writer`.
    User {
        /// Called when a read would not block.
        reader: Option<Py<Handle>>,
        /// Called when a write would not block.
        writer: Option<Py<Handle>>,
    },
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
            Self::User { reader, writer } => {
                for handle in [reader, writer].into_iter().flatten() {
                    visitor.obj(handle.as_obj());
                }
            }
            Self::Transport(transport) => transport.traverse(visitor),
            Self::Waker | Self::Signals | Self::Answers => {}
        }
    }
}

/// Which callback of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one of `add_reader`.
    Read,
    /// The one of `add_writer`.
    Write,
}

fn side(owner: &mut Owner, side: Side) -> Option<&mut Option<Py<Handle>>> {
    match (owner, side) {
        (Owner::User { reader, .. }, Side::Read) => Some(reader),
        (Owner::User { writer, .. }, Side::Write) => Some(writer),
        _ => None,
    }
}

fn interest(owner: &Owner) -> Interest {
    match owner {
        Owner::User { reader, writer } => {
            Interest { read: reader.is_some(), write: writer.is_some() }
        }
        _ => Interest { read: true, write: true },
    }
}

fn is_handle(place: Option<&Py<Handle>>, handle: &Py<Handle>) -> bool {
    place.is_some_and(|here| here.as_obj().is(handle.as_obj()))
}

/// The number of an int or of an object with `fileno()`.
fn number(file: &Obj) -> PyResult<i64> {
    if file.is_int() {
        return file.to_i64();
    }
    file.call_method0(&names().fileno).and_then(|number| number.to_i64()).map_err(|raised| {
        if !raised.says_unsuitable() {
            return raised;
        }
        raised.clear();
        Raised::value_error(&format!("Invalid file object: {}", file.repr_lossy()))
    })
}

/// The descriptor of an int or of an object with `fileno()`.
fn fileno(file: &Obj) -> PyResult<RawFd> {
    let number = number(file)?;
    RawFd::try_from(number)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(|| Raised::value_error(&format!("Invalid file descriptor: {number}")))
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

    fn add_callback(&self, fd: RawFd, which: Side, handle: &Py<Handle>) -> PyResult<()> {
        self.check_closed()?;
        self.check_open(fd)?;
        let mut former = None;
        let (token, wanted, known) = {
            let mut registry = self.registry.borrow_mut();
            let known = match registry.get_mut(fd) {
                Some(owner @ Owner::User { .. }) => {
                    if let Some(place) = side(owner, which) {
                        former = place.replace(handle.clone());
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
                    let (reader, writer) = match which {
                        Side::Read => (Some(handle.clone()), None),
                        Side::Write => (None, Some(handle.clone())),
                    };
                    registry.insert(fd, Owner::User { reader, writer });
                    false
                }
            };
            let wanted = registry.get(fd).map(interest).unwrap_or_default();
            (registry.token(fd), wanted, known)
        };
        if let Some(token) = token
            && let Err(raised) = self.arm(token, wanted, Trigger::Level, known)
        {
            let undone = self.registry.borrow_mut().remove(fd);
            drop(undone);
            return Err(raised);
        }
        match former {
            Some(former) => Handle::cancel(&former),
            None => Ok(()),
        }
    }

    fn remove_callback(&self, fd: RawFd, which: Side) -> PyResult<bool> {
        let (removed, token, left) = {
            let mut registry = self.registry.borrow_mut();
            let Some(owner) = registry.get_mut(fd) else { return Ok(false) };
            let Some(removed) = side(owner, which).and_then(Option::take) else {
                return Ok(false);
            };
            let left = interest(owner);
            let token = registry.token(fd);
            if !left.read && !left.write {
                registry.remove(fd);
            }
            (removed, token, left)
        };
        if let (Ok(io), Some(token)) = (self.io(), token) {
            // A closed descriptor has left the driver by itself.
            let _ = if left.read || left.write {
                io.driver.modify(token, left, Trigger::Level)
            } else {
                io.driver.remove(fd)
            };
        }
        Handle::cancel(&removed)?;
        Ok(true)
    }

    /// Gives a descriptor to a transport, whose events it gets from now on.
    /// Former user callbacks are cancelled, as a second `add_reader` would.
    pub fn adopt_fd(&self, fd: RawFd, transport: AnyTransport) -> PyResult<()> {
        self.check_open(fd)?;
        let wanted = transport.interest();
        let inserted = self.registry.borrow_mut().insert(fd, Owner::Transport(transport));
        let Some((token, former)) = inserted else {
            return Err(Raised::value_error(&format!("Invalid file descriptor: {fd}")));
        };
        if let Err(raised) = self.arm(token, wanted, Trigger::Edge, former.is_some()) {
            let undone = self.registry.borrow_mut().remove(fd);
            drop(undone);
            return Err(raised);
        }
        if let Some(Owner::User { reader, writer }) = former {
            for handle in [reader, writer].into_iter().flatten() {
                Handle::cancel(&handle)?;
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

    fn callbacks_of(&self, fd: RawFd) -> PyResult<Obj> {
        let handles = match self.registry.borrow().get(fd) {
            Some(Owner::User { reader, writer }) => [reader.clone(), writer.clone()],
            _ => return Ok(Obj::none()),
        };
        Obj::tuple(&handles.map(|handle| handle.map_or_else(Obj::none, Py::into_obj)))
    }

    fn watched_fds(&self) -> PyResult<Obj> {
        let fds: Vec<usize> = self
            .registry
            .borrow()
            .iter()
            .filter_map(|(fd, owner)| matches!(owner, Owner::User { .. }).then_some(fd))
            .collect();
        Obj::list(&fds.into_iter().map(Obj::size).collect::<PyResult<Vec<_>>>()?)
    }

    fn add(&self, args: &Args<'_>, which: Side, function: &str, user: bool) -> PyResult<Obj> {
        let context = args.only_keyword(function, &names().context)?;
        let ([file, callback], rest) = args.split::<2>(function)?;
        let fd = fileno(file)?;
        if user {
            self.ensure_no_transport(file, fd)?;
        }
        self.check_closed()?;
        let core = Core::new(self, callback, rest, context)?;
        if self.debug.get() {
            core.trace()?;
        }
        let handle = Py::new(Handle(core))?;
        self.add_callback(fd, which, &handle)?;
        Ok(if user { Obj::none() } else { handle.into_obj() })
    }

    /// Watches the descriptor of a `sock_*` call's socket in the place of a reader
    /// or writer; returns what [`Self::unwatch`] wants to know.
    pub fn watch(&self, sock: &Obj, which: Side, callback: &Obj) -> PyResult<(RawFd, Py<Handle>)> {
        let number = sock.call_method0(&names().fileno)?;
        let fd = fileno(&number)?;
        self.ensure_no_transport(&number, fd)?;
        self.check_closed()?;
        let core = Core::new(self, callback, &[], None)?;
        if self.debug.get() {
            core.trace()?;
        }
        let handle = Py::new(Handle(core))?;
        self.add_callback(fd, which, &handle)?;
        Ok((fd, handle))
    }

    /// Ends a watch, unless the descriptor's number has gone to another since.
    pub fn unwatch(&self, fd: RawFd, which: Side, handle: &Py<Handle>) -> PyResult<()> {
        let ours = match (self.registry.borrow().get(fd), which) {
            (Some(Owner::User { reader, .. }), Side::Read) => is_handle(reader.as_ref(), handle),
            (Some(Owner::User { writer, .. }), Side::Write) => is_handle(writer.as_ref(), handle),
            _ => false,
        };
        if ours { self.remove_callback(fd, which).map(drop) } else { Ok(()) }
    }

    fn remove(&self, file: &Obj, which: Side, user: bool) -> PyResult<bool> {
        if !file.is_int() && number(file)? < 0 {
            return Ok(false); // A closed socket: what was registered has gone with it.
        }
        let fd = fileno(file)?;
        if user {
            self.ensure_no_transport(file, fd)?;
        }
        self.remove_callback(fd, which)
    }
}

pub(super) fn methods(methods: Methods<NativeLoop>) -> Methods<NativeLoop> {
    methods
        .args(
            c"add_reader",
            c"Call callback(*args) whenever the descriptor can be read.",
            |this: &Py<NativeLoop>, args: &Args<'_>| this.add(args, Side::Read, "add_reader", true),
        )
        .args(
            c"add_writer",
            c"Call callback(*args) whenever the descriptor can be written.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Write, "add_writer", true)
            },
        )
        .args(
            c"_add_reader",
            c"add_reader() for the loop's own use: returns the handle.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Read, "_add_reader", false)
            },
        )
        .args(
            c"_add_writer",
            c"add_writer() for the loop's own use: returns the handle.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Write, "_add_writer", false)
            },
        )
        .named(
            c"remove_reader",
            c"remove_reader($self, fd)\n--\n\n\
              Stop watching the descriptor for reading; return True if it was watched.",
            || ("remove_reader", &names().fd),
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Read, true),
        )
        .named(
            c"remove_writer",
            c"remove_writer($self, fd)\n--\n\n\
              Stop watching the descriptor for writing; return True if it was watched.",
            || ("remove_writer", &names().fd),
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Write, true),
        )
        .one(
            c"_remove_reader",
            c"remove_reader() for the loop's own use.",
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Read, false),
        )
        .one(
            c"_remove_writer",
            c"remove_writer() for the loop's own use.",
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Write, false),
        )
        .one(
            c"_callbacks_of",
            c"Return a descriptor's (reader, writer) handles, None if it has none.",
            |this: &Py<NativeLoop>, file: &Obj| this.callbacks_of(fileno(file)?),
        )
        .noargs(
            c"_watched_fds",
            c"Return the descriptors that have a reader or writer.",
            |this: &Py<NativeLoop>| this.watched_fds(),
        )
        .one(
            c"_ensure_fd_no_transport",
            c"Raise RuntimeError if a transport uses the descriptor.",
            |this: &Py<NativeLoop>, file: &Obj| {
                fileno(file).and_then(|fd| this.ensure_no_transport(file, fd))
            },
        )
}
