//! [`Slot`]: a field of a native object that holds another object or nothing.
//!
//! A slot can be read and written through `&self`, because native objects are
//! shared by nature. The rule that keeps this sound: a slot never gives out a
//! borrow that outlives the next Python call; it gives out clones, or takes.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use pyo3_ffi as py;

use super::exit::give_back;
use super::native::{NativeType, Py};
use super::object::Obj;
use super::prefetch;

/// An object or nothing.
#[derive(Debug)]
pub struct Slot(Cell<*mut py::PyObject>);

impl Default for Slot {
    fn default() -> Self {
        Self(Cell::new(ptr::null_mut()))
    }
}

impl From<Obj> for Slot {
    #[inline]
    fn from(value: Obj) -> Self {
        Self(Cell::new(value.into_ptr()))
    }
}

impl From<Option<Obj>> for Slot {
    #[inline]
    fn from(value: Option<Obj>) -> Self {
        Self(Cell::new(value.map_or(ptr::null_mut(), Obj::into_ptr)))
    }
}

impl Drop for Slot {
    #[inline]
    fn drop(&mut self) {
        self.set(None);
    }
}

impl Slot {
    /// The object.
    #[inline]
    pub fn get(&self) -> Option<Obj> {
        let ptr = self.0.get();
        // SAFETY: a slot's pointer is null or a reference that the slot owns.
        (!ptr.is_null()).then(|| unsafe { Obj::from_borrowed(ptr) })
    }

    /// The object, or `None` the Python object.
    pub fn get_or_none(&self) -> Obj {
        self.get().unwrap_or_else(Obj::none)
    }

    /// Whether there is an object.
    #[inline]
    pub fn is_some(&self) -> bool {
        !self.0.get().is_null()
    }

    /// Whether it holds exactly this object.
    pub fn holds(&self, object: &Obj) -> bool {
        self.0.get() == object.as_ptr()
    }

    /// How many references there are to the object; none if there is no object.
    #[inline]
    pub fn references(&self) -> isize {
        let ptr = self.0.get();
        // SAFETY: what a slot holds is alive.
        if ptr.is_null() { 0 } else { unsafe { py::Py_REFCNT(ptr) } }
    }

    /// Has the object fetched into the caches, `size` bytes of it.
    #[inline]
    pub fn prefetch(&self, size: usize) {
        if let Some(address) = NonNull::new(self.0.get()) {
            prefetch::object(address.cast(), size);
        }
    }

    /// Whether both hold the same object, or none.
    #[inline]
    pub fn same(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }

    /// Takes the object out.
    #[inline]
    pub fn take(&self) -> Option<Obj> {
        let ptr = self.0.replace(ptr::null_mut());
        // SAFETY: the slot gives up the reference that it owned.
        if ptr.is_null() { None } else { unsafe { Obj::from_new(ptr) }.ok() }
    }

    /// Puts an object in. The former one is dropped after the slot has changed:
    /// its finalizer may look here.
    #[inline]
    pub fn set(&self, value: Option<Obj>) {
        let new = value.map_or(ptr::null_mut(), Obj::into_ptr);
        let old = self.0.replace(new);
        if !old.is_null() {
            // SAFETY: the slot owned the old reference.
            unsafe { give_back(old) };
        }
    }
}

/// A slot for instances of one native type.
#[derive(Debug)]
pub struct Held<T>(Slot, PhantomData<fn(&T)>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Slot::default(), PhantomData)
    }
}

impl<T: NativeType> From<&Py<T>> for Held<T> {
    #[inline]
    fn from(instance: &Py<T>) -> Self {
        Self(Slot::from(instance.as_obj().clone()), PhantomData)
    }
}

impl<T: NativeType> Held<T> {
    /// The instance.
    #[inline]
    pub fn get(&self) -> Option<Py<T>> {
        // SAFETY: only instances of `T` are put in.
        self.0.get().map(|object| unsafe { Py::from_obj_unchecked(object) })
    }

    /// Lets go of it.
    #[inline]
    pub fn release(&self) {
        self.0.set(None);
    }

    /// As any slot, for the collector.
    pub fn slot(&self) -> &Slot {
        &self.0
    }
}

/// The garbage collector's visit to an object's fields.
#[derive(Debug)]
pub struct Visitor {
    visit: py::visitproc,
    arg: *mut c_void,
    status: c_int,
}

impl Visitor {
    pub(super) fn new(visit: py::visitproc, arg: *mut c_void) -> Self {
        Self { visit, arg, status: 0 }
    }

    pub(super) fn status(&self) -> c_int {
        self.status
    }

    pub(super) fn pointer(&mut self, ptr: *mut py::PyObject) {
        if self.status == 0 && !ptr.is_null() {
            // SAFETY: `visit` and `arg` come from the collector, which is
            // running; the pointer is alive.
            self.status = unsafe { (self.visit)(ptr, self.arg) };
        }
    }

    /// Visits a slot.
    pub fn slot(&mut self, slot: &Slot) {
        self.pointer(slot.0.get());
    }

    /// Visits an owned reference.
    pub fn obj(&mut self, obj: &Obj) {
        self.pointer(obj.as_ptr());
    }
}
