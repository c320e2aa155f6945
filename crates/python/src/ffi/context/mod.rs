//! Context variables' contexts: copying them and running in them. `copies` saves most of the
//! copies that asyncio's rules ask for; `fields` is what it knows of the interpreter.

mod copies;
mod fields;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

pub use copies::Copies;
pub use fields::load;

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
