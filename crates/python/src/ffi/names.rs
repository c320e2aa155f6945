//! Attribute names, interned once.

use pyo3_ffi as py;

use super::error::PyResult;
use super::object::Obj;

/// An interned string: attribute look-ups by it hit the interpreter's caches.
#[repr(transparent)]
#[derive(Debug)]
pub struct Name(Obj);

impl Name {
    /// Interns a name.
    pub fn intern(name: &std::ffi::CStr) -> PyResult<Self> {
        // SAFETY: the result is a new reference or null with an exception.
        unsafe { Obj::from_new(py::PyUnicode_InternFromString(name.as_ptr())) }.map(Self)
    }

    /// The string.
    #[inline]
    pub fn as_obj(&self) -> &Obj {
        &self.0
    }
}

/// Declares a struct of interned names, one field a name, with `intern()` to
/// fill it.
macro_rules! declare_names {
    ($(#[$meta:meta])* $vis:vis struct $struct:ident { $($name:ident),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "each field is the name it is called by")]
        #[allow(dead_code, reason = "some names are of some versions only")]
        #[derive(Debug)]
        $vis struct $struct { $(pub $name: $crate::ffi::names::Name),* }

        impl $struct {
            /// Interns them all.
            $vis fn intern() -> $crate::ffi::PyResult<Self> {
                Ok(Self { $($name: {
                    const TEXT: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
                        concat!(stringify!($name), "\0").as_bytes()
                    ) {
                        Ok(text) => text,
                        Err(_) => c"",
                    };
                    $crate::ffi::names::Name::intern(TEXT)?
                }),* })
            }
        }
    };
}
pub(crate) use declare_names;
