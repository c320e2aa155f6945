//! What a C class's own methods do when they are given an instance of a native type.
//!
//! Role: a native type that extends a C class leaves the class's fields empty, so the class's
//! functions, called as functions (`map(Base.cancel, objects)`), would answer from nothing. A
//! detour makes such a function ask first what it was given. An instance of a native type goes
//! to that type's own function, everything else to where it always went.
//!
//! The class and its descriptors stay the objects they are, with their names, signatures and
//! flags; only the C function behind a descriptor is another one. So nothing can be noticed, and
//! what the interpreter has remembered about the places of calls stays right. Tables of the C
//! module, which other interpreters may share, are not written to: a descriptor gets a copy.
//!
//! Invariants: a detour is made once and stays for the life of the process. A function that is
//! given an instance of exactly its own class looks no further than that.
//!
//! Before 3.12 other interpreters may share the class: they have no native instances, and for
//! theirs nothing here touches an object.

mod calls;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use pyo3_ffi as py;

use super::object::Obj;

/// Where instances of one native class go: a callable whose first argument is the instance, or
/// a property.
#[derive(Debug)]
pub struct Way {
    /// The native class, which extends the base.
    pub class: Obj,
    /// What is used in the place of the base's.
    pub to: Obj,
}

/// A function of the base, and where it leads.
#[derive(Debug)]
struct Detour {
    base: *mut py::PyTypeObject,
    original: *mut c_void,
    ways: Vec<Way>,
}

impl Detour {
    /// Where `this`, an instance of the base, has to go.
    #[inline]
    fn of(&self, this: *mut py::PyObject) -> Option<&Obj> {
        // SAFETY: a live object.
        let class = unsafe { py::Py_TYPE(this) };
        if class == self.base { None } else { self.search(class) }
    }

    fn search(&self, class: *mut py::PyTypeObject) -> Option<&Obj> {
        let mut candidate = class;
        while candidate != self.base && !candidate.is_null() {
            if let Some(way) = self.ways.iter().find(|way| way.class.as_ptr() == candidate.cast()) {
                return Some(&way.to);
            }
            // SAFETY: a class and its bases are alive as long as an instance.
            candidate = unsafe { (*candidate).tp_base };
        }
        None
    }
}

/// Makes a descriptor of the class `base` go other ways for the instances of native classes;
/// says whether it could.
pub fn install(base: &Obj, descriptor: Obj, ways: Vec<Way>) -> bool {
    let (object, kind) = (descriptor.as_ptr(), descriptor.type_ptr());
    let base: *mut py::PyTypeObject = base.as_ptr().cast();
    // SAFETY: the type of a descriptor says which fields it has; addresses of statics.
    let installed = unsafe {
        if kind == &raw mut py::PyMethodDescr_Type {
            method(object.cast(), base, ways)
        } else if kind == &raw mut py::PyGetSetDescr_Type {
            property(object.cast(), base, ways)
        } else if kind == &raw mut py::PyWrapperDescr_Type {
            slot(object.cast(), base, ways)
        } else {
            None
        }
    };
    if installed.is_some() {
        // It lives as long as what it leads to.
        std::mem::forget(descriptor);
    }
    installed.is_some()
}

/// # Safety
/// A live method descriptor.
unsafe fn method(
    descriptor: *mut py::PyMethodDescrObject,
    base: *mut py::PyTypeObject,
    ways: Vec<Way>,
) -> Option<()> {
    const FAST_KEYWORDS: c_int = py::METH_FASTCALL | py::METH_KEYWORDS;
    const METHOD: c_int = py::METH_METHOD | FAST_KEYWORDS;
    // SAFETY: says the caller. The descriptor takes any definition that lives as long as it;
    // name and text stay those of the former one, a static of the C module.
    unsafe {
        if (*descriptor).d_common.d_type != base {
            return None;
        }
        let former = (*descriptor).d_method;
        let original = (*former).ml_meth.as_ptr();
        let detour = Detour { base, original, ways };
        let function = match (*former).ml_flags {
            py::METH_NOARGS | py::METH_O => calls::plain_for(detour),
            FAST_KEYWORDS => calls::fast_for(detour),
            METHOD => calls::of_class_for(detour),
            _ => None,
        }?;
        let definition = Box::leak(Box::new(py::PyMethodDef {
            ml_name: (*former).ml_name,
            ml_meth: py::PyMethodDefPointer {
                PyCFunction: std::mem::transmute::<*mut c_void, py::PyCFunction>(function),
            },
            ml_flags: (*former).ml_flags,
            ml_doc: (*former).ml_doc,
        }));
        (*descriptor).d_method = definition;
    }
    Some(())
}

/// # Safety
/// A live property of a C class.
unsafe fn property(
    descriptor: *mut py::PyGetSetDescrObject,
    base: *mut py::PyTypeObject,
    ways: Vec<Way>,
) -> Option<()> {
    // SAFETY: says the caller; as for methods.
    unsafe {
        if (*descriptor).d_common.d_type != base {
            return None;
        }
        let former = (*descriptor).d_getset;
        let detour = Detour { base, original: former.cast(), ways };
        (*descriptor).d_getset = Box::leak(Box::new(py::PyGetSetDef {
            name: (*former).name,
            get: (*former).get.map(|_| calls::get as py::getter),
            set: (*former).set.map(|_| calls::set as py::setter),
            doc: (*former).doc,
            closure: ptr::from_mut(Box::leak(Box::new(detour))).cast(),
        }));
    }
    Some(())
}

/// # Safety
/// A live descriptor of a function that fills a slot.
unsafe fn slot(
    descriptor: *mut py::PyWrapperDescrObject,
    base: *mut py::PyTypeObject,
    ways: Vec<Way>,
) -> Option<()> {
    // SAFETY: says the caller; the name of a slot is a static of the interpreter. A subclass
    // made later may take over the function for its own slot, of the same type.
    unsafe {
        if (*descriptor).d_common.d_type != base {
            return None;
        }
        let detour = Detour { base, original: (*descriptor).d_wrapped, ways };
        let function = match CStr::from_ptr((*(*descriptor).d_base).name).to_bytes() {
            b"__repr__" | b"__iter__" | b"__await__" => calls::unary_for(detour),
            b"__init__" => calls::init_for(detour),
            b"__del__" => calls::finalize_for(detour),
            _ => None,
        }?;
        (*descriptor).d_wrapped = function;
    }
    Some(())
}
