//! The type object of native functions: what is asked of one, and its life.

use std::ffi::{c_int, c_ulong, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;

use pyo3_ffi as py;

use super::super::error::PyResult;
use super::super::method::to_ptr;
use super::super::object::Obj;
use super::super::panic::guard;
use super::Function;

unsafe extern "C" {
    fn PyMethod_New(function: *mut py::PyObject, this: *mut py::PyObject) -> *mut py::PyObject;
}

/// Makes the type object.
pub(super) fn define() -> PyResult<Obj> {
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
        // What takes functions (`mock`'s autospec, `inspect.isfunction`) asks with `isinstance`.
        of_model(c"__class__"),
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
        let kin = (*function).kin;
        for held in [py::Py_TYPE(this).cast(), (*function).model, kin, (*function).dict] {
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
        py::Py_CLEAR(&raw mut (*function).kin);
        if let Some(free) = (*class).tp_free {
            free(this.cast());
        }
        py::Py_DECREF(class.cast());
    }
}

fn qualname(callable: &Obj) -> String {
    let name = callable.attr(c"__qualname__").and_then(|name| name.to_string_lossy());
    name.unwrap_or_else(|raised| {
        raised.clear();
        "function".to_owned()
    })
}
