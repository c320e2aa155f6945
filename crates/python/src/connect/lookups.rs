//! What connecting needs to know of the interpreter's asyncio, and whether a program has
//! replaced some of it.

use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::event_loop::{NativeLoop, Past};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::{Obj, Py, PyResult};
use crate::sock::Sockets;

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _ensure_resolved, _make_socket_transport, all_errors, create_future, family, flags,
        happy_eyeballs_delay, host, interleave, local_addr, path, port, proto, protocol_factory,
        server_hostname, sock, sock_connect, ssl, ssl_handshake_timeout, ssl_shutdown_timeout,
    }
}

/// The interpreter's own functions.
#[derive(Debug)]
pub struct Lookups {
    /// Interned names.
    pub names: Names,
    /// `BaseEventLoop.create_connection`
    pub create_connection: Obj,
    /// `_UnixSelectorEventLoop.create_unix_connection`
    pub create_unix_connection: Obj,
    /// `BaseSelectorEventLoop.sock_connect`
    pub sock_connect: Obj,
    /// The keywords of `_ensure_resolved()`.
    pub resolve_keywords: Obj,
    /// The Python functions that are gone past, which are methods of the loop.
    functions: [(Name, Obj); 6],
}

static LOOKUPS: Global<Lookups> = Global::new();
static NATIVE_SOCK_CONNECT: Global<Obj> = Global::new();

impl Lookups {
    /// Looks everything up; once, at import.
    pub fn load() -> PyResult<()> {
        let base = &Asyncio::get().base_event_loop;
        let selector = import(c"asyncio.selector_events")?.attr(c"BaseSelectorEventLoop")?;
        let unix = import(c"asyncio.unix_events")?.attr(c"_UnixSelectorEventLoop")?;
        let function =
            |class: &Obj, name: &CStr| PyResult::Ok((Name::intern(name)?, class.attr(name)?));
        let keywords = ["family", "type", "proto", "flags", "loop"];
        let keywords = keywords.iter().map(|name| Obj::str(name)).collect::<PyResult<Vec<_>>>()?;
        LOOKUPS.set(Self {
            names: Names::intern()?,
            create_connection: base.attr(c"create_connection")?,
            create_unix_connection: unix.attr(c"create_unix_connection")?,
            sock_connect: selector.attr(c"sock_connect")?,
            resolve_keywords: Obj::tuple(&keywords)?,
            functions: [
                function(base, c"_connect_sock")?,
                function(base, c"_create_connection_transport")?,
                function(base, c"_ensure_resolved")?,
                function(&selector, c"_sock_connect")?,
                function(&selector, c"_sock_connect_cb")?,
                function(&selector, c"_sock_write_done")?,
            ],
        });
        Ok(())
    }

    /// What was looked up.
    #[inline]
    pub fn get() -> &'static Self {
        LOOKUPS.get()
    }

    /// The native `sock_connect()`, made once.
    pub fn native_sock_connect(make: impl FnOnce(&Obj) -> PyResult<Obj>) -> PyResult<&'static Obj> {
        if NATIVE_SOCK_CONNECT.try_get().is_none() {
            NATIVE_SOCK_CONNECT.set(make(&Self::get().sock_connect)?);
        }
        Ok(NATIVE_SOCK_CONNECT.get())
    }
}

/// Whether the methods of this loop that connecting goes past are those that it knows, in the
/// class and in the instance.
pub fn has_originals(event_loop: &Py<NativeLoop>) -> bool {
    let stock = Lookups::get();
    let names = &stock.names;
    let native = [&names._make_socket_transport, &names.create_future];
    native.iter().all(|name| NativeLoop::has_own(event_loop, name))
        && is_method(event_loop.as_obj(), &names.sock_connect, NATIVE_SOCK_CONNECT.get())
        && stock.functions.iter().all(|(name, own)| is_method(event_loop.as_obj(), name, own))
}

/// Whether the loop's method of that name is this function.
fn is_method(event_loop: &Obj, name: &Name, function: &Obj) -> bool {
    let found = event_loop.getattr(name).and_then(|found| found.attr_or_none(c"__func__"));
    match found {
        Ok(found) => found.is(function),
        Err(raised) => {
            raised.clear();
            false
        }
    }
}

/// Whether connecting may be native now: nobody has replaced a part of it, and nothing is to be
/// logged.
pub fn may_be_native(event_loop: &Py<NativeLoop>) -> PyResult<bool> {
    Ok(!event_loop.debug.get()
        && NativeLoop::may_go_past(event_loop, Past::Connect)
        && Sockets::get().may_connect()?)
}
