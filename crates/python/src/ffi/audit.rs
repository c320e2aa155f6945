//! Audit events: what the interpreter tells its audit hooks.

use super::error::{PyResult, Raised};
use super::object::Obj;

/// Tells the interpreter's audit hooks of an event with two arguments.
pub fn audit(event: &'static std::ffi::CStr, first: &Obj, second: &Obj) -> PyResult<()> {
    // SAFETY: the format takes two objects, which are alive.
    let status =
        unsafe { PySys_Audit(event.as_ptr(), c"OO".as_ptr(), first.as_ptr(), second.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(Raised::already_set()) }
}

unsafe extern "C" {
    // Public in CPython, not in the bindings.
    fn PySys_Audit(
        event: *const std::ffi::c_char,
        format: *const std::ffi::c_char,
        ...
    ) -> std::ffi::c_int;
}
