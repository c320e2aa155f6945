//! The addresses of a datagram transport: what its socket understands.
//!
//! Only the common literal forms are understood (see `crate::address`); for all
//! others, host names among them, the socket's own methods are asked, so that
//! results and errors are Python's.

use rustix::net::{AddressFamily, SocketAddrAny};

use crate::address::from_python;
use crate::ffi::module::import;
use crate::ffi::{Obj, PyResult};

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
