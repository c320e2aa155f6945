//! Context variables' contexts.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

/// `contextvars.copy_context()`.
#[inline]
pub fn copy_current() -> PyResult<Obj> {
    // SAFETY: new reference or null with an exception.
    unsafe { Obj::from_new(py::PyContext_CopyCurrent()) }
}

/// `context.copy()`.
pub fn copy(context: &Obj) -> PyResult<Obj> {
    // SAFETY: the object is alive; what is not a context raises.
    unsafe { Obj::from_new(py::PyContext_Copy(context.as_ptr())) }
}

/// Whether this is a context.
pub fn is_context(object: &Obj) -> bool {
    // SAFETY: the object is alive.
    unsafe { py::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// Has the collector overlook a context until [`reveal`]; says whether it does. Whatever the
/// context holds is taken for alive meanwhile.
pub fn hide(context: &Obj) -> bool {
    let hides = is_context(context);
    if hides {
        // SAFETY: the object is alive, and of a type that the collector knows.
        unsafe { py::PyObject_GC_UnTrack(context.as_ptr().cast()) };
    }
    hides
}

/// Makes a context known to the collector again: necessary before its end, because a
/// context's own deallocator takes it off the collector's list without a look.
pub fn reveal(context: &Obj) {
    // SAFETY: the object is alive and complete; tracked ones are not tracked again.
    unsafe {
        if is_context(context) && py::PyObject_GC_IsTracked(context.as_ptr()) == 0 {
            py::PyObject_GC_Track(context.as_ptr().cast());
        }
    }
}

/// Runs `body` inside `context`, as `context.run(body)`: an already entered
/// context is a `RuntimeError`.
#[inline]
pub fn run_in<R>(context: &Obj, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    // SAFETY: the object is alive; what is not a context raises.
    Raised::check(unsafe { py::PyContext_Enter(context.as_ptr()) })?;
    let guard = Exit(context);
    let result = body();
    std::mem::forget(guard);
    match result {
        Ok(value) => {
            // SAFETY: entered above.
            Raised::check(unsafe { py::PyContext_Exit(context.as_ptr()) })?;
            Ok(value)
        }
        Err(raised) => {
            let exception = raised.take();
            // SAFETY: entered above. A failure here would hide the exception.
            if unsafe { py::PyContext_Exit(context.as_ptr()) } == -1 {
                Raised::already_set().unraisable(context);
            }
            Err(Raised::restore(exception))
        }
    }
}

/// Leaves the context when `body` panics.
struct Exit<'a>(&'a Obj);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        // SAFETY: entered by `run_in`.
        if unsafe { py::PyContext_Exit(self.0.as_ptr()) } == -1 {
            Raised::already_set().unraisable(self.0);
        }
    }
}
