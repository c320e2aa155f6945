//! Addresses in which nothing has to be looked up: asyncio's `_ipaddr_info()` for the usual
//! arguments.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::net::{AddressFamily, SocketAddrAny, SocketType, ipproto};

use crate::address;
use crate::ffi::{Obj, PyResult};
use crate::sock::SocketKind;

/// An address to connect to.
#[derive(Debug)]
pub struct Target {
    /// As Python shows it.
    pub address: Obj,
    /// As the system wants it.
    pub native: SocketAddrAny,
}

const INET: i32 = AddressFamily::INET.as_raw() as i32;
const INET6: i32 = AddressFamily::INET6.as_raw() as i32;
const TCP: i32 = ipproto::TCP.as_raw().get().cast_signed();
const UDP: i32 = ipproto::UDP.as_raw().get().cast_signed();

/// What `address` means to a socket of this kind, if nothing has to be looked up.
pub fn target(kind: SocketKind, given: &Obj) -> PyResult<Option<Target>> {
    let Ok(family) = u16::try_from(kind.family) else { return Ok(None) };
    let internet = kind.family == INET || kind.family == INET6;
    let types = [SocketType::STREAM, SocketType::DGRAM].map(|known| known.as_raw().cast_signed());
    if internet && !(types.contains(&kind.kind) && [0, TCP, UDP].contains(&kind.protocol)) {
        return Ok(None);
    }
    let Some(native) = address::from_python(AddressFamily::from_raw(family), given)? else {
        return Ok(None);
    };
    // asyncio makes a tuple of its own, of the length that belongs to the family.
    let item = |index: usize| given.tuple_item(index).map_or_else(|| Obj::int(0), Ok);
    let address = match kind.family {
        INET => Obj::tuple(&[item(0)?, item(1)?])?,
        INET6 => Obj::tuple(&[item(0)?, item(1)?, item(2)?, item(3)?])?,
        _ => given.clone(),
    };
    Ok(Some(Target { address, native }))
}

/// Where a stream to this host and port leads, if the host is a numeric address of the family
/// and the port a number: kind of socket and address. A `family` of zero is any.
pub fn literal(
    host: &Obj,
    port: &Obj,
    family: i64,
    protocol: i64,
) -> PyResult<Option<(SocketKind, Obj)>> {
    let Some(text) = host.as_str().filter(|_| host.is_exact_str()) else { return Ok(None) };
    if !port.is_exact_int() || ![0, TCP, UDP].map(i64::from).contains(&protocol) {
        return Ok(None);
    }
    let (found, address) = if text.parse::<Ipv4Addr>().is_ok() {
        (INET, Obj::tuple(&[host.clone(), port.clone()])?)
    } else if text.parse::<Ipv6Addr>().is_ok() {
        (INET6, Obj::tuple(&[host.clone(), port.clone(), Obj::int(0)?, Obj::int(0)?])?)
    } else {
        return Ok(None);
    };
    if family != 0 && family != i64::from(found) {
        return Ok(None);
    }
    let kind = SocketType::STREAM.as_raw().cast_signed();
    Ok(Some((SocketKind { family: found, kind, protocol: TCP }, address)))
}
