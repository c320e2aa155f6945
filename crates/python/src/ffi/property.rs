//! Property tables, and their trampolines: see [`super::method`].

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::method::{IntoObj, conjure, to_ptr};
use super::native::{NativeType, Py};
use super::object::Obj;
use super::panic::guard;
use super::slot::Slot;

/// The property table of a native type.
pub struct Properties<T>(Vec<py::PyGetSetDef>, PhantomData<T>);

impl<T: NativeType> Properties<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self(Vec::new(), PhantomData)
    }

    /// A property that can only be read.
    pub fn get<G, R>(mut self, name: &'static CStr, _get: G) -> Self
    where
        G: Fn(&Py<T>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        self.0.push(py::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<T, G, R>),
            ..py::PyGetSetDef::default()
        });
        self
    }

    /// A property that can be read and written. The setter is not called for
    /// `del`, which raises `AttributeError`.
    pub fn get_set<G, R, S>(mut self, name: &'static CStr, _get: G, _set: S) -> Self
    where
        G: Fn(&Py<T>) -> PyResult<R> + Copy,
        R: IntoObj,
        S: Fn(&Py<T>, &Obj) -> PyResult<()> + Copy,
    {
        self.0.push(py::PyGetSetDef {
            name: name.as_ptr(),
            get: Some(getter::<T, G, R>),
            set: Some(setter::<T, S>),
            ..py::PyGetSetDef::default()
        });
        self
    }

    /// A property for an object or nothing, which is `None`.
    pub fn slot<F>(self, name: &'static CStr, field: F) -> Self
    where
        F: Fn(&Py<T>) -> &Slot + Copy,
    {
        self.get_set(
            name,
            move |this: &Py<T>| Ok(field(this).get()),
            move |this: &Py<T>, value: &Obj| {
                field(this).set(value.non_none().cloned());
                Ok(())
            },
        )
    }

    /// A property for a bool; written to, it takes what is true or not.
    pub fn flag<F>(self, name: &'static CStr, field: F) -> Self
    where
        F: Fn(&Py<T>) -> &Cell<bool> + Copy,
    {
        self.get_set(
            name,
            move |this: &Py<T>| Ok(field(this).get()),
            move |this: &Py<T>, value: &Obj| {
                field(this).set(value.is_true()?);
                Ok(())
            },
        )
    }

    /// Gives the table to the type, which keeps it for ever; `open` types show
    /// their `__dict__`.
    pub(super) fn leak(mut self, open: bool) -> *const c_void {
        if open {
            self.0.push(py::PyGetSetDef {
                name: c"__dict__".as_ptr(),
                get: Some(py::PyObject_GenericGetDict),
                set: Some(py::PyObject_GenericSetDict),
                ..py::PyGetSetDef::default()
            });
        }
        self.0.push(py::PyGetSetDef::default());
        self.0.leak().as_ptr().cast()
    }
}

unsafe extern "C" fn getter<T, G, R>(
    this: *mut py::PyObject,
    _closure: *mut c_void,
) -> *mut py::PyObject
where
    T: NativeType,
    G: Fn(&Py<T>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: the descriptor has checked the type of `this`.
        let this = unsafe { Py::view(&this) };
        to_ptr(conjure::<G>()(this).and_then(R::into_obj))
    })
}

unsafe extern "C" fn setter<T, S>(
    this: *mut py::PyObject,
    value: *mut py::PyObject,
    _closure: *mut c_void,
) -> c_int
where
    T: NativeType,
    S: Fn(&Py<T>, &Obj) -> PyResult<()> + Copy,
{
    guard(-1, || {
        if value.is_null() {
            let _raised = Raised::attribute_error("cannot delete attribute");
            return -1;
        }
        // SAFETY: the descriptor has checked the type of `this`; the value is
        // alive during the call.
        let (this, value) = unsafe { (Py::view(&this), Obj::view(&value)) };
        conjure::<S>()(this, value).map_or(-1, |()| 0)
    })
}
