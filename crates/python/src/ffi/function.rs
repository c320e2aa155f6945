//! Native functions that look like the Python functions whose place they take.
//!
//! Role: `inspect`, `mock` and frameworks ask a function for its `__code__` (is it
//! `async def`? which parameters?), its name, its defaults. A native function of
//! this kind answers with what the Python function says, its model, and is bound
//! to instances as a Python function is.
//!
//! Calls go through vectorcall; as a method of a class it is called without a
//! bound method in between, as functions are.

use std::ffi::{c_int, c_ulong, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;

use pyo3_ffi as py;

use super::args::Args;
use super::error::{PyResult, Raised};
use super::exit::{self, surviving};
use super::gil::Global;
use super::method::{IntoObj, conjure, guard, to_ptr};
use super::native::{NativeType, Py};
use super::object::Obj;

#[repr(C)]
struct Function {
    head: py::PyObject,
    vectorcall: py::vectorcallfunc,
    /// The Python function that it looks like: a reference.
    model: *mut py::PyObject,
    dict: *mut py::PyObject,
    weak: *mut py::PyObject,
}

unsafe extern "C" {
    fn PyMethod_New(function: *mut py::PyObject, this: *mut py::PyObject) -> *mut py::PyObject;
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
        make(self, function_call::<F, R>)
    }

    /// A native method of `T` that looks like `self`, a Python function whose first
    /// parameter is the instance. Called with anything else it is that function.
    pub fn native_method<T, F, R>(&self, _function: F) -> PyResult<Obj>
    where
        T: NativeType,
        F: Fn(&Py<T>, &Args<'_>) -> PyResult<R> + Copy,
        R: IntoObj,
    {
        make(self, method_call::<T, F, R>)
    }

    /// The `__init__` of `T` as a native method that looks like `self`.
    pub fn native_init<T: NativeType>(&self) -> PyResult<Obj> {
        self.native_method(|this: &Py<T>, args: &Args<'_>| match T::INIT {
            Some(init) => init(this, args),
            None => Ok(()),
        })
    }
}

unsafe extern "C" fn function_call<F, R>(
    _callable: *mut py::PyObject,
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
        let args = unsafe { Args::new(args, py::PyVectorcall_NARGS(nargs), names) };
        to_ptr(conjure::<F>()(&args).and_then(R::into_obj))
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
            let args = Args::new(args.add(1), count - 1, names);
            to_ptr(conjure::<F>()(this, &args).and_then(R::into_obj))
        }
    })
}

/// What is no instance of ours, or missing, is the model's business: a program may call
/// the method of a class that stands for asyncio's own with an object of asyncio's.
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
        let model = (*callable.cast::<Function>()).model;
        let count = py::PyVectorcall_NARGS(nargs).cast_unsigned();
        surviving(|| exit::PyObject_Vectorcall(model, args, count, names))
    }
}

fn qualname(callable: &Obj) -> String {
    let name = callable.attr(c"__qualname__").and_then(|name| name.to_string_lossy());
    name.unwrap_or_else(|raised| {
        raised.clear();
        "function".to_owned()
    })
}

fn make(model: &Obj, vectorcall: py::vectorcallfunc) -> PyResult<Obj> {
    if CLASS.try_get().is_none() {
        CLASS.set(define()?);
    }
    let class: *mut py::PyTypeObject = CLASS.get().as_ptr().cast();
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
        Obj::from_new(object)
    }
}

fn define() -> PyResult<Obj> {
    let member = |name: &'static std::ffi::CStr, offset: usize| py::PyMemberDef {
        name: name.as_ptr(),
        type_code: py::Py_T_PYSSIZET,
        offset: offset.cast_signed(),
        flags: py::Py_READONLY,
        doc: ptr::null(),
    };
    let members = Box::leak(Box::new([
        member(c"__vectorcalloffset__", offset_of!(Function, vectorcall)),
        member(c"__dictoffset__", offset_of!(Function, dict)),
        member(c"__weaklistoffset__", offset_of!(Function, weak)),
        py::PyMemberDef::default(),
    ]));
    let of_model = |name: &'static std::ffi::CStr| py::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(model_attribute),
        set: None,
        doc: ptr::null(),
        closure: name.as_ptr().cast_mut().cast(),
    };
    let properties = Box::leak(Box::new([
        of_model(c"__module__"),
        of_model(c"__name__"),
        of_model(c"__qualname__"),
        of_model(c"__doc__"),
        py::PyGetSetDef {
            name: c"__wrapped__".as_ptr(),
            get: Some(model),
            ..py::PyGetSetDef::default()
        },
        py::PyGetSetDef {
            name: c"__dict__".as_ptr(),
            get: Some(py::PyObject_GenericGetDict),
            set: Some(py::PyObject_GenericSetDict),
            ..py::PyGetSetDef::default()
        },
        py::PyGetSetDef::default(),
    ]));
    let methods = Box::leak(Box::new([
        py::PyMethodDef {
            ml_name: c"__reduce__".as_ptr(),
            ml_meth: py::PyMethodDefPointer { PyCFunction: reduce },
            ml_flags: py::METH_NOARGS,
            ml_doc: ptr::null(),
        },
        py::PyMethodDef::zeroed(),
    ]));
    let slot =
        |slot: c_int, value: *const c_void| py::PyType_Slot { slot, pfunc: value.cast_mut() };
    let mut slots = [
        slot(py::Py_tp_dealloc, dealloc as *const c_void),
        slot(py::Py_tp_traverse, traverse as *const c_void),
        slot(py::Py_tp_clear, clear as *const c_void),
        slot(py::Py_tp_call, py::PyVectorcall_Call as *const c_void),
        slot(py::Py_tp_getattro, getattro as *const c_void),
        slot(py::Py_tp_descr_get, descr_get as *const c_void),
        slot(py::Py_tp_repr, repr as *const c_void),
        slot(py::Py_tp_members, members.as_ptr().cast()),
        slot(py::Py_tp_getset, properties.as_ptr().cast()),
        slot(py::Py_tp_methods, methods.as_ptr().cast()),
        slot(0, ptr::null()),
    ];
    // Only what is found through an immutable type of descriptors does the interpreter
    // remember at the place of a call.
    let flags: c_ulong = py::Py_TPFLAGS_DEFAULT
        | py::Py_TPFLAGS_IMMUTABLETYPE
        | py::Py_TPFLAGS_HAVE_GC
        | py::Py_TPFLAGS_HAVE_VECTORCALL
        | py::Py_TPFLAGS_METHOD_DESCRIPTOR
        | py::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = py::PyType_Spec {
        name: c"batuta._batuta.function".as_ptr(),
        basicsize: c_int::try_from(size_of::<Function>()).unwrap_or(c_int::MAX),
        itemsize: 0,
        flags: u32::try_from(flags).unwrap_or(0),
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is complete, its tables are leaked.
    unsafe { Obj::from_new(py::PyType_FromSpec(&raw mut spec)) }
}

/// The attribute of the model whose name is the closure.
unsafe extern "C" fn model_attribute(
    this: *mut py::PyObject,
    name: *mut c_void,
) -> *mut py::PyObject {
    // SAFETY: an instance, whose model is set; the closure is a C string.
    unsafe { py::PyObject_GetAttrString((*this.cast::<Function>()).model, name.cast()) }
}

unsafe extern "C" fn model(this: *mut py::PyObject, _: *mut c_void) -> *mut py::PyObject {
    // SAFETY: an instance, whose model is set.
    unsafe { py::Py_NewRef((*this.cast::<Function>()).model) }
}

/// Pickled, and copied, by name.
unsafe extern "C" fn reduce(this: *mut py::PyObject, _: *mut py::PyObject) -> *mut py::PyObject {
    // SAFETY: an instance, whose model is set.
    unsafe {
        py::PyObject_GetAttrString((*this.cast::<Function>()).model, c"__qualname__".as_ptr())
    }
}

/// What the function does not have, its model may have: `__code__`, `__defaults__`.
unsafe extern "C" fn getattro(
    this: *mut py::PyObject,
    name: *mut py::PyObject,
) -> *mut py::PyObject {
    // SAFETY: an instance, whose model is set; a name.
    unsafe {
        let found = py::PyObject_GenericGetAttr(this, name);
        if !found.is_null() || py::PyErr_ExceptionMatches(py::PyExc_AttributeError) == 0 {
            return found;
        }
        py::PyErr_Clear();
        py::PyObject_GetAttr((*this.cast::<Function>()).model, name)
    }
}

unsafe extern "C" fn descr_get(
    this: *mut py::PyObject,
    instance: *mut py::PyObject,
    _class: *mut py::PyObject,
) -> *mut py::PyObject {
    // SAFETY: live objects; a missing instance is null or `None`.
    unsafe {
        if instance.is_null() || instance == py::Py_None() {
            return py::Py_NewRef(this);
        }
        PyMethod_New(this, instance)
    }
}

unsafe extern "C" fn repr(this: *mut py::PyObject) -> *mut py::PyObject {
    guard(ptr::null_mut(), || {
        // SAFETY: a live object.
        let name = qualname(unsafe { Obj::view(&this) });
        to_ptr(Obj::str(&format!("<function {name} at {this:p}>")))
    })
}

unsafe extern "C" fn traverse(
    this: *mut py::PyObject,
    visit: py::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector with a live instance.
    unsafe {
        let function = this.cast::<Function>();
        for held in [py::Py_TYPE(this).cast(), (*function).model, (*function).dict] {
            if !held.is_null() {
                let status = visit(held, arg);
                if status != 0 {
                    return status;
                }
            }
        }
    }
    0
}

/// The model stays: an answer is asked of it until the end.
unsafe extern "C" fn clear(this: *mut py::PyObject) -> c_int {
    // SAFETY: called by the collector with a live instance.
    unsafe { py::Py_CLEAR(&raw mut (*this.cast::<Function>()).dict) };
    0
}

unsafe extern "C" fn dealloc(this: *mut py::PyObject) {
    // SAFETY: called with an instance whose last reference has gone.
    unsafe {
        let (class, function) = (py::Py_TYPE(this), this.cast::<Function>());
        py::PyObject_GC_UnTrack(this.cast());
        if !(*function).weak.is_null() {
            py::PyObject_ClearWeakRefs(this);
        }
        py::Py_CLEAR(&raw mut (*function).dict);
        py::Py_CLEAR(&raw mut (*function).model);
        if let Some(free) = (*class).tp_free {
            free(this.cast());
        }
        py::Py_DECREF(class.cast());
    }
}
