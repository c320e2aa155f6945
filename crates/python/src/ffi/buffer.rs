//! Bytes: making them, and looking into whatever has a buffer.

use std::mem::MaybeUninit;
use std::ptr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// A bytes object with a copy of `data`.
    #[inline]
    pub fn bytes(data: &[u8]) -> PyResult<Self> {
        // SAFETY: the data is copied; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PyBytes_FromStringAndSize(
                data.as_ptr().cast(),
                data.len().cast_signed(),
            ))
        }
    }

    /// Whether this is exactly a `bytes` object, whose content never changes.
    #[inline]
    pub fn is_exact_bytes(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyBytes_CheckExact(self.as_ptr()) == 1 }
    }

    /// Whether this is `bytes`, `bytearray` or `memoryview` (or a subclass).
    pub fn is_bytes_like(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe {
            py::PyBytes_Check(self.as_ptr()) == 1
                || py::PyByteArray_Check(self.as_ptr()) == 1
                || py::PyMemoryView_Check(self.as_ptr()) == 1
        }
    }

    /// Whether this is exactly a `bytearray` or `memoryview`, whose buffer is had without running
    /// Python code.
    pub fn is_plain_buffer(&self) -> bool {
        // SAFETY: the object is alive; `memoryview` cannot be extended.
        unsafe {
            py::PyByteArray_CheckExact(self.as_ptr()) == 1
                || py::PyMemoryView_Check(self.as_ptr()) == 1
        }
    }

    /// The content of an exact `bytes` object, as long as it is held; empty for
    /// anything else.
    #[inline]
    pub fn bytes_content(&self) -> &[u8] {
        if !self.is_exact_bytes() {
            return &[];
        }
        // SAFETY: a bytes object's content is immutable and lives as long as it.
        unsafe {
            let data = py::PyBytes_AS_STRING(self.as_ptr()).cast::<u8>();
            let len = py::PyBytes_Size(self.as_ptr()).cast_unsigned();
            std::slice::from_raw_parts(data, len)
        }
    }
}

impl Obj {
    /// `memoryview(self)`.
    pub fn memoryview(&self) -> PyResult<Self> {
        // SAFETY: the object is alive; new reference or null with an exception.
        unsafe { Self::from_new(py::PyMemoryView_FromObject(self.as_ptr())) }
    }

    /// `self[start:end]`.
    pub fn slice(&self, start: usize, end: usize) -> PyResult<Self> {
        // SAFETY: the object is alive; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PySequence_GetSlice(
                self.as_ptr(),
                start.cast_signed(),
                end.cast_signed(),
            ))
        }
    }

    /// `self[start:]`.
    pub fn slice_from(&self, start: usize) -> PyResult<Self> {
        // SAFETY: the object is alive; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PySequence_GetSlice(self.as_ptr(), start.cast_signed(), isize::MAX))
        }
    }
}

/// A bytes object of `capacity` bytes that `fill` writes, cut to the number that
/// `fill` says it has initialised.
pub fn bytes_filled<E>(
    capacity: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
) -> PyResult<Result<Obj, E>> {
    // SAFETY: a new bytes object of which nobody else knows may be written and
    // resized; `fill` sees it as uninitialised and initialises the first `len`.
    unsafe {
        let bytes =
            Obj::from_new(py::PyBytes_FromStringAndSize(ptr::null(), capacity.cast_signed()))?;
        let data = py::PyBytes_AS_STRING(bytes.as_ptr()).cast::<MaybeUninit<u8>>().cast_mut();
        match fill(std::slice::from_raw_parts_mut(data, capacity)) {
            Ok(len) if len == capacity => Ok(Ok(bytes)),
            Ok(len) => {
                let mut raw = bytes.into_ptr();
                let resized = _PyBytes_Resize(&raw mut raw, len.min(capacity).cast_signed());
                if resized == -1 {
                    return Err(Raised::already_set());
                }
                Obj::from_new(raw).map(Ok)
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

unsafe extern "C" {
    // Public in CPython, not in the bindings.
    fn _PyBytes_Resize(bytes: *mut *mut py::PyObject, size: py::Py_ssize_t) -> std::ffi::c_int;
}

/// A view into an object's memory, held until dropped: the object cannot resize
/// or free it meanwhile.
pub struct Buffer(Box<py::Py_buffer>);

impl Buffer {
    /// A contiguous view for reading.
    pub fn readable(object: &Obj) -> PyResult<Self> {
        Self::acquire(object, py::PyBUF_SIMPLE)
    }

    /// A contiguous view for writing.
    pub fn writable(object: &Obj) -> PyResult<Self> {
        Self::acquire(object, py::PyBUF_WRITABLE)
    }

    fn acquire(object: &Obj, flags: std::ffi::c_int) -> PyResult<Self> {
        let mut view = Box::new(py::Py_buffer::new());
        // SAFETY: the object is alive; `view` is released by drop on success.
        let status = unsafe { py::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) };
        Raised::check(status)?;
        Ok(Self(view))
    }

    /// The bytes. Python code that shares the object may change them whenever it
    /// runs, so the borrow must end before it does.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: contiguous (`PyBUF_SIMPLE`), of `len` bytes, alive while held.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len.cast_unsigned()) }
    }

    /// The bytes of a writable view, to be filled.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.0.len == 0 || self.0.readonly != 0 {
            return &mut [];
        }
        // SAFETY: as above, and writable.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf.cast(), self.0.len.cast_unsigned()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: acquired, and released once.
        unsafe { py::PyBuffer_Release(&raw mut *self.0) };
    }
}
