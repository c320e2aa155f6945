//! What this folder needs to know of the interpreter, looked up once at import.

use crate::asyncio::names;
use crate::ffi::Obj;
use crate::ffi::error::{PyResult, Raised, import_error_class};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};

declare_names! {
    /// Attribute names.
    pub struct Names {
        __ceil__, _call_eof_received, _do_flush, _do_handshake, _do_read, _do_shutdown, _fatal_error,
        _process_outgoing, _sslobj, _start_shutdown, _write_appdata, append, appendleft,
        buffer_updated, data, list_of_data, n, nbytes, pause_reading, pending, popleft, read, resume_reading,
    }
}

/// The interpreter's modules.
#[derive(Debug)]
pub struct Lookups {
    /// Interned names.
    pub names: Names,
    /// Members of `asyncio.sslproto.SSLProtocolState`, in the order of [`super::state::STATES`].
    pub states: [Obj; 5],
    /// `asyncio.sslproto.SSLProtocol`.
    pub protocol: Obj,
    /// `ssl.SSLObject`.
    pub ssl_object: Obj,
    /// `ssl.SSLObject.read` and `write`: what they do is done without them.
    pub ssl_object_methods: [Obj; 2],
    /// `_ssl.MemoryBIO`.
    pub memory_bio: Obj,
    /// `_ssl._SSLSocket`.
    pub ssl_socket: Obj,
    /// `_ssl._SSLSocket.read`.
    pub decrypt: Obj,
    /// `_ssl._SSLSocket.write`.
    pub encrypt: Obj,
    /// `_ssl.MemoryBIO.read`.
    pub take: Obj,
    /// `_ssl.MemoryBIO.write`.
    pub give: Obj,
    /// `ssl.SSLWantReadError`.
    pub want_read: Obj,
    /// `ssl.SSLSyscallError`.
    pub syscall: Obj,
    /// `0`: as the wanted length it means all of the buffer.
    pub whole: Obj,
    /// Whether a transport of this version closes with the one below it (3.14 on).
    pub closes_with_lower: bool,
}

static LOOKUPS: Global<Lookups> = Global::new();

/// The name that a state has, as an attribute of its enum.
fn states(sslproto: &Obj) -> PyResult<[Obj; 5]> {
    let members = sslproto.attr(c"SSLProtocolState")?;
    Ok([
        members.attr(c"UNWRAPPED")?,
        members.attr(c"DO_HANDSHAKE")?,
        members.attr(c"WRAPPED")?,
        members.attr(c"FLUSHING")?,
        members.attr(c"SHUTDOWN")?,
    ])
}

/// A module, or nothing if the interpreter was built without it.
fn import_if_there(name: &std::ffi::CStr) -> PyResult<Option<Obj>> {
    match import(name) {
        Ok(module) => Ok(Some(module)),
        Err(raised) => raised.catch(import_error_class()).map(|()| None),
    }
}

impl Lookups {
    /// Looks everything up; says whether there is TLS.
    pub fn load() -> PyResult<bool> {
        let (Some(ssl), Some(native)) = (import_if_there(c"ssl")?, import_if_there(c"_ssl")?)
        else {
            return Ok(false);
        };
        let sslproto = import(c"asyncio.sslproto")?;
        let protocol = sslproto.attr(c"SSLProtocol")?;
        let ssl_object = ssl.attr(c"SSLObject")?;
        let memory_bio = native.attr(c"MemoryBIO")?;
        let ssl_socket = native.attr(c"_SSLSocket")?;
        LOOKUPS.set(Self {
            names: Names::intern()?,
            states: states(&sslproto)?,
            ssl_object_methods: [ssl_object.attr(c"read")?, ssl_object.attr(c"write")?],
            decrypt: ssl_socket.attr(c"read")?,
            encrypt: ssl_socket.attr(c"write")?,
            take: memory_bio.attr(c"read")?,
            give: memory_bio.attr(c"write")?,
            want_read: ssl.attr(c"SSLWantReadError")?,
            syscall: ssl.attr(c"SSLSyscallError")?,
            whole: Obj::int(0)?,
            closes_with_lower: !protocol.attr_or_none(c"_is_transport_closing")?.is_none(),
            protocol,
            ssl_object,
            memory_bio,
            ssl_socket,
        });
        Ok(true)
    }

    /// The interpreter's modules.
    #[inline]
    pub fn get() -> &'static Self {
        LOOKUPS.get()
    }

    /// Whether an object is an `ssl.SSLObject` as the interpreter makes it.
    pub fn is_plain_ssl_object(&self, object: &Obj) -> bool {
        let [read, write] = &self.ssl_object_methods;
        object.is_exactly(&self.ssl_object)
            && object.class_has(&self.names.read, read)
            && object.class_has(&names().write, write)
    }

    /// Whether the exception says that `_ssl` has to be given more first.
    pub fn says_again(&self, raised: &Raised) -> bool {
        raised.matches(&self.want_read) || raised.matches(&self.syscall)
    }
}

/// The interned names.
#[inline]
pub fn own_names() -> &'static Names {
    &Lookups::get().names
}

/// `object.pending`, a number of bytes.
#[inline]
pub fn pending(object: &Obj) -> PyResult<usize> {
    let name: &Name = &own_names().pending;
    let count = object.getattr(name)?.to_i64()?;
    Ok(usize::try_from(count).unwrap_or(0))
}
