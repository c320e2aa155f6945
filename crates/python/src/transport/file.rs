//! [`File`]: what a transport reads and writes, a Python object or a bare descriptor.
//!
//! Role: most transports are made for an object that somebody else has made, a socket or a pipe.
//! A connection that a server has accepted is only a descriptor at first: its `socket.socket` is
//! made when somebody asks for it, which for most connections is never.
//!
//! Ownership: a file owns its descriptor, itself or through the object, until [`File::close`].
//! Where somebody has put a wrapper in the place of the object, the descriptor is still that
//! object's.
//!
//! Thread: any that holds the interpreter's lock may ask for the object; the loop's does the rest.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::asyncio::names;
use crate::ffi::{Obj, PyResult, Raised, Slot, Visitor, gil};
use crate::sock::{SocketKind, Sockets};

/// A transport's file.
#[derive(Debug)]
pub struct File {
    open: Cell<bool>,
    /// Whether a socket object that is closed is to leave the descriptor open.
    held: Cell<bool>,
    /// Stays when the file has been closed: somebody may ask for the socket then.
    object: Slot,
    /// The object, as long as another one stands in its place: it has the descriptor.
    own: Slot,
    /// A connection of which nobody has wanted the object.
    bare: RefCell<Option<OwnedFd>>,
    /// What the object of a connection is made with.
    kind: Cell<Option<SocketKind>>,
}

impl From<&Obj> for File {
    fn from(object: &Obj) -> Self {
        Self {
            open: Cell::new(true),
            held: Cell::new(false),
            object: Slot::from(object.clone()),
            own: Slot::default(),
            bare: RefCell::default(),
            kind: Cell::new(None),
        }
    }
}

impl File {
    /// A connected socket of this kind in non-blocking mode.
    pub fn accepted(fd: OwnedFd, kind: SocketKind) -> Self {
        Self {
            open: Cell::new(true),
            held: Cell::new(false),
            object: Slot::default(),
            own: Slot::default(),
            bare: RefCell::new(Some(fd)),
            kind: Cell::new(Some(kind)),
        }
    }

    /// The number of its descriptor.
    pub fn number(&self) -> PyResult<RawFd> {
        if let Some(bare) = &*self.bare.borrow() {
            return Ok(bare.as_raw_fd());
        }
        let fd = self.object.get_or_none().call_method0(&names().fileno)?.to_i64()?;
        RawFd::try_from(fd).map_err(|_| Raised::value_error("invalid descriptor"))
    }

    /// Whether it has not been closed.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// The object, if there is one already.
    pub fn made(&self) -> Option<Obj> {
        self.object.get()
    }

    /// What its socket was made with, unless that is of a class of its own.
    pub fn kind(&self) -> PyResult<Option<SocketKind>> {
        match self.object.get() {
            Some(sock) => Sockets::get().kind_of(&sock),
            None => Ok(self.kind.get()),
        }
    }

    /// Keeps a socket's descriptor open from now on as long as the transport uses it, even if
    /// somebody closes the socket object meanwhile: its number must not go to
    /// another file under the transport's feet.
    pub fn hold(&self) -> PyResult<()> {
        self.held.set(true);
        let Some(object) = self.object.get() else { return Ok(()) };
        let refs = object.getattr_or_none(&names()._io_refs)?;
        if refs.is_int() {
            object.setattr(&names()._io_refs, &Obj::int(refs.to_i64()? + 1)?)?;
        }
        Ok(())
    }

    /// The object, until the file is closed.
    pub fn object(&self) -> PyResult<Option<Obj>> {
        let number = self.bare.borrow().as_ref().map(AsRawFd::as_raw_fd);
        if let (Some(number), Some(kind)) = (number, self.kind.get()) {
            let adopted = Sockets::get().adopt(kind, number);
            // That was Python code, during which others may have asked, or closed the file.
            match (adopted, self.bare.take()) {
                (Ok(sock), Some(fd)) => {
                    let _the_socket_has_it = fd.into_raw_fd();
                    self.object.set(Some(sock));
                    if self.held.get() {
                        self.hold()?;
                    }
                }
                (Ok(sock), None) => Sockets::get().detach(&sock),
                (Err(raised), Some(fd)) => {
                    *self.bare.borrow_mut() = Some(fd);
                    return Err(raised);
                }
                (Err(raised), None) if raised.escapes() => return Err(raised),
                (Err(raised), None) => raised.clear(),
            }
        }
        Ok(if self.is_open() { self.object.get() } else { None })
    }

    /// The socket of a connection, a closed one when the file has been closed.
    pub fn socket(&self) -> PyResult<Obj> {
        let object = self.object()?;
        if let Some(sock) = object.or_else(|| self.object.get()) {
            return Ok(sock);
        }
        let Some(kind) = self.kind.get() else { return Ok(Obj::none()) };
        let sock = Sockets::get().closed(kind)?;
        if !self.object.is_some() {
            self.object.set(Some(sock));
        }
        Ok(self.object.get_or_none())
    }

    /// Puts another object in the place of its object, which it wraps.
    pub fn wrap(&self, wrapper: &Obj) -> PyResult<()> {
        let object = self.object()?;
        if object.is_some() {
            if !self.own.is_some() {
                self.own.set(object);
            }
            self.object.set(Some(wrapper.clone()));
        }
        Ok(())
    }

    /// Lets go of it without closing it: it is somebody else's from now on.
    pub fn forget(&self) {
        self.open.set(false);
        if let Some(fd) = self.bare.take() {
            let _somebody_else_has_it = fd.into_raw_fd();
        }
        self.object.set(None);
        self.own.set(None);
    }

    /// Closes it.
    pub fn close(&self) -> PyResult<()> {
        if !self.open.replace(false) {
            return Ok(());
        }
        if let Some(fd) = self.bare.take() {
            // Waits if somebody has told the listener to (SO_LINGER).
            gil::without(|| drop(fd));
            return Ok(());
        }
        let Some(object) = self.object.get() else { return Ok(()) };
        let Some(own) = self.own.take() else { return close_object(&object) };
        // The wrapper closes it, or does not; it need not stay open for this file.
        let released = release(&own).map_err(Raised::take);
        let closed = object.call_method0(&names().close).map(drop);
        closed.and(released.map_err(Raised::restore))
    }

    /// Breaks cycles. What is open stays so: the finalizer closes it.
    pub fn clear(&self) {
        if !self.is_open() {
            self.object.set(None);
            self.own.set(None);
        }
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.object);
        visitor.slot(&self.own);
    }
}

/// Closes a file's object, and lets go of it if it was held.
fn close_object(file: &Obj) -> PyResult<()> {
    let refs = file.getattr_or_none(&names()._io_refs)?;
    if Sockets::get().is_plain(file) && refs.is_int() && refs.to_i64()? == 1 {
        // Nobody else holds it: closed in one go.
        file.setattr(&names()._io_refs, &Obj::int(0)?)?;
        return file.call_method0(&names().close).map(drop);
    }
    file.call_method0(&names().close)?;
    if refs.is_int() && refs.to_i64()? > 0 { release(file) } else { Ok(()) }
}

/// Takes back what [`File::hold`] did to the object of a socket.
fn release(sock: &Obj) -> PyResult<()> {
    let release = sock.getattr_or_none(&names()._decref_socketios)?;
    if release.is_none() { Ok(()) } else { release.call0().map(drop) }
}
