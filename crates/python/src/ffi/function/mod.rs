//! Native functions that look like the Python functions whose place they take.
//!
//! Role: `inspect`, `mock` and frameworks ask a function for its `__code__` (is it
//! `async def`? which parameters?), its name, its defaults. A native function of
//! this kind answers with what the Python function says, its model, and is bound
//! to instances as a Python function is.
//!
//! Calls go through vectorcall; as a method of a class it is called without a
//! bound method in between, as functions are.

mod class;

use std::ffi::CStr;
use std::ptr;

use pyo3_ffi as py;

use super::args::Args;
use super::error::{PyResult, Raised};
use super::exit::{self, surviving};
use super::gil::Global;
use super::method::{IntoObj, conjure, to_ptr};
use super::native::{NativeType, Py};
use super::object::Obj;
use super::panic::guard;

#[repr(C)]
struct Function {
    head: py::PyObject,
    vectorcall: py::vectorcallfunc,
    /// The Python function that it looks like: a reference.
    model: *mut py::PyObject,
    /// Functions in the model's place for instances of other classes: a list of pairs, or null.
    kin: *mut py::PyObject,
    dict: *mut py::PyObject,
    weak: *mut py::PyObject,
}

/// The type of native functions.
static CLASS: Global<Obj> = Global::new();

impl Obj {
    /// A native function that looks like `self`, a Python function.
    pub fn native_function<F, R>(&self, _function: F) -> PyResult<Obj>
    where
        F: Fn(&Args<'_>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        make(self, Vec::new(), function_call::<F, R>)
    }

    /// A native method of `T` that looks like `self`, a Python function whose first
    /// parameter is the instance. Called with anything else it is that function.
    pub fn native_method<T, F, R>(&self, function: F) -> PyResult<Obj>
    where
        T: NativeType,
        F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        self.native_method_of_kin(Vec::new(), function)
    }

    /// The same, where instances of some classes have functions of their own in the place of
    /// `self`.
    pub fn native_method_of_kin<T, F, R>(&self, kin: Vec<(Obj, Obj)>, _function: F) -> PyResult<Obj>
    where
        T: NativeType,
        F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        make(self, kin, method_call::<T, F, R>)
    }

    /// The `__init__` of `T` as a native method that looks like `self`.
    pub fn native_init<T: NativeType>(&self) -> PyResult<Obj> {
        self.native_method(|this: &Py<T>, args: &Args<'_>| match T::INIT {
            Some(init) => init(this, args),
            None => Ok(()),
        })
    }
}

/// Gives `class` a native method in the place of one of a Python class, `stock`, which it looks
/// like. Objects of other classes get the Python class's own, and so do arguments that do not fit.
pub fn add_method<T, F, R>(class: &Obj, stock: &Obj, name: &CStr, method: F) -> PyResult<()>
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    add_kin_method(class, stock, &[], name, method)
}

/// As above, where the Python class has subclasses (`kin`) with a method of that name themselves.
pub fn add_kin_method<T, F, R>(
    class: &Obj,
    stock: &Obj,
    kin: &[Obj],
    name: &CStr,
    method: F,
) -> PyResult<()>
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    let model = stock.attr_or_none(name)?;
    if model.is_none() {
        return Ok(()); // Some private ones are not in every release.
    }
    let kin = kin
        .iter()
        .map(|class| Ok((class.clone(), class.attr(name)?)))
        .collect::<PyResult<Vec<_>>>()?;
    class.set_attr(name, &model.native_method_of_kin(kin, method)?)
}

unsafe extern "C" fn function_call<F, R>(
    callable: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: usize,
    names: *mut py::PyObject,
) -> *mut py::PyObject
where
    F: Fn(&Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: CPython passes arguments as vectorcall defines them.
        unsafe {
            let given = Args::new(args, py::PyVectorcall_NARGS(nargs), names);
            match conjure::<F>()(&given).and_then(R::into_obj) {
                Err(raised) if given.were_refused() => {
                    raised.clear();
                    model_call(callable, args, nargs, names)
                }
                result => to_ptr(result),
            }
        }
    })
}

unsafe extern "C" fn method_call<T, F, R>(
    callable: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: usize,
    names: *mut py::PyObject,
) -> *mut py::PyObject
where
    T: NativeType,
    F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
    R: IntoObj,
{
    guard(ptr::null_mut(), || {
        // SAFETY: CPython passes live objects, arguments as vectorcall defines them.
        unsafe {
            let count = py::PyVectorcall_NARGS(nargs);
            let this = if count < 1 { None } else { Py::<T>::from_instance(Obj::view(&*args)) };
            let Some(this) = this else {
                return model_call(callable, args, nargs, names);
            };
            let given = Args::new(args.add(1), count - 1, names);
            match conjure::<F>()(this, &given).and_then(R::into_obj) {
                Err(raised) if given.were_refused() => {
                    raised.clear();
                    model_call(callable, args, nargs, names)
                }
                result => to_ptr(result),
            }
        }
    })
}

/// What is no instance of ours, or missing, is the model's business: a program may call
/// the method of a class that stands for asyncio's own with an object of asyncio's. So are
/// arguments that do not fit: the model says what is wrong in the words that it always had.
///
/// # Safety
/// What CPython passes to a vectorcall function of this type.
#[cold]
unsafe fn model_call(
    callable: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: usize,
    names: *mut py::PyObject,
) -> *mut py::PyObject {
    // SAFETY: an instance, whose model is set; the arguments are handed on as they came, but
    // for the note that the place before them may be written to.
    unsafe {
        let count = py::PyVectorcall_NARGS(nargs);
        let this = if count < 1 { None } else { Some(Obj::view(&*args)) };
        match model_for(&*callable.cast(), this) {
            Ok(model) => {
                let count = count.cast_unsigned();
                surviving(|| exit::PyObject_Vectorcall(model.as_ptr(), args, count, names))
            }
            Err(_) => ptr::null_mut(),
        }
    }
}

/// The Python function that is meant when the native one is called with `this`.
fn model_for(function: &Function, this: Option<&Obj>) -> PyResult<Obj> {
    // SAFETY: the model is set for the life of the function.
    let model = unsafe { Obj::view(&function.model) };
    if let Some(this) = this
        && !function.kin.is_null()
    {
        // SAFETY: not null, and the function's own.
        for pair in unsafe { Obj::view(&function.kin) }.collect()? {
            if let (Some(class), Some(own)) = (pair.tuple_item(0), pair.tuple_item(1))
                && this.is_instance(&class)?
            {
                return Ok(own);
            }
        }
    }
    Ok(model.clone())
}

fn make(model: &Obj, kin: Vec<(Obj, Obj)>, vectorcall: py::vectorcallfunc) -> PyResult<Obj> {
    if CLASS.try_get().is_none() {
        CLASS.set(class::define()?);
    }
    let class: *mut py::PyTypeObject = CLASS.get().as_ptr().cast();
    let kin = if kin.is_empty() {
        ptr::null_mut()
    } else {
        let pairs = kin.into_iter().map(|(class, own)| Obj::tuple(&[class, own]));
        Obj::list(&pairs.collect::<PyResult<Vec<_>>>()?)?.into_ptr()
    };
    // SAFETY: the type is complete; the memory comes zeroed. The collector may see
    // the object with a null model, which it skips.
    unsafe {
        let object = py::PyType_GenericAlloc(class, 0);
        if object.is_null() {
            return Err(Raised::already_set());
        }
        let function = object.cast::<Function>();
        (*function).vectorcall = vectorcall;
        (*function).model = model.clone().into_ptr();
        (*function).kin = kin;
        Obj::from_new(object)
    }
}
