//! A transport's file: the Python object behind its descriptor.

use rustix::net::AddressFamily;

use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, PyResult};

/// Keeps a socket's descriptor open as long as the transport uses it, even if
/// somebody closes the socket object meanwhile: its number must not go to
/// another file under the transport's feet.
pub fn hold_socket(sock: &Obj) -> PyResult<()> {
    let refs = sock.attr_or_none(c"_io_refs")?;
    if refs.is_int() {
        sock.set_attr(c"_io_refs", &Obj::int(refs.to_i64()? + 1)?)?;
    }
    Ok(())
}

/// Closes a file, and lets go of it if it was held.
pub fn close_file(file: &Obj) -> PyResult<()> {
    let release = file.attr_or_none(c"_decref_socketios")?;
    let refs = file.attr_or_none(c"_io_refs")?;
    if !release.is_none() && refs.is_int() && refs.to_i64()? > 0 {
        file.call_method0(&names().close)?;
        return release.call0().map(drop);
    }
    file.call_method0(&names().close).map(drop)
}

/// The dict of `get_extra_info()`: the socket, and both addresses as far as the
/// system knows them.
pub fn describe_socket(sock: &Obj, given: Option<&Obj>) -> PyResult<Obj> {
    let extra = Obj::dict()?;
    if let Some(given) = given.and_then(Obj::non_none) {
        extra.attr(c"update")?.call1(given)?;
    }
    let asyncio = Asyncio::get();
    extra.set_item("socket", &asyncio.transport_socket.call1(sock)?)?;
    let address = |method: &std::ffi::CStr| {
        sock.attr(method)?.call0().or_else(|raised| {
            raised.catch(crate::ffi::error::os_error_class())?;
            Ok(Obj::none())
        })
    };
    extra.set_item("sockname", &address(c"getsockname")?)?;
    if extra.dict_get(&Obj::str("peername")?)?.is_none() {
        extra.set_item("peername", &address(c"getpeername")?)?;
    }
    Ok(extra)
}

/// Whether a socket's family is IPv4 or IPv6.
pub fn is_internet_socket(sock: &Obj) -> PyResult<bool> {
    let family = sock.attr_or_none(c"family")?;
    if !family.is_int() {
        return Ok(false);
    }
    let family = family.to_i64()?;
    let internet = [AddressFamily::INET, AddressFamily::INET6];
    Ok(internet.iter().any(|known| i64::from(known.as_raw()) == family))
}
