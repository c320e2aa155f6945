//! C base classes that manage memory of their own.
//!
//! Role: what a native type behind such a base leaves to it. The base's fields are
//! zeroed and stay so, as far as its methods are shadowed; what CPython itself
//! keeps there (`__dict__`, weak references, links into the interpreter's lists)
//! is visited, cleared and released by the base's own functions.
//!
//! Invariant: a base that is a heap type visits and releases the instance's type,
//! a static one does not; then it is done here.

use std::ffi::{c_int, c_void};

use pyo3_ffi as py;

#[cfg(Py_3_13)]
unsafe extern "C" {
    /// Lets go of an instance's attributes.
    fn PyObject_ClearManagedDict(object: *mut py::PyObject);
}

/// Whether the base looks after the instance's reference to its type.
unsafe fn owns_type(base: *mut py::PyTypeObject) -> bool {
    // SAFETY: the base of a native type lives as long as the process.
    unsafe { (*base).tp_flags & py::Py_TPFLAGS_HEAPTYPE != 0 }
}

/// Ends an instance whose own part is gone already.
///
/// # Safety
/// Called once, from `tp_dealloc` of a type whose chained base is `base`.
pub(super) unsafe fn dealloc(base: *mut py::PyTypeObject, object: *mut py::PyObject) {
    // SAFETY: says the caller; the base frees the memory through the type's
    // `tp_free`, so the type must outlive the call.
    unsafe {
        let class = py::Py_TYPE(object);
        let ours = !owns_type(base);
        if let Some(dealloc) = (*base).tp_dealloc {
            dealloc(object);
        }
        if ours {
            py::Py_DECREF(class.cast());
        }
    }
}

/// Shows the collector the base's part and the type.
///
/// # Safety
/// Called from `tp_traverse` of a type whose chained base is `base`.
pub(super) unsafe fn traverse(
    base: *mut py::PyTypeObject,
    object: *mut py::PyObject,
    visit: py::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: says the caller.
    unsafe {
        if !owns_type(base) {
            let status = visit(py::Py_TYPE(object).cast(), arg);
            if status != 0 {
                return status;
            }
        }
        (*base).tp_traverse.map_or(0, |traverse| traverse(object, visit, arg))
    }
}

/// Clears the base's part.
///
/// # Safety
/// Called from `tp_clear` of a type whose chained base is `base`.
pub(super) unsafe fn clear(base: *mut py::PyTypeObject, object: *mut py::PyObject) -> c_int {
    // SAFETY: says the caller.
    unsafe { (*base).tp_clear.map_or(0, |clear| clear(object)) }
}

/// Makes the base's part of a dead instance what it was at the beginning, to be used again.
///
/// # Safety
/// `object` is a dead instance of a type whose chained base is `base`; its weak references
/// are cleared.
pub(super) unsafe fn reset(base: *mut py::PyTypeObject, object: *mut py::PyObject) {
    // SAFETY: says the caller. Behind the header come the base's own fields only, for which
    // zeroes are the beginning (`tp_alloc` gives zeroes).
    unsafe {
        // From 3.13 on the attributes stand elsewhere; before, among the fields.
        #[cfg(Py_3_13)]
        if (*base).tp_flags & py::Py_TPFLAGS_MANAGED_DICT != 0 {
            PyObject_ClearManagedDict(object);
        }
        let header = size_of::<py::PyObject>();
        let size = (*base).tp_basicsize.cast_unsigned().saturating_sub(header);
        let fields = object.cast::<u8>().add(header);
        let bytes = std::slice::from_raw_parts(fields, size);
        // Mostly nobody has put anything there. Not `all`: without a way out before the end
        // it is done by many bytes at a time.
        if bytes.iter().fold(0, |any, byte| any | byte) != 0 {
            clear(base, object);
            fields.write_bytes(0, size);
        }
    }
}
