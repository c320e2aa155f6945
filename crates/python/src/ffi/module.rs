//! The module object: multi-phase initialisation, main interpreter only.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3_ffi as py;

use super::args::Args;
use super::error::{PyResult, Raised};
use super::method;
use super::object::Obj;
use super::panic;

/// Imports a module by its dotted name.
pub fn import(name: &CStr) -> PyResult<Obj> {
    // SAFETY: new reference or null with an exception.
    unsafe { Obj::from_new(py::PyImport_ImportModule(name.as_ptr())) }
}

#[cfg(not(Py_3_13))]
unsafe extern "C" {
    fn _Py_IsFinalizing() -> c_int;
}

/// Whether the interpreter is about to end.
pub fn is_finalizing() -> bool {
    #[cfg(Py_3_13)]
    // SAFETY: no conditions.
    unsafe {
        py::Py_IsFinalizing() != 0
    }
    #[cfg(not(Py_3_13))]
    // SAFETY: no conditions.
    unsafe {
        _Py_IsFinalizing() != 0
    }
}

/// Puts a name into a module.
pub fn add(module: &Obj, name: &CStr, value: &Obj) -> PyResult<()> {
    // SAFETY: both are alive; the module takes a reference of its own.
    let status =
        unsafe { py::PyModule_AddObjectRef(module.as_ptr(), name.as_ptr(), value.as_ptr()) };
    Raised::check(status).map(drop)
}

/// Makes an exception class.
pub fn new_exception(name: &CStr, doc: &CStr, base: &Obj) -> PyResult<Obj> {
    // SAFETY: name and doc are copied; the base is a class.
    unsafe {
        Obj::from_new(py::PyErr_NewExceptionWithDoc(
            name.as_ptr(),
            doc.as_ptr(),
            base.as_ptr(),
            ptr::null_mut(),
        ))
    }
}

/// Makes a class that joins its bases, with no fields of its own.
pub fn new_class(name: &str, bases: &[Obj]) -> PyResult<Obj> {
    let namespace = Obj::dict()?;
    namespace.set_item("__slots__", &Obj::tuple(&[])?)?;
    namespace.set_item("__module__", &Obj::str("batuta._batuta")?)?;
    type_class().call_with(&[&Obj::str(name)?, &Obj::tuple(bases)?, &namespace])
}

/// `type`.
fn type_class() -> Obj {
    // SAFETY: a static of the interpreter, which lives as long as it.
    unsafe { Obj::from_borrowed((&raw mut py::PyType_Type).cast()) }
}

/// Adds a function to a module. `call` must be a function item.
pub fn add_function<F>(
    module: &Obj,
    name: &'static CStr,
    doc: &'static CStr,
    call: F,
) -> PyResult<()>
where
    F: Fn(&Args<'_>) -> PyResult<Obj> + Copy,
{
    add(module, name, &new_function(name, doc, call)?)
}

/// Makes a function. `call` must be a function item.
pub fn new_function<F>(name: &'static CStr, doc: &'static CStr, _call: F) -> PyResult<Obj>
where
    F: Fn(&Args<'_>) -> PyResult<Obj> + Copy,
{
    let def = Box::leak(Box::new(py::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: py::PyMethodDefPointer { PyCFunctionFastWithKeywords: function::<F> },
        ml_flags: py::METH_FASTCALL | py::METH_KEYWORDS,
        ml_doc: doc.as_ptr(),
    }));
    // SAFETY: the definition is leaked, as the function keeps a pointer to it.
    unsafe { Obj::from_new(py::PyCFunction_NewEx(def, ptr::null_mut(), ptr::null_mut())) }
}

unsafe extern "C" fn function<F>(
    _module: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject
where
    F: Fn(&Args<'_>) -> PyResult<Obj> + Copy,
{
    panic::guard(ptr::null_mut(), || {
        // SAFETY: arguments as vectorcall defines them.
        let args = unsafe { Args::new(args, nargs, names) };
        method::to_ptr(method::conjure::<F>()(&args))
    })
}

/// What fills the module, given to [`init`] as a type without size.
pub trait Fill: Copy + Fn(&Obj) -> PyResult<()> {}
impl<F: Copy + Fn(&Obj) -> PyResult<()>> Fill for F {}

struct Definition(UnsafeCell<py::PyModuleDef>);

// SAFETY: given to CPython once, under the lock; CPython owns it from then on.
unsafe impl Sync for Definition {}

/// What the interpreter takes from `PyInit_*`.
pub type Initial = *mut py::PyObject;

/// What `PyInit_*` returns: the definition, with `fill` to be run at import.
pub fn init<F: Fill>(name: &'static CStr, doc: &'static CStr, _fill: F) -> Initial {
    let slots = vec![
        py::PyModuleDef_Slot { slot: py::Py_mod_exec, value: exec::<F> as *mut c_void },
        #[cfg(Py_3_12)]
        py::PyModuleDef_Slot {
            slot: py::Py_mod_multiple_interpreters,
            value: py::Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED,
        },
        #[cfg(Py_3_13)]
        py::PyModuleDef_Slot { slot: py::Py_mod_gil, value: py::Py_MOD_GIL_USED },
        py::PyModuleDef_Slot::default(),
    ];
    let definition = Box::leak(Box::new(Definition(UnsafeCell::new(py::PyModuleDef {
        m_base: py::PyModuleDef_HEAD_INIT,
        m_name: name.as_ptr(),
        m_doc: doc.as_ptr(),
        m_size: 0,
        m_methods: ptr::null_mut(),
        m_slots: slots.leak().as_mut_ptr(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    }))));
    // SAFETY: a complete definition that lives for ever.
    unsafe { py::PyModuleDef_Init(definition.0.get()) }
}

unsafe extern "C" fn exec<F: Fill>(module: *mut py::PyObject) -> c_int {
    panic::guard(-1, || {
        // SAFETY: reads ids of live interpreters, lock held. The types and other
        // statics belong to the main interpreter.
        let main = unsafe { py::PyInterpreterState_Get() == py::PyInterpreterState_Main() };
        if !main {
            let _raised = Raised::import_error(
                "batuta can be used in the main interpreter only, not in sub-interpreters",
            );
            return -1;
        }
        // SAFETY: CPython passes the new module.
        let module = unsafe { Obj::view(&module) };
        method::conjure::<F>()(module).map_or(-1, |()| 0)
    })
}
