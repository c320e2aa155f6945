//! Text: looking into a str, and the file system's encoding.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// The text of an exact `str`, as long as it is held; nothing for anything
    /// else, and for a text with lone surrogates.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        // SAFETY: the object is alive. A str never changes and keeps its UTF-8
        // form until it dies.
        unsafe {
            if py::PyUnicode_CheckExact(self.as_ptr()) == 0 {
                return None;
            }
            let mut len = 0;
            let data = py::PyUnicode_AsUTF8AndSize(self.as_ptr(), &raw mut len);
            if data.is_null() {
                Raised::already_set().clear();
                return None;
            }
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), len.cast_unsigned());
            Some(std::str::from_utf8_unchecked(bytes))
        }
    }

    /// Whether this is a `str` (or a subclass).
    pub fn is_str(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyUnicode_Check(self.as_ptr()) == 1 }
    }

    /// `os.fsdecode(name)`.
    pub fn fs_decode(name: &[u8]) -> PyResult<Self> {
        // SAFETY: the name is copied; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PyUnicode_DecodeFSDefaultAndSize(
                name.as_ptr().cast(),
                name.len().cast_signed(),
            ))
        }
    }

    /// `os.fsencode(self)` for a str, which may hold null characters.
    pub fn fs_encode(&self) -> PyResult<Self> {
        // SAFETY: the object is alive; what is not a str raises.
        unsafe { Self::from_new(py::PyUnicode_EncodeFSDefault(self.as_ptr())) }
    }
}
