//! C base classes that manage memory of their own.
//!
//! Role: what a native type behind such a base leaves to it. The base's fields begin
//! zeroed. What is put there (`__dict__`, weak references, links into the interpreter's
//! lists by CPython; what others read by the native type itself, see `field.rs`) is visited,
//! cleared and released by the base's own functions. Its `tp_dealloc` may call the finalizer,
//! which must have run by then: the native part is gone.
//!
//! Invariant: a base that is a heap type visits the instance's type, a static one does not;
//! then it is done here.

use std::ffi::{c_int, c_void};

use pyo3_ffi as py;

#[cfg(Py_3_13)]
unsafe extern "C" {
    /// Lets go of an instance's attributes.
    fn PyObject_ClearManagedDict(object: *mut py::PyObject);
}

/// Whether the base shows the instance's type to the collector.
unsafe fn visits_type(base: *mut py::PyTypeObject) -> bool {
    // SAFETY: the base of a native type lives as long as the process.
    unsafe { (*base).tp_flags & py::Py_TPFLAGS_HEAPTYPE != 0 }
}

/// Ends an instance whose own part is gone already.
///
/// # Safety
/// Called once, from `tp_dealloc` of a type whose chained base is `base`; the instance's
/// finalizer has run, or it has none.
pub(super) unsafe fn dealloc(base: *mut py::PyTypeObject, object: *mut py::PyObject) {
    // SAFETY: says the caller; the base frees the memory through the type's `tp_free`, so the
    // type must outlive the call. A base that is a heap type gives up the reference to it.
    unsafe {
        let class = py::Py_TYPE(object);
        let ours = !visits_type(base);
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
        if !visits_type(base) {
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

/// Whether there is nothing in the base's fields, as in the memory that `tp_alloc` gives.
///
/// # Safety
/// `object` is an instance of a type whose chained base is `base`.
#[inline]
pub(super) unsafe fn is_blank(base: *mut py::PyTypeObject, object: *mut py::PyObject) -> bool {
    let word = size_of::<usize>();
    // SAFETY: says the caller; behind the header come the base's own fields, and a class's size
    // is a multiple of a word. Volatile, so that it is done word by word: some of the words have
    // just been written, and a processor is slow to read several such writes as one.
    unsafe {
        let first = size_of::<py::PyObject>() / word;
        let end = (*base).tp_basicsize.cast_unsigned() / word;
        let words = object.cast::<usize>();
        (first..end).fold(0, |any, index| any | words.add(index).read_volatile()) == 0
    }
}

/// Lets go of the attributes of an instance, where they do not stand among the fields.
///
/// # Safety
/// `object` is a dead instance of a type whose chained base is `base`.
pub(super) unsafe fn clear_attributes(base: *mut py::PyTypeObject, object: *mut py::PyObject) {
    #[cfg(Py_3_13)]
    // SAFETY: says the caller; the base says that it has them there.
    unsafe {
        if (*base).tp_flags & py::Py_TPFLAGS_MANAGED_DICT != 0 {
            PyObject_ClearManagedDict(object);
        }
    }
    #[cfg(not(Py_3_13))]
    let _ = (base, object);
}
