//! What is asked of a socket when a transport is made for it: its kind, its addresses.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{AddressFamily, SocketType, ipproto};

use crate::address;
use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, PyResult, Raised};
use crate::sock::{SocketKind, Sockets};

use super::file::File;
use super::source::Source;

/// The dict of `get_extra_info()`: the socket, and both addresses as far as the
/// system knows them.
pub fn describe_socket(sock: &Obj, given: Option<&Obj>) -> PyResult<Obj> {
    let extra = Obj::dict()?;
    if let Some(given) = given.and_then(Obj::non_none) {
        extra.call_method1(&names().update, given)?;
    }
    extra.dict_set(&names().socket, &Asyncio::get().transport_socket.call1(sock)?)?;
    extra.dict_set(&names().sockname, &address_of(sock, End::Near)?)?;
    if extra.dict_get(names().peername.as_obj())?.is_none() {
        extra.dict_set(&names().peername, &address_of(sock, End::Far)?)?;
    }
    Ok(extra)
}

/// An end of a connection.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Ours.
    Near,
    /// The peer's.
    Far,
}

/// The address of an end, `None` if the system knows none.
pub fn address_of(sock: &Obj, end: End) -> PyResult<Obj> {
    if Sockets::get().says_addresses_itself(sock)? {
        let number = sock.call_method0(&names().fileno)?.to_i64()?;
        if let Some(fd) = RawFd::try_from(number).ok().filter(|fd| *fd >= 0) {
            // SAFETY: the socket has it open during this one system call.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let address = match end {
                End::Near => rustix::net::getsockname(fd).map(Some),
                End::Far => rustix::net::getpeername(fd),
            };
            return match address {
                Ok(Some(address)) if address::is_native(address.address_family()) => {
                    address::to_python(&address)
                }
                Ok(_) => address_by_method(sock, end),
                Err(_) => Ok(Obj::none()),
            };
        }
    }
    address_by_method(sock, end)
}

/// The same by the socket object's own method.
fn address_by_method(sock: &Obj, end: End) -> PyResult<Obj> {
    let method = match end {
        End::Near => &names().getsockname,
        End::Far => &names().getpeername,
    };
    sock.call_method0(method).or_else(|raised| {
        raised.catch(crate::ffi::error::os_error_class())?;
        Ok(Obj::none())
    })
}

/// What a short read of the socket of a stream transport says.
pub fn stream_source(file: &File) -> PyResult<Source> {
    let (family, kind, protocol) =
        if let Some(SocketKind { family, kind, protocol }) = file.kind()? {
            (family.into(), kind.into(), protocol.into())
        } else {
            let sock = file.socket()?;
            let told = [c"family", c"type", c"proto"].map(|name| sock.attr_or_none(name));
            let [family, kind, protocol] = told;
            let (family, kind, protocol) = (family?, kind?, protocol?);
            if [&family, &kind, &protocol].iter().any(|number| !number.is_int()) {
                return Ok(Source::Socket);
            }
            (family.to_i64()?, kind.to_i64()?, protocol.to_i64()?)
        };
    if kind != i64::from(SocketType::STREAM.as_raw()) {
        // Packets, which who makes transports by asyncio's private methods may have.
        return Ok(Source::Other);
    }
    Ok(match family {
        // (Others, such as SCTP, keep the boundaries of messages.)
        _ if is_internet(family) && is_tcp(protocol) => Source::Tcp,
        _ if family == i64::from(AddressFamily::UNIX.as_raw()) => Source::Unix,
        _ => Source::Socket,
    })
}

/// Whether an internet socket for streams is TCP's: that is also what no protocol means.
fn is_tcp(protocol: i64) -> bool {
    [0, i64::from(ipproto::TCP.as_raw().get())].contains(&protocol)
}

fn is_internet(family: i64) -> bool {
    let internet = [AddressFamily::INET, AddressFamily::INET6];
    internet.iter().any(|known| i64::from(known.as_raw()) == family)
}

/// Sends small writes of a TCP socket at once (`TCP_NODELAY`), as asyncio documents it for
/// all TCP connections. Stock leaves out sockets that were made without naming the
/// protocol, `socket.socket()`, which a server that writes twice for an answer then makes
/// wait 40 ms for each.
pub fn set_nodelay(file: &File, fd: BorrowedFd<'_>) -> PyResult<()> {
    let Some(SocketKind { family, kind, protocol }) = file.kind()? else {
        return Asyncio::get().set_nodelay.call1(&file.socket()?).map(drop);
    };
    let stream = SocketType::STREAM.as_raw().cast_signed();
    let tcp = is_internet(family.into()) && kind == stream && is_tcp(protocol.into());
    if tcp { set_tcp_nodelay(fd, true).map_err(Raised::os_error) } else { Ok(()) }
}
