//! The addresses of a datagram transport: what its socket understands, and the
//! one of the last peer.
//!
//! Only the common literal forms are understood (see `crate::address`); for all
//! others, host names among them, the socket's own methods are asked, so that
//! results and errors are Python's.

use std::cell::RefCell;

use rustix::net::{AddressFamily, SocketAddrAny};

use crate::address::{from_python, to_python};
use crate::ffi::module::import;
use crate::ffi::{Obj, PyResult, Visitor};

/// What kind of addresses a socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4: `(host, port)`.
    Inet,
    /// IPv6: `(host, port, flowinfo, scope_id)`, of which the last two may be
    /// left out when sending.
    Inet6,
    /// A path, an abstract name as bytes that begin with NUL, or `None`.
    Unix,
    /// Something else, or a socket object that is not Python's own: whatever it
    /// has to do, its own methods do.
    Foreign,
}

impl Family {
    /// The family of a socket object.
    pub fn of(sock: &Obj) -> PyResult<Self> {
        if !sock.is_exactly(&import(c"socket")?.attr(c"socket")?) {
            return Ok(Self::Foreign);
        }
        let number = sock.attr(c"family")?.to_i64()?;
        let is = |family: AddressFamily| number == i64::from(family.as_raw());
        Ok(match number {
            _ if is(AddressFamily::INET) => Self::Inet,
            _ if is(AddressFamily::INET6) => Self::Inet6,
            _ if is(AddressFamily::UNIX) => Self::Unix,
            _ => Self::Foreign,
        })
    }
}

/// The system's form of an address, if it is one of the common literal forms.
pub fn parse(family: Family, address: &Obj) -> Option<SocketAddrAny> {
    let family = match family {
        Family::Inet => AddressFamily::INET,
        Family::Inet6 => AddressFamily::INET6,
        Family::Unix => AddressFamily::UNIX,
        Family::Foreign => return None,
    };
    // A name that cannot be encoded: the socket's own method says so.
    from_python(family, address).unwrap_or_else(|raised| {
        raised.clear();
        None
    })
}

/// One address in both forms, of which neither has to be made anew as long as
/// the same peer sends or is sent to.
#[derive(Debug, Default)]
pub struct KnownAddress(RefCell<Option<(SocketAddrAny, Obj)>>);

impl KnownAddress {
    /// Keeps an address instead of the former one. The object does not change:
    /// it is a str, bytes or a tuple.
    pub fn keep(&self, address: SocketAddrAny, object: Obj) {
        let former = self.0.replace(Some((address, object)));
        drop(former);
    }

    /// Forgets it.
    pub fn forget(&self) {
        let former = self.0.take();
        drop(former);
    }

    /// The system's form, if `object` is the object that is kept.
    pub fn of_object(&self, object: &Obj) -> Option<SocketAddrAny> {
        match &*self.0.borrow() {
            Some((address, known)) if known.is(object) => Some(address.clone()),
            _ => None,
        }
    }

    /// Python's form of a sender's address, kept or made and kept. A sender that
    /// has no address is `None`.
    pub fn object_of(&self, address: Option<SocketAddrAny>) -> PyResult<Obj> {
        let Some(address) = address else { return Ok(Obj::none()) };
        if let Some((known, object)) = &*self.0.borrow()
            && *known == address
        {
            return Ok(object.clone());
        }
        let object = to_python(&address)?;
        self.keep(address, object.clone());
        Ok(object)
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(known) = self.0.try_borrow()
            && let Some((_, object)) = known.as_ref()
        {
            visitor.obj(object);
        }
    }
}
