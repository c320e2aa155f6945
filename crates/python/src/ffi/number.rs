//! Numbers that stand for times.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// The value of a float, or of an int that a float can hold, and of no subclass.
    #[inline]
    pub fn plain_number(&self) -> Option<f64> {
        // SAFETY: the object is alive, and of the type that is asked for its value.
        unsafe {
            if py::PyFloat_CheckExact(self.as_ptr()) != 0 {
                return Some(py::PyFloat_AS_DOUBLE(self.as_ptr()));
            }
            if py::PyLong_CheckExact(self.as_ptr()) == 0 {
                return None;
            }
            let value = py::PyLong_AsDouble(self.as_ptr());
            if value.to_bits() == (-1.0f64).to_bits() && Raised::is_set() {
                Raised::already_set().clear();
                return None;
            }
            Some(value)
        }
    }

    /// `self <= other`
    pub fn is_at_most(&self, other: &Self) -> PyResult<bool> {
        // SAFETY: both are alive.
        let answer =
            unsafe { py::PyObject_RichCompareBool(self.as_ptr(), other.as_ptr(), py::Py_LE) };
        Raised::check(answer).map(|answer| answer == 1)
    }

    /// `self + other`
    pub fn plus(&self, other: &Self) -> PyResult<Self> {
        // SAFETY: both are alive; new reference or null with an exception.
        unsafe { Self::from_new(py::PyNumber_Add(self.as_ptr(), other.as_ptr())) }
    }
}
