//! Socket addresses: between Python's form and the system's.
//!
//! Python's form is what the `socket` module takes and gives. Only the common
//! literal forms are understood here; for all others, host names among them, the
//! socket's own methods are asked, so that results and errors are Python's.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::ffi::module::import;
use crate::ffi::{Obj, PyResult, Raised, Visitor};

/// The size of `sockaddr_un.sun_path`; a path ends with a NUL in it.
const UNIX_PATH: usize = 108;

/// The greatest flow label of IPv6.
const MAX_FLOW: i64 = 0xf_ffff;

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
    match family {
        Family::Inet => {
            let (host, port) = host_and_port(address, 2..=2)?;
            Some(SocketAddrV4::new(literal::<Ipv4Addr>(&host)?, port).as_any())
        }
        Family::Inet6 => {
            let (host, port) = host_and_port(address, 2..=4)?;
            let flow = optional_number(address, 2, MAX_FLOW)?;
            let scope = optional_number(address, 3, i64::from(u32::MAX))?;
            Some(SocketAddrV6::new(literal::<Ipv6Addr>(&host)?, port, flow, scope).as_any())
        }
        Family::Unix => unix(address).map(|address| address.as_any()),
        Family::Foreign => None,
    }
}

fn host_and_port(address: &Obj, sizes: std::ops::RangeInclusive<usize>) -> Option<(Obj, u16)> {
    let (host, port) = (address.tuple_item(0)?, address.tuple_item(1)?);
    let size = address.len().map_err(Raised::clear).ok()?;
    let port = u16::try_from(number(&port)?).ok()?;
    sizes.contains(&size).then_some((host, port))
}

fn literal<A: FromStr>(host: &Obj) -> Option<A> {
    host.as_str()?.parse().ok()
}

fn optional_number(address: &Obj, index: usize, most: i64) -> Option<u32> {
    match address.tuple_item(index) {
        None => Some(0),
        Some(item) => {
            let value = number(&item).filter(|value| *value <= most)?;
            u32::try_from(value).ok()
        }
    }
}

fn number(item: &Obj) -> Option<i64> {
    if !item.is_int() {
        return None;
    }
    item.to_i64().map_err(Raised::clear).ok()
}

/// ASCII reads the same in every encoding of file names.
fn unix(address: &Obj) -> Option<SocketAddrUnix> {
    let name = match address.as_str() {
        Some(path) if path.is_ascii() => path.as_bytes(),
        Some(_) => return None,
        None => address.bytes_content(),
    };
    match name {
        [] => None,
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name).ok(),
        path if path.len() < UNIX_PATH => SocketAddrUnix::new(path).ok(),
        _ => None,
    }
}

/// Python's form of the sender's address.
fn to_object(address: &SocketAddrAny) -> PyResult<Obj> {
    if address.address_family() == AddressFamily::UNIX {
        return match unix_name(address) {
            [0, ..] => Obj::bytes(unix_name(address)),
            path => Obj::fs_decode(path.split(|byte| *byte == 0).next().unwrap_or_default()),
        };
    }
    match SocketAddr::try_from(address.clone()) {
        Ok(SocketAddr::V4(address)) => Obj::tuple(&[
            Obj::str(&address.ip().to_string())?,
            Obj::int(i64::from(address.port()))?,
        ]),
        Ok(SocketAddr::V6(address)) => Obj::tuple(&[
            Obj::str(&ipv6_text(address.ip()))?,
            Obj::int(i64::from(address.port()))?,
            Obj::int(i64::from(address.flowinfo()))?,
            Obj::int(i64::from(address.scope_id()))?,
        ]),
        Err(errno) => Err(Raised::os_error(errno)),
    }
}

/// As the system writes it: Rust differs in the (obsolete) IPv4-compatible form.
fn ipv6_text(address: &Ipv6Addr) -> String {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = address.octets();
            format!("::{}", Ipv4Addr::new(a, b, c, d))
        }
        _ => address.to_string(),
    }
}

/// What follows the family in a Unix address: the path or abstract name.
fn unix_name(address: &SocketAddrAny) -> &[u8] {
    // SAFETY: the first `addr_len` bytes of the storage are initialised, and are
    // borrowed as long as the address is.
    let all = unsafe {
        std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.addr_len() as usize)
    };
    all.get(size_of::<u16>()..).unwrap_or_default()
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
        let object = to_object(&address)?;
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
