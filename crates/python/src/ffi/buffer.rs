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

/// A bytes object that is being filled from the front, of which nobody else knows yet.
#[derive(Debug)]
pub struct PartialBytes {
    bytes: Obj,
    /// Its size. Invariant: `filled` is at most this.
    capacity: usize,
    /// So many of its bytes are initialised.
    filled: usize,
}

impl PartialBytes {
    /// With room for `capacity` bytes.
    pub fn new(capacity: usize) -> PyResult<Self> {
        // SAFETY: new reference or null with an exception; its content is uninitialised, which
        // `filled` says.
        let bytes = unsafe {
            Obj::from_new(py::PyBytes_FromStringAndSize(ptr::null(), capacity.cast_signed()))?
        };
        Ok(Self { bytes, capacity, filled: 0 })
    }

    /// How many bytes it has room for in all.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether all of it is filled.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.filled == self.capacity
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: a bytes object, which is alive.
        unsafe { py::PyBytes_AS_STRING(self.bytes.as_ptr()).cast::<u8>().cast_mut() }
    }

    /// What has been filled.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `filled` bytes are initialised and are not written to again.
        unsafe { std::slice::from_raw_parts(self.data(), self.filled) }
    }

    /// Has `fill` write to the front of the rest and say how many bytes it has initialised.
    #[inline]
    pub fn fill<E>(
        &mut self,
        fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let room = self.capacity - self.filled;
        // SAFETY: nobody else knows of the object, so that it may be written to; the rest is within
        // it, and `fill` sees it as uninitialised.
        let rest = unsafe {
            let rest = self.data().add(self.filled).cast::<MaybeUninit<u8>>();
            std::slice::from_raw_parts_mut(rest, room)
        };
        self.filled += fill(rest)?.min(room);
        Ok(())
    }

    /// Adds a copy of `data`, as much of it as there is room for.
    pub fn append(&mut self, data: &[u8]) {
        let count = data.len().min(self.capacity - self.filled);
        // SAFETY: as in `fill`; what is borrowed cannot be the rest, of which nobody knows.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), self.data().add(self.filled), count) };
        self.filled += count;
    }

    /// The object, cut to what has been filled.
    pub fn finish(self) -> PyResult<Obj> {
        if self.is_full() {
            return Ok(self.bytes);
        }
        let mut raw = self.bytes.into_ptr();
        // SAFETY: the one reference to a bytes object, which may be resized; it is null with an
        // exception, or a reference to the object in its new place.
        unsafe {
            if _PyBytes_Resize(&raw mut raw, self.filled.cast_signed()) == -1 {
                return Err(Raised::already_set());
            }
            Obj::from_new(raw)
        }
    }
}

/// A bytes object of `capacity` bytes that `fill` writes, cut to the number that
/// `fill` says it has initialised.
#[inline]
pub fn bytes_filled<E>(
    capacity: usize,
    fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
) -> PyResult<Result<Obj, E>> {
    let mut bytes = PartialBytes::new(capacity)?;
    match bytes.fill(fill) {
        Ok(()) => bytes.finish().map(Ok),
        Err(error) => Ok(Err(error)),
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
