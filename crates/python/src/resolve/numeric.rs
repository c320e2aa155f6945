//! Numeric hosts and ports: what the resolver answers without asking anybody.

use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::net::{AddressFamily, SocketType, ipproto};

use crate::address;
use crate::ffi::audit::audit_lookup;
use crate::ffi::error::value_error_class;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::{Obj, PyResult};

/// What the `socket` module calls the constants.
#[derive(Debug)]
struct Constants {
    inet: Obj,
    inet6: Obj,
    stream: Obj,
    datagram: Obj,
    raw: Obj,
    /// `socket.SocketKind`
    kinds: Obj,
}

static CONSTANTS: Global<Constants> = Global::new();

/// Looks the constants up; once, at import.
pub fn load() -> PyResult<()> {
    let socket = import(c"socket")?;
    CONSTANTS.set(Constants {
        inet: socket.attr(c"AF_INET")?,
        inet6: socket.attr(c"AF_INET6")?,
        stream: socket.attr(c"SOCK_STREAM")?,
        datagram: socket.attr(c"SOCK_DGRAM")?,
        raw: socket.attr(c"SOCK_RAW")?,
        kinds: socket.attr(c"SocketKind")?,
    });
    Ok(())
}

/// What the resolver is told besides host and port.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    family: i64,
    kind: i64,
    protocol: i64,
    flags: i64,
}

impl Hints {
    /// The values of ints; nothing if one is something else, or larger than any hint.
    pub fn read(hints: &[Obj; 4]) -> PyResult<Option<Self>> {
        if !hints.iter().all(Obj::is_int) {
            return Ok(None);
        }
        let [family, kind, protocol, flags] = hints.each_ref().map(|hint| {
            hint.to_i64().or_else(|raised| {
                raised.clear();
                Ok(i64::MAX)
            })
        });
        Ok(Some(Self { family: family?, kind: kind?, protocol: protocol?, flags: flags? }))
    }
}

impl Hints {
    /// The same for C; nothing if one does not fit.
    pub fn as_c_ints(self) -> Option<[c_int; 4]> {
        let Self { family, kind, protocol, flags } = self;
        let [family, kind, protocol, flags] =
            [family, kind, protocol, flags].map(|hint| c_int::try_from(hint).ok());
        Some([family?, kind?, protocol?, flags?])
    }
}

/// The family of an address, as the `socket` module shows it.
pub fn family_of(address: &SocketAddr) -> Obj {
    let known = CONSTANTS.get();
    if address.is_ipv4() { known.inet.clone() } else { known.inet6.clone() }
}

/// The type of a socket, the same way: a number if it has no name.
pub fn kind_of(kind: i64) -> PyResult<Obj> {
    let known = CONSTANTS.get();
    let named = [
        (SocketType::STREAM, &known.stream),
        (SocketType::DGRAM, &known.datagram),
        (SocketType::RAW, &known.raw),
    ];
    if let Some((_, name)) = named.into_iter().find(|(value, _)| i64::from(value.as_raw()) == kind)
    {
        return Ok(name.clone());
    }
    let number = Obj::int(kind)?;
    known.kinds.call1(&number).or_else(|raised| {
        raised.catch(value_error_class())?;
        Ok(number)
    })
}

/// A numeric address.
enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

fn parse(host: &Obj) -> Option<Host> {
    let text = host.as_str().filter(|_| host.is_exact_str())?;
    match text.parse() {
        Ok(host) => Some(Host::V4(host)),
        Err(_) => text.parse().ok().map(Host::V6),
    }
}

/// Whether nobody has to be asked: neither for a name nor for the port of a service.
pub fn is_numeric(host: &Obj, port: &Obj) -> bool {
    (port.is_none() || port.is_exact_int()) && parse(host).is_some()
}

/// The answer for the usual hints: the one address that there is for the type of socket. Nothing
/// for all others, which the resolver knows.
pub fn answer(host: &Obj, port: &Obj, hints: Hints) -> PyResult<Option<Obj>> {
    let (known, tcp, udp) = (CONSTANTS.get(), ipproto::TCP, ipproto::UDP);
    let stream = i64::from(SocketType::STREAM.as_raw());
    let datagram = i64::from(SocketType::DGRAM.as_raw());
    let (kind, protocol) = match hints.kind {
        kind if kind == stream => (&known.stream, i64::from(tcp.as_raw().get())),
        kind if kind == datagram => (&known.datagram, i64::from(udp.as_raw().get())),
        _ => return Ok(None),
    };
    let Some(number) = port.non_none().and_then(Obj::to_u16) else { return Ok(None) };
    let (family, value, address) = match parse(host) {
        Some(Host::V4(ip)) => {
            let address = address::to_python(&SocketAddrV4::new(ip, number).into())?;
            (&known.inet, AddressFamily::INET, address)
        }
        Some(Host::V6(ip)) => {
            let address = address::to_python(&SocketAddrV6::new(ip, number, 0, 0).into())?;
            (&known.inet6, AddressFamily::INET6, address)
        }
        None => return Ok(None),
    };
    let fits = (hints.family == 0 || hints.family == i64::from(value.as_raw()))
        && (hints.protocol == 0 || hints.protocol == protocol)
        && hints.flags == 0;
    if !fits {
        return Ok(None);
    }
    audit_lookup(host, port, [hints.family, hints.kind, hints.protocol])?;
    let parts = [family.clone(), kind.clone(), Obj::int(protocol)?, Obj::str("")?, address];
    Obj::list(&[Obj::tuple(&parts)?]).map(Some)
}
