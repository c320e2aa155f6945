//! Weak references.

use std::ptr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// `weakref.ref(self, callback)`
    pub fn weak_reference(&self, callback: Option<&Self>) -> PyResult<Self> {
        let callback = callback.map_or(ptr::null_mut(), Self::as_ptr);
        // SAFETY: both are alive; new reference or null with an exception.
        unsafe { Self::from_new(py::PyWeakref_NewRef(self.as_ptr(), callback)) }
    }

    /// What a weak reference refers to, if that is alive; `self()` for anything else
    /// that can be called.
    #[inline]
    pub fn weakly_held(&self) -> PyResult<Option<Obj>> {
        // SAFETY: the object is alive, and a reference before it is asked for what it
        // holds, which comes as a new reference or null.
        unsafe {
            if py::PyWeakref_CheckRef(self.as_ptr()) == 0 {
                return Ok(self.call0()?.non_none().cloned());
            }
            let mut held = ptr::null_mut();
            Raised::check(py::compat::PyWeakref_GetRef(self.as_ptr(), &raw mut held))?;
            if held.is_null() { Ok(None) } else { Obj::from_new(held).map(Some) }
        }
    }
}
