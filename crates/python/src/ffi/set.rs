//! Sets, and what may stand in for one.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::object::Obj;

impl Obj {
    /// An empty set.
    pub fn set() -> PyResult<Self> {
        // SAFETY: new reference or null with an exception.
        unsafe { Self::from_new(py::PySet_New(std::ptr::null_mut())) }
    }

    /// `set(iterable)`
    pub fn set_of(iterable: &Self) -> PyResult<Self> {
        // SAFETY: the object is alive; new reference or null with an exception.
        unsafe { Self::from_new(py::PySet_New(iterable.as_ptr())) }
    }

    /// Whether this is a list, tuple, set or frozenset, and of no subclass.
    pub fn is_plain_collection(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe {
            py::PyList_CheckExact(self.as_ptr()) != 0
                || py::PyTuple_CheckExact(self.as_ptr()) != 0
                || py::PyAnySet_CheckExact(self.as_ptr()) != 0
        }
    }

    /// `self.add(item)` of a set.
    #[inline]
    pub fn set_add(&self, item: &Self) -> PyResult<()> {
        // SAFETY: both are alive; what is no set raises.
        Raised::check(unsafe { py::PySet_Add(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// `self.discard(item)` of a set.
    #[inline]
    pub fn set_discard(&self, item: &Self) -> PyResult<()> {
        // SAFETY: both are alive; what is no set raises.
        Raised::check(unsafe { py::PySet_Discard(self.as_ptr(), item.as_ptr()) }).map(drop)
    }

    /// Whether this is a set (or of a subclass).
    #[inline]
    pub fn is_set(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PySet_Check(self.as_ptr()) != 0 }
    }

    /// `self[key] = value` of a dict.
    pub fn dict_put(&self, key: &Self, value: &Self) -> PyResult<()> {
        // SAFETY: all three are alive; what is no dict raises.
        let status = unsafe { py::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) };
        Raised::check(status).map(drop)
    }

    /// Whether hash and equality are those of `object`, so that the address says
    /// which one it is.
    #[inline]
    pub fn is_known_by_address(&self) -> bool {
        let class = self.type_ptr();
        let object = &raw const py::PyBaseObject_Type;
        // SAFETY: both types are alive; compares pointers that types hold.
        unsafe {
            (*class).tp_hash.map(|hash| hash as usize)
                == (*object).tp_hash.map(|hash| hash as usize)
                && (*class).tp_richcompare.map(|compare| compare as usize)
                    == (*object).tp_richcompare.map(|compare| compare as usize)
        }
    }
}
