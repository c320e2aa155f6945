//! `StopIteration`, by which iterators return.
//!
//! From 3.12 on, `await` learns the result of what is no generator only so. Nearly
//! always the exception is taken apart at once, and nobody sees it; so it is put
//! together without the calls that its class would make, and the one with the most
//! usual value, `True`, is kept and used again when nobody else has it and nothing
//! was written into it.

#[cfg(not(Py_3_12))]
impl super::Raised {
    /// Raises `StopIteration(value)`, or `StopIteration()` for None.
    pub fn stop_iteration(value: &super::Obj) -> Self {
        let class = super::error::stop_iteration_class();
        match if value.is_none() { class.call0() } else { class.call1(value) } {
            Ok(stop) => Self::raise(&stop),
            Err(raised) => raised,
        }
    }
}

#[cfg(Py_3_12)]
mod direct {
    use std::cell::Cell;
    use std::ptr;

    use pyo3_ffi as py;

    use super::super::error::{PyResult, Raised};
    use super::super::object::Obj;

    /// The kept `StopIteration(True)`: null or a reference.
    struct Kept(Cell<*mut py::PyObject>);

    // SAFETY: touched only under the interpreter's lock, of which there is one.
    unsafe impl Sync for Kept {}

    static KEPT: Kept = Kept(Cell::new(ptr::null_mut()));

    impl Raised {
        /// Raises `StopIteration(value)`, or `StopIteration()` for None.
        #[inline]
        pub fn stop_iteration(value: &Obj) -> Self {
            // SAFETY: reads the address of a static.
            let stop =
                if value.as_ptr() == unsafe { py::Py_True() } { kept(value) } else { make(value) };
            match stop {
                Ok(stop) => Self::restore(stop),
                Err(raised) => raised,
            }
        }
    }

    fn make(value: &Obj) -> PyResult<Obj> {
        // SAFETY: the class is a static type with this layout, and its instances need
        // no more than `args` and `value`, each of which takes a reference over. The
        // memory comes zeroed, and no code runs before it is complete.
        unsafe {
            let made = Obj::from_new(py::PyType_GenericAlloc(py::PyExc_StopIteration.cast(), 0))?;
            let stop = made.as_ptr().cast::<py::PyStopIterationObject>();
            let count = isize::from(!value.is_none());
            (*stop).args = Obj::from_new(py::PyTuple_New(count))?.into_ptr();
            if count == 1 {
                py::PyTuple_SET_ITEM((*stop).args, 0, value.clone().into_ptr());
            }
            (*stop).value = value.clone().into_ptr();
            Ok(made)
        }
    }

    /// Whether nobody has written into it.
    ///
    /// # Safety
    /// `stop` is a live exception that [`make`] has made for `value`.
    unsafe fn is_as_made(stop: *mut py::PyStopIterationObject, value: &Obj) -> bool {
        // SAFETY: says the caller; `args` of an exception is always a tuple.
        unsafe {
            let empty =
                [(*stop).dict, (*stop).notes, (*stop).traceback, (*stop).context, (*stop).cause];
            empty.iter().all(|field| field.is_null())
                && (&raw const (*stop).suppress_context).cast::<u8>().read() == 0
                && (*stop).value == value.as_ptr()
                && py::PyTuple_GET_SIZE((*stop).args) == 1
                && py::PyTuple_GET_ITEM((*stop).args, 0) == value.as_ptr()
        }
    }

    /// The kept one, or a new one in its place if it may have been seen.
    fn kept(value: &Obj) -> PyResult<Obj> {
        let kept = KEPT.0.get();
        // SAFETY: null or a reference of ours to what `make` has made.
        unsafe {
            if !kept.is_null() && py::Py_REFCNT(kept) == 1 && is_as_made(kept.cast(), value) {
                return Ok(Obj::from_borrowed(kept));
            }
        }
        let made = make(value)?;
        let former = KEPT.0.replace(made.clone().into_ptr());
        // SAFETY: null or the reference that was kept.
        unsafe { py::Py_XDECREF(former) };
        Ok(made)
    }
}
