//! Socket addresses, from the system to Python and back.
//!
//! Role: the tuples, strings and bytes that the `socket` module shows for
//! addresses of the families IPv4, IPv6 and Unix, without a detour through it.
//! Whatever is not a plain literal (a host name, a service of another family, a
//! value that is to raise) is left to the socket object's own methods.
//!
//! Owns nothing but what a [`KnownAddress`] keeps. Thread: any that holds the interpreter's lock.

use std::cell::RefCell;
use std::ffi::CString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::ffi::{Obj, PyResult, Visitor};

/// Where the path stands in a `sockaddr_un`.
const UNIX_PATH: usize = size_of::<u16>();

/// The longest path of a Unix socket, without the null byte at its end.
const MAX_UNIX_PATH: usize = 107;

/// The bytes of `255.255.255.255`.
const LONGEST_V4: usize = 15;

/// The largest value of IPv6's flow label field.
const MAX_FLOWINFO: u32 = 0xF_FFFF;

/// Whether addresses of this family are converted here both ways.
pub fn is_native(family: AddressFamily) -> bool {
    matches!(family, AddressFamily::INET | AddressFamily::INET6 | AddressFamily::UNIX)
}

/// The address as the `socket` module shows it: `(host, port)`, `(host, port,
/// flowinfo, scope_id)`, or a path (bytes for an abstract name). An address of
/// any other family gives `(family, bytes)`.
pub fn to_python(address: &SocketAddrAny) -> PyResult<Obj> {
    match address.address_family() {
        AddressFamily::INET => match SocketAddrV4::try_from(address.clone()) {
            Ok(address) => v4_to_python(address),
            Err(_) => Ok(Obj::none()),
        },
        AddressFamily::INET6 => match SocketAddrV6::try_from(address.clone()) {
            Ok(address) => v6_to_python(&address),
            Err(_) => Ok(Obj::none()),
        },
        AddressFamily::UNIX => unix_to_python(raw(address).get(UNIX_PATH..).unwrap_or_default()),
        other => {
            let data = raw(address).get(size_of::<u16>()..).unwrap_or_default();
            Obj::tuple(&[Obj::int(i64::from(other.as_raw()))?, Obj::bytes(data)?])
        }
    }
}

/// The address that `object` says for a socket of this family. `None` means that
/// it is no literal: the socket object's own method is to be asked, which looks
/// names up or raises.
pub fn from_python(family: AddressFamily, object: &Obj) -> PyResult<Option<SocketAddrAny>> {
    Ok(match family {
        AddressFamily::INET => v4_from_python(object).map(SocketAddrAny::from),
        AddressFamily::INET6 => v6_from_python(object).map(SocketAddrAny::from),
        AddressFamily::UNIX => unix_from_python(object)?.map(SocketAddrAny::from),
        _ => None,
    })
}

/// One address in both forms, of which neither has to be made anew as long as
/// the same address comes again.
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

    /// Python's form of an address, kept or made and kept. No address is `None`.
    pub fn object_of(&self, address: Option<SocketAddrAny>) -> PyResult<Obj> {
        let Some(address) = address else { return Ok(Obj::none()) };
        if let Some(object) = self.kept_object(&address) {
            return Ok(object);
        }
        let object = to_python(&address)?;
        self.keep(address, object.clone());
        Ok(object)
    }

    /// Python's form, if `address` is what is kept.
    pub fn kept_object(&self, address: &SocketAddrAny) -> Option<Obj> {
        match &*self.0.borrow() {
            Some((known, object)) if known == address => Some(object.clone()),
            _ => None,
        }
    }

    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        self.0.borrow().is_some()
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

/// The address as the system has it.
fn raw(address: &SocketAddrAny) -> &[u8] {
    let len = address.addr_len() as usize;
    // SAFETY: the first `addr_len` bytes of an address are initialised, and the
    // borrow keeps it alive.
    unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), len) }
}

fn v4_to_python(address: SocketAddrV4) -> PyResult<Obj> {
    let mut place = [0; LONGEST_V4];
    let host = Obj::str(v4_host(*address.ip(), &mut place))?;
    Obj::tuple(&[host, Obj::int(i64::from(address.port()))?])
}

/// Writes the dotted form into `place`: through `Display` it takes longer than the rest of the
/// address.
fn v4_host(host: Ipv4Addr, place: &mut [u8; LONGEST_V4]) -> &str {
    let mut len = 0;
    let mut put = |byte| {
        place[len] = byte;
        len += 1;
    };
    for (index, octet) in host.octets().into_iter().enumerate() {
        if index > 0 {
            put(b'.');
        }
        if octet >= 100 {
            put(b'0' + octet / 100);
        }
        if octet >= 10 {
            put(b'0' + octet / 10 % 10);
        }
        put(b'0' + octet % 10);
    }
    std::str::from_utf8(&place[..len]).unwrap_or_default()
}

fn v6_to_python(address: &SocketAddrV6) -> PyResult<Obj> {
    Obj::tuple(&[
        Obj::str(&v6_host(*address.ip()))?,
        Obj::int(i64::from(address.port()))?,
        Obj::int(i64::from(address.flowinfo()))?,
        Obj::int(i64::from(address.scope_id()))?,
    ])
}

/// As `inet_ntop()` writes it, which shows the old IPv4-compatible addresses in
/// dotted form, too.
fn v6_host(host: Ipv6Addr) -> String {
    match host.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let host = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
            format!("::{host}")
        }
        _ => host.to_string(),
    }
}

fn unix_to_python(path: &[u8]) -> PyResult<Obj> {
    if path.first() == Some(&0) {
        return Obj::bytes(path);
    }
    let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
    Obj::fs_decode(path.get(..end).unwrap_or_default())
}

fn v4_from_python(object: &Obj) -> Option<SocketAddrV4> {
    let host = object.tuple_item(0)?;
    let port = small_int(&object.tuple_item(1)?)?;
    let host: Ipv4Addr = host.as_str()?.parse().ok()?;
    object.tuple_item(2).is_none().then_some(SocketAddrV4::new(host, port))
}

fn v6_from_python(object: &Obj) -> Option<SocketAddrV6> {
    let host = object.tuple_item(0)?;
    let port = small_int(&object.tuple_item(1)?)?;
    let host: Ipv6Addr = host.as_str()?.parse().ok()?;
    let flowinfo: u32 = match object.tuple_item(2) {
        Some(flowinfo) => small_int(&flowinfo).filter(|flowinfo| *flowinfo <= MAX_FLOWINFO)?,
        None => 0,
    };
    let scope_id = match object.tuple_item(3) {
        Some(scope_id) => small_int(&scope_id)?,
        None => 0,
    };
    object.tuple_item(4).is_none().then_some(SocketAddrV6::new(host, port, flowinfo, scope_id))
}

/// The value of an int that fits.
fn small_int<T: TryFrom<i64>>(object: &Obj) -> Option<T> {
    if !object.is_int() {
        return None;
    }
    match object.to_i64() {
        Ok(value) => T::try_from(value).ok(),
        Err(raised) => {
            raised.clear();
            None
        }
    }
}

fn unix_from_python(object: &Obj) -> PyResult<Option<SocketAddrUnix>> {
    let encoded = if object.is_str() { object.fs_encode()? } else { object.clone() };
    Ok(match encoded.bytes_content() {
        // An empty name has a meaning of its own; so has what is not bytes.
        [] => None,
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name).ok(),
        path if path.len() > MAX_UNIX_PATH => None,
        path => CString::new(path).ok().and_then(|path| SocketAddrUnix::new(path).ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_hosts_are_written_as_the_standard_library_writes_them() {
        let octets = [0, 1, 9, 10, 19, 99, 100, 109, 127, 199, 200, 249, 255];
        for a in octets {
            for b in octets {
                let host = Ipv4Addr::new(a, b, 255 - a, 255 - b);
                assert_eq!(v4_host(host, &mut [0; LONGEST_V4]), host.to_string());
            }
        }
    }
}
