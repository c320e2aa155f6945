//! The interpreter's lock: giving it up, statics under it, threads, signals.

use std::cell::UnsafeCell;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::exit::{self, surviving};
#[cfg(not(Py_3_14))]
use super::names::Name;
#[cfg(not(Py_3_14))]
use super::object::Obj;

/// Runs `body` without the lock, so that other threads run Python meanwhile.
/// `body` is `Send`, so it cannot hold objects.
pub fn without<R>(body: impl FnOnce() -> R + Send) -> R {
    struct Relock(*mut py::PyThreadState);
    impl Drop for Relock {
        fn drop(&mut self) {
            // SAFETY: the state that this thread saved below. Also runs when
            // `body` panics.
            unsafe { surviving(|| exit::PyEval_RestoreThread(self.0)) };
        }
    }
    // SAFETY: the lock is held (the folder's invariant).
    let _relock = Relock(unsafe { py::PyEval_SaveThread() });
    body()
}

/// Runs the Python handlers of signals that have arrived; only the main thread
/// does anything here.
#[inline]
pub fn check_signals() -> PyResult<()> {
    // SAFETY: lock held.
    Raised::check(unsafe { surviving(|| exit::PyErr_CheckSignals()) }).map(drop)
}

/// `threading.get_ident()`.
#[cfg(Py_3_14)]
#[inline]
pub fn thread_ident() -> u64 {
    // SAFETY: no conditions.
    #[allow(clippy::useless_conversion, reason = "32 bits wide on other targets")]
    u64::from(unsafe { py::PyThread_get_thread_ident() })
}

/// An entry of this thread's dict, in which modules keep what is the thread's own.
#[cfg(not(Py_3_14))]
pub fn thread_entry(key: &Name) -> Option<Obj> {
    // SAFETY: the dict and its entry are borrowed; null if there is none.
    unsafe {
        let found = find_thread_entry(key);
        (!found.is_null()).then(|| Obj::from_borrowed(found))
    }
}

/// Whether the entry is exactly this object.
#[cfg(not(Py_3_14))]
#[inline]
pub fn is_thread_entry(key: &Name, entry: &Obj) -> bool {
    // SAFETY: an address is compared.
    unsafe { find_thread_entry(key) == entry.as_ptr() }
}

/// # Safety
/// The result is borrowed from the dict.
#[cfg(not(Py_3_14))]
#[inline]
unsafe fn find_thread_entry(key: &Name) -> *mut py::PyObject {
    // SAFETY: the thread state is there, as the lock is held; the key is a string, whose
    // look-up among strings cannot fail.
    unsafe {
        let dict = py::PyThreadState_GetDict();
        if dict.is_null() {
            return std::ptr::null_mut();
        }
        py::PyDict_GetItem(dict, key.as_obj().as_ptr())
    }
}

/// A static that is set once, while the module is imported, and read under the
/// lock from then on.
#[derive(Debug)]
pub struct Global<T>(UnsafeCell<Option<T>>);

// SAFETY: written once by `set`, before anything else of the module can run;
// read only under the interpreter's lock, of which there is one (the module
// refuses sub-interpreters and declares that it needs the lock).
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Sets it, unless it is set: a second import finds what the first has made.
    pub fn set(&self, value: T) {
        // SAFETY: lock held, and no reference exists while it is empty.
        unsafe {
            let place = &mut *self.0.get();
            if place.is_none() {
                *place = Some(value);
            }
        }
    }

    /// The value. Code that runs before the import has finished has none.
    #[inline]
    pub fn try_get(&self) -> Option<&T> {
        // SAFETY: set once and never changed afterwards.
        unsafe { (*self.0.get()).as_ref() }
    }

    /// The value.
    ///
    /// # Panics
    /// Before the import of the module has set it; nothing of the module can be
    /// called before.
    #[inline]
    pub fn get(&self) -> &T {
        match self.try_get() {
            Some(value) => value,
            None => unset(),
        }
    }
}

#[cold]
fn unset() -> ! {
    std::panic::panic_any("batuta._batuta is not initialised")
}
