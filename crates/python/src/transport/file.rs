//! A transport's file: the Python object behind its descriptor.

use std::os::fd::{BorrowedFd, RawFd};

use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{AddressFamily, SocketType, ipproto};

use crate::address;
use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, PyResult, Raised};
use crate::sock::{SocketKind, Sockets};

use super::intake::Source;

/// Keeps a socket's descriptor open as long as the transport uses it, even if
/// somebody closes the socket object meanwhile: its number must not go to
/// another file under the transport's feet.
pub fn hold_socket(sock: &Obj) -> PyResult<()> {
    let refs = sock.getattr_or_none(&names()._io_refs)?;
    if refs.is_int() {
        sock.setattr(&names()._io_refs, &Obj::int(refs.to_i64()? + 1)?)?;
    }
    Ok(())
}

/// Closes a file, and lets go of it if it was held.
pub fn close_file(file: &Obj) -> PyResult<()> {
    let release = file.getattr_or_none(&names()._decref_socketios)?;
    let refs = file.getattr_or_none(&names()._io_refs)?;
    if !release.is_none() && refs.is_int() {
        match refs.to_i64()? {
            ..=0 => {}
            // Nobody else holds it: closed in one go.
            1 => file.setattr(&names()._io_refs, &Obj::int(0)?)?,
            _ => {
                file.call_method0(&names().close)?;
                return release.call0().map(drop);
            }
        }
    }
    file.call_method0(&names().close).map(drop)
}

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

/// What a short read of a stream socket says.
pub fn stream_source(sock: &Obj) -> PyResult<Source> {
    let (family, protocol) = if let Some(kind) = Sockets::get().kind_of(sock)? {
        (kind.family, kind.protocol)
    } else {
        let [family, protocol] = [sock.attr_or_none(c"family")?, sock.attr_or_none(c"proto")?];
        if !family.is_int() || !protocol.is_int() {
            return Ok(Source::Socket);
        }
        (family.to_i64()?, protocol.to_i64()?)
    };
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
pub fn set_nodelay(sock: &Obj, fd: BorrowedFd<'_>) -> PyResult<()> {
    let Some(SocketKind { family, kind, protocol }) = Sockets::get().kind_of(sock)? else {
        return Asyncio::get().set_nodelay.call1(sock).map(drop);
    };
    let tcp =
        is_internet(family) && kind == i64::from(SocketType::STREAM.as_raw()) && is_tcp(protocol);
    if tcp { set_tcp_nodelay(fd, true).map_err(Raised::os_error) } else { Ok(()) }
}
