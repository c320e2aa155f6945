//! The end of the interpreter, for threads that are still inside Python.
//!
//! Before 3.14, CPython ends a daemon thread that asks for the lock after
//! finalisation has begun with `pthread_exit`, which unwinds the thread's stack.
//! Rust frames on it must not be unwound: their landing pads would drop
//! references without the lock, and the trampolines would abort the process.
//! Therefore what calls Python functions, looks attributes up, gives up the last reference to an
//! object, or waits for the lock, is done through [`surviving`]: the guard there is the first Rust
//! code that the unwinding meets, and makes the thread sleep for ever. The process ends around it, as
//! CPython itself does it from 3.14 on.
//!
//! The functions are declared here once more, as `C-unwind`: a foreign function
//! declared as `C` has no landing pads around it.

use std::ffi::{c_char, c_int};

use pyo3_ffi as py;

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        // Only the forced unwinding comes here: Rust panics end in the
        // trampolines, on the other side of the C frames.
        if !std::thread::panicking() {
            loop {
                std::thread::park();
            }
        }
    }
}

/// Makes a call that can end the thread.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the guard has to be in the innermost frame")]
pub(super) fn surviving<R>(call: impl FnOnce() -> R) -> R {
    let guard = Guard;
    let result = call();
    std::mem::forget(guard);
    result
}

/// Gives a reference back. The last one takes the object with it, whose finalizers may be Python
/// code.
///
/// # Safety
/// A reference that the caller owns; the lock is held.
#[cfg(not(Py_3_14))]
#[inline]
pub(super) unsafe fn give_back(object: *mut py::PyObject) {
    // SAFETY: the caller's reference.
    unsafe { if py::Py_REFCNT(object) == 1 { let_die(object) } else { py::Py_DECREF(object) } }
}

#[cfg(not(Py_3_14))]
#[inline(never)]
unsafe fn let_die(object: *mut py::PyObject) {
    // SAFETY: the caller's reference, the last one.
    surviving(|| unsafe { Py_DecRef(object) });
}

/// Gives a reference back.
///
/// # Safety
/// A reference that the caller owns; the lock is held.
#[cfg(Py_3_14)]
#[inline]
pub(super) unsafe fn give_back(object: *mut py::PyObject) {
    // SAFETY: the caller's reference.
    unsafe { py::Py_DECREF(object) };
}

unsafe extern "C-unwind" {
    pub(super) fn PyObject_Vectorcall(
        callable: *mut py::PyObject,
        args: *const *mut py::PyObject,
        nargs: usize,
        names: *mut py::PyObject,
    ) -> *mut py::PyObject;

    pub(super) fn PyObject_VectorcallDict(
        callable: *mut py::PyObject,
        args: *const *mut py::PyObject,
        nargs: usize,
        kwargs: *mut py::PyObject,
    ) -> *mut py::PyObject;

    pub(super) fn PyObject_VectorcallMethod(
        name: *mut py::PyObject,
        args: *const *mut py::PyObject,
        nargs: usize,
        names: *mut py::PyObject,
    ) -> *mut py::PyObject;

    pub(super) fn PyObject_Call(
        callable: *mut py::PyObject,
        args: *mut py::PyObject,
        kwargs: *mut py::PyObject,
    ) -> *mut py::PyObject;

    pub(super) fn PyObject_CallNoArgs(callable: *mut py::PyObject) -> *mut py::PyObject;

    pub(super) fn PyIter_Send(
        iterator: *mut py::PyObject,
        value: *mut py::PyObject,
        result: *mut *mut py::PyObject,
    ) -> py::PySendResult;

    pub(super) fn PyObject_GetAttr(
        object: *mut py::PyObject,
        name: *mut py::PyObject,
    ) -> *mut py::PyObject;

    pub(super) fn PyObject_GetAttrString(
        object: *mut py::PyObject,
        name: *const c_char,
    ) -> *mut py::PyObject;

    #[cfg(Py_3_13)]
    pub(super) fn PyObject_GetOptionalAttr(
        object: *mut py::PyObject,
        name: *mut py::PyObject,
        found: *mut *mut py::PyObject,
    ) -> c_int;

    #[cfg(not(Py_3_14))]
    pub(super) fn Py_DecRef(object: *mut py::PyObject);

    pub(super) fn PyEval_RestoreThread(state: *mut py::PyThreadState);

    pub(super) fn PyErr_CheckSignals() -> c_int;
}
