//! Method tables, and the trampolines between CPython and Rust.
//!
//! A Rust function becomes a C function by its *type*: every function item has a
//! type of its own without size, so a generic `extern "C"` function knows which
//! one to call without being told at run time. Those of properties are in `property`.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pyo3_ffi as py;

use super::args::Args;
use super::error::PyResult;
use super::names::Name;
use super::native::{NativeType, Py};
use super::object::Obj;
use super::panic::guard;

pub use super::property::Properties;

/// What a C function returns for a Rust result.
#[inline]
pub(super) fn to_ptr(result: PyResult<Obj>) -> *mut py::PyObject {
    result.map_or(ptr::null_mut(), Obj::into_ptr)
}

/// What a method may return.
pub trait IntoObj {
    /// As a Python object.
    fn into_obj(self) -> PyResult<Obj>;
}

impl IntoObj for Obj {
    #[inline]
    fn into_obj(self) -> PyResult<Obj> {
        Ok(self)
    }
}

impl IntoObj for () {
    #[inline]
    fn into_obj(self) -> PyResult<Obj> {
        Ok(Obj::none())
    }
}

impl IntoObj for bool {
    #[inline]
    fn into_obj(self) -> PyResult<Obj> {
        Ok(Obj::bool(self))
    }
}

impl IntoObj for f64 {
    #[inline]
    fn into_obj(self) -> PyResult<Obj> {
        Obj::float(self)
    }
}

impl IntoObj for usize {
    fn into_obj(self) -> PyResult<Obj> {
        Obj::size(self)
    }
}

impl IntoObj for Option<Obj> {
    fn into_obj(self) -> PyResult<Obj> {
        Ok(self.unwrap_or_else(Obj::none))
    }
}

/// The value of a type without size.
#[inline]
pub(super) fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0, "a function item or a closure that captures nothing") };
    // SAFETY: a value without size has no bytes to read, and one exists: the
    // tables below take it by value. A dangling pointer is valid for it.
    unsafe { NonNull::<F>::dangling().as_ptr().read() }
}

/// The method table of a native type.
pub struct Methods<T>(Vec<py::PyMethodDef>, PhantomData<T>);

impl<T: NativeType> Methods<T> {
    /// An empty table.
    pub fn new() -> Self {
        Self(Vec::new(), PhantomData)
    }

    fn add(
        mut self,
        name: &'static CStr,
        function: py::PyMethodDefPointer,
        flags: c_int,
        doc: &'static CStr,
    ) -> Self {
        self.0.push(py::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: function,
            ml_flags: flags,
            ml_doc: doc.as_ptr(),
        });
        self
    }

    /// A method with any arguments.
    pub fn args<F, R>(self, name: &'static CStr, doc: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let function = py::PyMethodDefPointer { PyCFunctionFastWithKeywords: with_args::<T, F, R> };
        self.add(name, function, py::METH_FASTCALL | py::METH_KEYWORDS, doc)
    }

    /// A method without arguments.
    pub fn noargs<F, R>(self, name: &'static CStr, doc: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Py<T>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let function = py::PyMethodDefPointer { PyCFunction: without_args::<T, F, R> };
        self.add(name, function, py::METH_NOARGS, doc)
    }

    /// A method without arguments that is called by its name only: the interpreter goes by the
    /// slot that has the name otherwise.
    pub fn in_the_place_of_a_slot<F, R>(
        self,
        name: &'static CStr,
        doc: &'static CStr,
        _function: F,
    ) -> Self
    where
        F: Fn(&Py<T>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let function = py::PyMethodDefPointer { PyCFunction: without_args::<T, F, R> };
        self.add(name, function, py::METH_NOARGS | py::METH_COEXIST, doc)
    }

    /// A method with one positional argument.
    pub fn one<F, R>(self, name: &'static CStr, doc: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Py<T>, &Obj) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let function = py::PyMethodDefPointer { PyCFunction: with_one::<T, F, R> };
        self.add(name, function, py::METH_O, doc)
    }

    /// A method with one argument that may be given by its name; `parameter` tells what the
    /// method and the parameter are called.
    pub fn named<N, F, R>(
        self,
        name: &'static CStr,
        doc: &'static CStr,
        _parameter: N,
        _function: F,
    ) -> Self
    where
        N: Fn() -> (&'static str, &'static Name) + Copy,
        F: Fn(&Py<T>, &Obj) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let function =
            py::PyMethodDefPointer { PyCFunctionFastWithKeywords: with_named::<T, N, F, R> };
        self.add(name, function, py::METH_FASTCALL | py::METH_KEYWORDS, doc)
    }

    /// Gives the table to the type, which keeps it for ever.
    pub(super) fn leak(mut self) -> *const c_void {
        self.0.push(py::PyMethodDef::zeroed());
        self.0.leak().as_ptr().cast()
    }
}

unsafe extern "C" fn with_args<T, F, R>(
    this: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: the method descriptor has checked the type of `this`, and
        // passes arguments as vectorcall defines them.
        let (this, args) = unsafe { (Py::view(&this), Args::new(args, nargs, names)) };
        to_ptr(conjure::<F>()(this, &args).and_then(R::into_obj))
    })
}

unsafe extern "C" fn without_args<T, F, R>(
    this: *mut py::PyObject,
    _: *mut py::PyObject,
) -> *mut py::PyObject
where
    T: NativeType,
    F: Fn(&Py<T>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: the method descriptor has checked the type of `this`.
        let this = unsafe { Py::view(&this) };
        to_ptr(conjure::<F>()(this).and_then(R::into_obj))
    })
}

unsafe extern "C" fn with_one<T, F, R>(
    this: *mut py::PyObject,
    arg: *mut py::PyObject,
) -> *mut py::PyObject
where
    T: NativeType,
    F: Fn(&Py<T>, &Obj) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: the method descriptor has checked the type of `this`; the
        // argument is alive during the call.
        let (this, arg) = unsafe { (Py::view(&this), Obj::view(&arg)) };
        to_ptr(conjure::<F>()(this, arg).and_then(R::into_obj))
    })
}

unsafe extern "C" fn with_named<T, N, F, R>(
    this: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject
where
    T: NativeType,
    N: Fn() -> (&'static str, &'static Name) + Copy,
    F: Fn(&Py<T>, &Obj) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: the method descriptor has checked the type of `this`, and
        // passes arguments as vectorcall defines them.
        let (this, args) = unsafe { (Py::view(&this), Args::new(args, nargs, names)) };
        let (function, parameter) = conjure::<N>()();
        let given = args.only(function, parameter);
        to_ptr(given.and_then(|given| conjure::<F>()(this, given)).and_then(R::into_obj))
    })
}

/// Gives the class a method that takes instances of its base as well, in the
/// place of one of its own.
pub fn add_base_method<F, R>(
    class: &Obj,
    base: &Obj,
    name: &'static CStr,
    doc: &'static CStr,
    _function: F,
) -> PyResult<()>
where
    F: Fn(&Obj, &Obj) -> PyResult<R> + Copy,
    R: IntoObj,
{
    let definition = Box::leak(Box::new(py::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: py::PyMethodDefPointer { PyCFunction: of_base::<F, R> },
        ml_flags: py::METH_O,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the base is a type; the definition is leaked; new reference.
    let descriptor =
        unsafe { Obj::from_new(py::PyDescr_NewMethod(base.as_ptr().cast(), definition)) }?;
    class.set_attr(name, &descriptor)
}

unsafe extern "C" fn of_base<F, R>(
    this: *mut py::PyObject,
    arg: *mut py::PyObject,
) -> *mut py::PyObject
where
    F: Fn(&Obj, &Obj) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: CPython passes live objects.
        let (this, arg) = unsafe { (Obj::view(&this), Obj::view(&arg)) };
        to_ptr(conjure::<F>()(this, arg).and_then(R::into_obj))
    })
}

/// A method of a native type that is not in its table: to be bound to instances
/// as C code binds its private functions.
#[derive(Debug)]
pub struct Bindable<T>(*mut py::PyMethodDef, PhantomData<fn(&T)>);

impl<T: NativeType> Bindable<T> {
    /// A function with one argument.
    pub fn new<F, R>(name: &'static CStr, _function: F) -> Self
    where
        F: Fn(&Py<T>, &Obj) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        let definition = py::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: py::PyMethodDefPointer { PyCFunction: with_one::<T, F, R> },
            ml_flags: py::METH_O,
            ml_doc: ptr::null(),
        };
        Self(Box::leak(Box::new(definition)), PhantomData)
    }

    /// The function bound to `this`.
    pub fn bind(&self, this: &Py<T>) -> PyResult<Obj> {
        // SAFETY: the definition is leaked; the function holds `this`.
        unsafe {
            Obj::from_new(py::PyCFunction_NewEx(self.0, this.as_obj().as_ptr(), ptr::null_mut()))
        }
    }

    /// The instance that `object` is bound to, if it is this function.
    #[inline]
    pub fn bound_to(&self, object: &Obj) -> Option<Py<T>> {
        // SAFETY: after the type check the object has the layout of a built-in
        // function; only `bind` makes one with this definition.
        unsafe {
            if object.type_ptr() != &raw mut py::PyCFunction_Type {
                return None;
            }
            let function = object.as_ptr().cast::<py::PyCFunctionObject>();
            let bound: *mut py::PyObject = (*function).m_self;
            ((*function).m_ml == self.0).then(|| Py::<T>::view(&bound).clone())
        }
    }
}
