//! An instance's life: its memory, what the collector sees of it, its end.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr;

use pyo3_ffi as py;

use super::super::base;
use super::super::error::{PyResult, Raised};
use super::super::object::Obj;
use super::super::panic;
use super::super::slot::Visitor;
#[cfg(not(Py_3_14))]
use super::super::trash;
use super::{NativeType, Py, dict_place, place};

/// # Safety
/// `class` is the native type of `T` or a subclass.
pub(super) unsafe fn allocate<T: NativeType>(
    class: *mut py::PyTypeObject,
    value: T,
) -> PyResult<Py<T>> {
    // SAFETY: every type has `tp_alloc`; the memory comes zeroed and tracked. The
    // collector cannot run before `T` is written: nothing allocates in between.
    unsafe {
        let Some(alloc) = (*class).tp_alloc else {
            return Err(Raised::type_error("type has no allocator"));
        };
        let object = alloc(class, 0);
        if object.is_null() {
            return Err(Raised::already_set());
        }
        ptr::write(place::<T>(object), value);
        Obj::from_new(object).map(|object| Py(object, PhantomData))
    }
}

/// Takes a dead instance out of the pool.
///
/// # Safety
/// The type is complete.
#[inline]
pub(super) unsafe fn take_dead<T: NativeType>() -> Option<*mut py::PyObject> {
    if T::POOL == 0 {
        return None;
    }
    // SAFETY: the pool is touched for one operation, which runs no other code.
    unsafe { (*T::cell().pool.get()).pop() }
}

/// Brings a dead instance to life, untracked.
///
/// # Safety
/// `dead` comes from the pool.
#[inline]
pub(super) unsafe fn revive<T: NativeType>(dead: *mut py::PyObject, value: T) -> PyResult<Py<T>> {
    // SAFETY: says the caller: header, then `T`; the base is zeroed.
    unsafe {
        let object = py::PyObject_Init(dead, T::cell().class());
        ptr::write(place::<T>(object), value);
        Obj::from_new(object).map(|object| Py(object, PhantomData))
    }
}

/// An instance of exactly the native type, new or out of the pool, untracked.
///
/// # Safety
/// The type is complete.
#[inline]
pub(super) unsafe fn make_untracked<T: NativeType>(value: T) -> PyResult<Py<T>> {
    const {
        assert!(!T::CHAINED, "a base with memory of its own needs tp_alloc");
    }
    // SAFETY: says the caller; the object is as large as its type says, of which everything
    // behind the header is zeroed before `T` is written.
    unsafe {
        if let Some(dead) = take_dead::<T>() {
            return revive(dead, value);
        }
        let class = T::cell().class();
        let object = py::PyObject_GC_New::<py::PyObject>(class);
        if object.is_null() {
            return Err(Raised::already_set());
        }
        let header = size_of::<py::PyObject>();
        let rest = (*class).tp_basicsize.cast_unsigned() - header;
        ptr::write_bytes(object.cast::<u8>().wrapping_add(header), 0, rest);
        ptr::write(place::<T>(object), value);
        Obj::from_new(object).map(|object| Py(object, PhantomData))
    }
}

pub(super) unsafe extern "C" fn dealloc<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: called by CPython with an instance whose last reference has gone.
    unsafe {
        #[cfg(not(Py_3_14))]
        trash::end(object, end::<T>);
        // From 3.14 on `_Py_Dealloc` itself sees to it that the stack does not get deep.
        #[cfg(Py_3_14)]
        end::<T>(object);
    }
}

/// # Safety
/// `object` is an instance whose last reference has gone.
unsafe fn end<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: says the caller; `T` is alive until it is dropped here.
    unsafe {
        let class = py::Py_TYPE(object);
        let cell = T::cell();
        let exact = class == cell.class();
        let quiet = T::FINALIZE.is_none() || (exact && (*place::<T>(object)).ends_quietly());
        let may_be_kept = T::POOL > 0
            && exact
            && quiet
            && (*cell.pool.get()).len() < T::POOL
            // A note of the collector's in the header, which nothing would take back.
            && (T::FINALIZE.is_none() || py::PyObject_GC_IsFinalized(object) == 0);
        if may_be_kept {
            py::PyObject_GC_UnTrack(object.cast());
            clear_weak_references(object, class);
            panic::guard((), || T::retire(Py::view(&object)));
            if base_is_blank::<T>(object) {
                return keep::<T>(object);
            }
            // Somebody has put something there that only the finalizer takes back.
            py::PyObject_GC_Track(object.cast());
        }
        let nothing_to_do = T::FINALIZE.is_none() || (quiet && base_is_blank::<T>(object));
        if !nothing_to_do && py::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return; // Alive again.
        }
        py::PyObject_GC_UnTrack(object.cast());
        clear_weak_references(object, class);
        panic::guard((), || ptr::drop_in_place(place::<T>(object)));
        if !base_is_blank::<T>(object) {
            // Only the base knows what else hangs on its fields, such as the interpreter's
            // list of tasks. The finalizer, which it calls too, has run: see `nothing_to_do`.
            return base::dealloc(cell.base.get(), object);
        }
        if T::CHAINED {
            base::clear_attributes(cell.base.get(), object);
        }
        if T::OPEN {
            py::Py_CLEAR(dict_place::<T>(object));
        }
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        py::Py_DECREF(class.cast());
    }
}

/// Puts a dead instance into the pool.
///
/// # Safety
/// `object` is an instance of exactly the native type whose last reference has gone; it is
/// untracked, has no weak references, and the fields of its base are blank.
unsafe fn keep<T: NativeType>(object: *mut py::PyObject) {
    let cell = T::cell();
    // SAFETY: says the caller; the pool is touched for one operation, which runs no other code.
    unsafe {
        panic::guard((), || ptr::drop_in_place(place::<T>(object)));
        if T::CHAINED {
            base::clear_attributes(cell.base.get(), object);
        }
        if T::OPEN {
            py::Py_CLEAR(dict_place::<T>(object));
        }
        // What was dropped may have filled the pool meanwhile: one too many is no harm.
        (*cell.pool.get()).push(object);
        py::Py_DECREF(cell.class().cast());
    }
}

/// So many dead instances may stay in a pool for ever.
const KEPT: usize = 1024;

/// A trim takes this part of what is in a pool beyond that.
const TRIMMED_PART: usize = 16;

/// Gives back some of the memory that a burst has left in the pool.
#[inline]
pub fn trim_pool<T: NativeType>() {
    // SAFETY: the length is read for one operation.
    let surplus = unsafe { (*T::cell().pool.get()).len() }.saturating_sub(KEPT);
    if surplus > 0 {
        trim::<T>(surplus.div_ceil(TRIMMED_PART));
    }
}

#[cold]
fn trim<T: NativeType>(count: usize) {
    let class = T::cell().class();
    for _ in 0..count {
        // SAFETY: what is in the pool are dead instances, of which nothing but their memory
        // is left; to free it runs no other code.
        unsafe {
            if let (Some(dead), Some(free)) = (take_dead::<T>(), (*class).tp_free) {
                free(dead.cast());
            }
        }
    }
}

/// # Safety
/// `object` is an instance of `T`.
unsafe fn base_is_blank<T: NativeType>(object: *mut py::PyObject) -> bool {
    // SAFETY: says the caller.
    !T::CHAINED || unsafe { base::is_blank(T::cell().base.get(), object) }
}

/// # Safety
/// `object` is an instance of `class` whose last reference has gone.
unsafe fn clear_weak_references(object: *mut py::PyObject, class: *mut py::PyTypeObject) {
    // SAFETY: the type says where the list stands in its instances.
    unsafe {
        let offset = (*class).tp_weaklistoffset;
        if offset != 0 && !object.byte_offset(offset).cast::<*mut py::PyObject>().read().is_null() {
            py::PyObject_ClearWeakRefs(object);
        }
    }
}

pub(super) unsafe extern "C" fn traverse<T: NativeType>(
    object: *mut py::PyObject,
    visit: py::visitproc,
    arg: *mut c_void,
) -> c_int {
    let mut visitor = Visitor::new(visit, arg);
    // SAFETY: called by the collector with a live instance.
    unsafe {
        if T::CHAINED {
            let status = base::traverse(T::cell().base.get(), object, visit, arg);
            if status != 0 {
                return status;
            }
        } else {
            visitor.pointer(py::Py_TYPE(object).cast());
        }
        if T::OPEN {
            visitor.pointer(*dict_place::<T>(object));
        }
        (*place::<T>(object)).traverse(&mut visitor);
    }
    visitor.status()
}

pub(super) unsafe extern "C" fn clear<T: NativeType>(object: *mut py::PyObject) -> c_int {
    // SAFETY: called by the collector with a live instance.
    unsafe {
        if T::OPEN {
            py::Py_CLEAR(dict_place::<T>(object));
        }
        panic::guard((), || (*place::<T>(object)).clear());
        if T::CHAINED { base::clear(T::cell().base.get(), object) } else { 0 }
    }
}

pub(super) unsafe extern "C" fn finalize<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: called with a live instance. A finalizer leaves the exception that
    // may be on its way as it was.
    unsafe {
        let pending = Raised::is_set().then(|| Raised::already_set().take());
        if let Some(run) = T::FINALIZE {
            panic::guard((), || run(Py::view(&object)));
        }
        if Raised::is_set() {
            Raised::already_set().unraisable(Obj::view(&object));
        }
        if let Some(exception) = pending {
            let _restored = Raised::restore(exception);
        }
    }
}
