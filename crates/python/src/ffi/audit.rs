//! Audit events: what the interpreter tells its audit hooks.

use std::ffi::c_int;

use super::error::{PyResult, Raised};
use super::object::Obj;

/// Tells the interpreter's audit hooks of an event with two arguments.
pub fn audit(event: &'static std::ffi::CStr, first: &Obj, second: &Obj) -> PyResult<()> {
    // SAFETY: the format takes two objects, which are alive.
    let status =
        unsafe { PySys_Audit(event.as_ptr(), c"OO".as_ptr(), first.as_ptr(), second.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(Raised::already_set()) }
}

/// Tells them of a `socket.getaddrinfo()`: host and port, then family, type and protocol.
pub fn audit_lookup(host: &Obj, port: &Obj, numbers: [i64; 3]) -> PyResult<()> {
    let [family, kind, protocol] = numbers.map(|number| c_int::try_from(number).unwrap_or(0));
    // SAFETY: the format takes two objects, which are alive, and three ints.
    let status = unsafe {
        PySys_Audit(
            c"socket.getaddrinfo".as_ptr(),
            c"OOiii".as_ptr(),
            host.as_ptr(),
            port.as_ptr(),
            family,
            kind,
            protocol,
        )
    };
    if status == 0 { Ok(()) } else { Err(Raised::already_set()) }
}

unsafe extern "C" {
    // Public in CPython, not in the bindings.
    fn PySys_Audit(event: *const std::ffi::c_char, format: *const std::ffi::c_char, ...) -> c_int;
}
