//! The interpreter's limit to how deep calls may go, for native code that calls native code.

use std::ffi::CStr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};

/// Takes back what `Py_EnterRecursiveCall` has counted.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        // SAFETY: counted by `deeper`.
        unsafe { py::Py_LeaveRecursiveCall() };
    }
}

/// Runs `body` one call deeper; a `RecursionError` if that is too deep. `place` ends its
/// message, such as `" while cancelling"`.
#[inline]
pub fn deeper<R>(place: &CStr, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    // SAFETY: the text is read at once. What is not zero is a failure.
    if unsafe { py::Py_EnterRecursiveCall(place.as_ptr()) } != 0 {
        return Err(Raised::already_set());
    }
    let _leave = Leave;
    body()
}
