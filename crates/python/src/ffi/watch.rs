//! Attributes of modules that a program may replace: noticing it costs a comparison.
//!
//! Role: [`Watched`] tells whether a module still has the object under a name that it had at
//! import. It looks again whenever the module has changed. Up to Python 3.11 a dict has a version;
//! from 3.12 on the interpreter tells of the changes of a dict that is watched.
//!
//! Thread: under the interpreter's lock.

use std::cell::Cell;

#[cfg(not(Py_3_12))]
use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::names::Name;
use super::object::Obj;

/// No version: the original was found in none, or versions are not known.
const NONE: u64 = u64::MAX;

/// An attribute of a module.
#[derive(Debug)]
pub struct Watched {
    dict: Obj,
    name: Name,
    original: Obj,
    /// The version in which the original was found last.
    found_in: Cell<u64>,
}

impl Watched {
    /// The attribute as it is now.
    pub fn new(module: &Obj, name: Name) -> PyResult<Self> {
        let (dict, original) = (module.attr(c"__dict__")?, module.getattr(&name)?);
        #[cfg(Py_3_12)]
        watcher::watch(&dict);
        Ok(Self { dict, name, original, found_in: Cell::new(NONE) })
    }

    /// What is there now.
    pub fn get(&self) -> PyResult<Obj> {
        let found = self.dict.dict_get(self.name.as_obj())?;
        found.ok_or_else(|| Raised::attribute_error("something that was replaced is missing"))
    }

    /// Whether it is still the same.
    #[inline]
    pub fn is_original(&self) -> bool {
        let version = self.version();
        (version == self.found_in.get() && version != NONE) || self.look()
    }

    #[cold]
    fn look(&self) -> bool {
        let found = match self.get() {
            Ok(found) => found.is(&self.original),
            Err(raised) => {
                raised.clear();
                false
            }
        };
        self.found_in.set(if found { self.version() } else { NONE });
        found
    }

    /// The version of the module's dict.
    #[cfg(not(Py_3_12))]
    #[inline]
    fn version(&self) -> u64 {
        // SAFETY: a module's dict is a dict.
        unsafe { (*self.dict.as_ptr().cast::<py::PyDictObject>()).ma_version_tag }
    }

    /// How often watched dicts have changed.
    #[cfg(Py_3_12)]
    #[inline]
    #[expect(clippy::unused_self, reason = "as on other releases")]
    fn version(&self) -> u64 {
        watcher::changes()
    }
}

/// What the interpreter tells of dicts.
#[cfg(Py_3_12)]
mod watcher {
    use std::ffi::c_int;
    use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

    use pyo3_ffi as py;

    use super::{NONE, Obj, Raised};

    type Callback = unsafe extern "C" fn(
        c_int,
        *mut py::PyObject,
        *mut py::PyObject,
        *mut py::PyObject,
    ) -> c_int;

    unsafe extern "C" {
        fn PyDict_AddWatcher(callback: Callback) -> c_int;
        fn PyDict_Watch(watcher: c_int, dict: *mut py::PyObject) -> c_int;
    }

    /// [`NONE`] if the interpreter does not tell: it has eight places for those who want to know.
    static CHANGES: AtomicU64 = AtomicU64::new(0);
    /// Our place among them; negative before we have one.
    static PLACE: AtomicI32 = AtomicI32::new(-1);

    /// Has the changes of the dict counted.
    pub fn watch(dict: &Obj) {
        // SAFETY: the callback lives as long as the process; the dict is alive.
        let watched = unsafe {
            if PLACE.load(Ordering::Relaxed) < 0 {
                PLACE.store(PyDict_AddWatcher(count), Ordering::Relaxed);
            }
            let place = PLACE.load(Ordering::Relaxed);
            place >= 0 && PyDict_Watch(place, dict.as_ptr()) >= 0
        };
        if !watched {
            Raised::already_set().clear();
            CHANGES.store(NONE, Ordering::Relaxed);
        }
    }

    /// How many changes there have been.
    #[inline]
    pub fn changes() -> u64 {
        CHANGES.load(Ordering::Relaxed)
    }

    /// A dict is about to change.
    unsafe extern "C" fn count(
        _event: c_int,
        _dict: *mut py::PyObject,
        _key: *mut py::PyObject,
        _value: *mut py::PyObject,
    ) -> c_int {
        if changes() != NONE {
            CHANGES.fetch_add(1, Ordering::Relaxed);
        }
        0
    }
}
