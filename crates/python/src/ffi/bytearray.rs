//! `bytearray`: reading it, adding to its end, taking from its beginning.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// A bytearray with a copy of `data`.
    pub fn bytearray(data: &[u8]) -> PyResult<Self> {
        // SAFETY: the data is copied; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PyByteArray_FromStringAndSize(
                data.as_ptr().cast(),
                data.len().cast_signed(),
            ))
        }
    }

    /// Whether this is a bytearray (or a subclass).
    pub fn is_bytearray(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyByteArray_Check(self.as_ptr()) == 1 }
    }

    /// Whether this is a bytearray and of no subclass.
    pub fn is_exact_bytearray(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyByteArray_CheckExact(self.as_ptr()) == 1 }
    }

    /// Looks at the content of a bytearray, nothing for anything else. `look` runs no
    /// Python code, which could change it.
    pub fn with_bytearray<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        if !self.is_bytearray() {
            return look(&[]);
        }
        // SAFETY: a bytearray's memory stays where it is as long as nobody changes its
        // size, which only Python code does.
        unsafe {
            let data = py::PyByteArray_AsString(self.as_ptr()).cast::<u8>();
            let len = py::PyByteArray_Size(self.as_ptr()).cast_unsigned();
            look(std::slice::from_raw_parts(data, len))
        }
    }

    /// `self += data` for a bytearray.
    pub fn bytearray_append(&self, data: &[u8]) -> PyResult<()> {
        if !self.is_bytearray() {
            return Err(Raised::type_error("not a bytearray"));
        }
        // SAFETY: a bytearray; after it has grown it has room for `data` behind its
        // former end. `data` is no part of it: it would have been exported, and could
        // not grow.
        unsafe {
            let len = py::PyByteArray_Size(self.as_ptr());
            let wanted = len.saturating_add(data.len().cast_signed());
            Raised::check(py::PyByteArray_Resize(self.as_ptr(), wanted))?;
            let end = py::PyByteArray_AsString(self.as_ptr()).cast::<u8>().offset(len);
            end.copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        Ok(())
    }

    /// `del self[:count]` for a sequence.
    pub fn delete_front(&self, count: usize) -> PyResult<()> {
        // SAFETY: the object is alive.
        Raised::check(unsafe { py::PySequence_DelSlice(self.as_ptr(), 0, count.cast_signed()) })
            .map(drop)
    }
}
