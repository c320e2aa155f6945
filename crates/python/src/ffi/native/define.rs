//! Making the type object.

use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::mem::{align_of, size_of};
use std::ptr;

use pyo3_ffi as py;

use super::super::error::{PyResult, Raised};
use super::super::object::Obj;
use super::{NativeType, life, slots as calls};

/// Makes the type object of `T`, with `base` as its base class, unless a former
/// import has made it; returns it.
pub fn define<T: NativeType>(base: Option<&Obj>) -> PyResult<Obj> {
    let cell = T::cell();
    if !cell.class().is_null() {
        // SAFETY: the cell holds a reference for ever.
        return Ok(unsafe { Obj::from_borrowed(cell.class().cast()) });
    }
    let base_size = match base {
        // SAFETY: a class is a type object.
        Some(base) => unsafe { (*base.as_ptr().cast::<py::PyTypeObject>()).tp_basicsize },
        None => size_of::<py::PyObject>().cast_signed(),
    };
    let align = align_of::<T>().max(align_of::<*mut ()>());
    let offset = base_size.cast_unsigned().next_multiple_of(align);
    let own_end = (offset + size_of::<T>()).next_multiple_of(align_of::<*mut ()>());
    let behind: &[&'static CStr] = if T::OPEN {
        &[c"__dictoffset__", c"__weaklistoffset__"]
    } else if T::WEAK {
        &[c"__weaklistoffset__"]
    } else {
        &[]
    };
    let size = own_end + behind.len() * size_of::<*mut ()>();

    let mut slots = vec![
        slot(py::Py_tp_dealloc, life::dealloc::<T> as *const c_void),
        slot(py::Py_tp_traverse, life::traverse::<T> as *const c_void),
        slot(py::Py_tp_clear, life::clear::<T> as *const c_void),
        slot(py::Py_tp_methods, T::methods().leak()),
        slot(py::Py_tp_getset, T::properties().leak(T::OPEN)),
        slot(py::Py_tp_doc, T::DOC.as_ptr().cast()),
    ];
    if !behind.is_empty() {
        slots.push(slot(py::Py_tp_members, members(own_end, behind)));
    }
    if T::CONSTRUCT.is_some() {
        slots.push(slot(py::Py_tp_new, calls::construct::<T> as *const c_void));
    }
    if T::INIT.is_some() {
        slots.push(slot(py::Py_tp_init, calls::init::<T> as *const c_void));
    }
    if T::ITERATE.is_some() {
        slots.push(slot(py::Py_am_await, calls::iterator::<T> as *const c_void));
        slots.push(slot(py::Py_tp_iter, calls::iterator::<T> as *const c_void));
    }
    if T::FINALIZE.is_some() {
        slots.push(slot(py::Py_tp_finalize, life::finalize::<T> as *const c_void));
    }
    if T::REPR.is_some() {
        slots.push(slot(py::Py_tp_repr, calls::repr::<T> as *const c_void));
    }
    if T::CALL.is_some() {
        slots.push(slot(py::Py_tp_call, calls::call::<T> as *const c_void));
    }
    if T::SEND.is_some() {
        slots.push(slot(py::Py_am_await, calls::awaited::<T> as *const c_void));
        let enter = if T::IS_COROUTINE { calls::delegated_to } else { calls::itself };
        slots.push(slot(py::Py_tp_iter, enter as *const c_void));
        slots.push(slot(py::Py_tp_iternext, calls::next::<T> as *const c_void));
        slots.push(slot(py::Py_am_send, calls::send::<T> as *const c_void));
    }
    if T::ASSIGNED.is_some() {
        slots.push(slot(py::Py_tp_setattro, calls::set_attribute::<T> as *const c_void));
    }
    slots.push(slot(0, ptr::null()));

    let mut flags: c_ulong = py::Py_TPFLAGS_DEFAULT | py::Py_TPFLAGS_HAVE_GC;
    if T::SUBCLASSABLE {
        flags |= py::Py_TPFLAGS_BASETYPE;
    }
    if T::CONSTRUCT.is_none() {
        flags |= py::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    }
    let mut spec = py::PyType_Spec {
        name: T::NAME.as_ptr(),
        basicsize: c_int::try_from(size).unwrap_or(c_int::MAX),
        itemsize: 0,
        flags: c_uint::try_from(flags).unwrap_or(0),
        slots: slots.as_mut_ptr(),
    };
    cell.offset.set(offset);
    if T::CHAINED {
        const { assert!(!T::CHAINED || !(T::OPEN || T::WEAK)) };
        cell.base.set(base.map_or(ptr::null_mut(), |base| base.as_ptr().cast()));
    }
    let bases = base.map_or(ptr::null_mut(), Obj::as_ptr);
    // SAFETY: the spec and its tables are complete; methods, properties and
    // members are leaked, because the type keeps pointers to them.
    let class = unsafe { Obj::from_new(py::PyType_FromSpecWithBases(&raw mut spec, bases)) }?;
    if T::IS_COROUTINE {
        hide(&class, c"__iter__")?;
        // SAFETY: a class that was just made, by us; the name is there for ever. What goes by the
        // name of the class itself, `__name__` and `repr()`, has it elsewhere.
        unsafe { (*class.as_ptr().cast::<py::PyTypeObject>()).tp_name = c"coroutine".as_ptr() };
    }
    cell.class.set(class.clone().into_ptr().cast());
    Ok(class)
}

/// Takes a name out of a new class whose slot stays as it is.
fn hide(class: &Obj, name: &'static CStr) -> PyResult<()> {
    let class: *mut py::PyTypeObject = class.as_ptr().cast();
    // SAFETY: a class that was just made, by us, and that nobody else has; its dict is its own.
    if unsafe { py::PyDict_DelItemString((*class).tp_dict, name.as_ptr()) } < 0 {
        return Err(Raised::already_set());
    }
    // SAFETY: as above.
    unsafe { py::PyType_Modified(class) };
    Ok(())
}

fn slot(number: c_int, value: *const c_void) -> py::PyType_Slot {
    py::PyType_Slot { slot: number, pfunc: value.cast_mut() }
}

/// The members that say where pointers stand, one behind the other from `offset` on.
fn members(offset: usize, names: &[&'static CStr]) -> *const c_void {
    let places = (offset..).step_by(size_of::<*mut ()>());
    let mut members: Vec<_> = names
        .iter()
        .zip(places)
        .map(|(name, offset)| py::PyMemberDef {
            name: name.as_ptr(),
            type_code: py::Py_T_PYSSIZET,
            offset: offset.cast_signed(),
            flags: py::Py_READONLY,
            doc: ptr::null(),
        })
        .collect();
    members.push(py::PyMemberDef::default());
    members.leak().as_ptr().cast()
}
