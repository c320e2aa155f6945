//! Fields of a C base class that others read from memory: debuggers and profilers, which look at
//! the process from outside, and the base's own functions.
//!
//! Role: finds where such a field stands, by looking for a known value in an instance that the
//! base's own code has filled, and writes it in native instances.
//!
//! Invariants: a field was found in an instance of a class that the native type extends, so it
//! stands within every instance of the native type. What is written there the base owns: its own
//! functions visit and release it.

use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr;

use pyo3_ffi as py;

use super::native::{NativeType, Py};
use super::object::Obj;

/// A field of `T`'s base that holds an object or nothing.
#[derive(Debug)]
pub struct Field<T> {
    offset: usize,
    of: PhantomData<fn(&T)>,
}

/// A field of `T`'s base that is one byte.
#[cfg(Py_3_14)]
#[derive(Debug)]
pub struct ByteField<T> {
    offset: usize,
    of: PhantomData<fn(&T)>,
}

/// The bytes of an instance behind its header, as far as its own type lays them out.
fn body(instance: &Obj) -> &[u8] {
    let header = size_of::<py::PyObject>();
    // SAFETY: the class is alive as long as its instance, which has at least the class's size;
    // it was zeroed when it was made, so every byte has a value.
    unsafe {
        let size = (*instance.type_ptr()).tp_basicsize.cast_unsigned();
        let start = instance.as_ptr().cast::<u8>().add(header);
        std::slice::from_raw_parts(start, size.saturating_sub(header))
    }
}

/// Whether each `T` has in it what an instance of `class` has.
fn extends<T: NativeType>(class: *mut py::PyTypeObject) -> bool {
    let native = T::cell().class();
    // SAFETY: both types are alive, if the native one has been made.
    !native.is_null() && unsafe { py::PyType_IsSubtype(native, class) != 0 }
}

impl<T: NativeType> Field<T> {
    /// The one field of `instance` that holds exactly `value`; nothing if there is none or
    /// several, or if `T` does not extend the class of `instance`.
    pub fn holding(instance: &Obj, value: &Obj) -> Option<Self> {
        let wanted = value.as_ptr().addr().to_ne_bytes();
        let width = size_of::<*mut ()>();
        let mut found =
            body(instance).chunks_exact(width).enumerate().filter(|(_, word)| *word == wanted);
        let (index, _) = found.next()?;
        let offset = size_of::<py::PyObject>() + index * width;
        let only = found.next().is_none() && extends::<T>(instance.type_ptr());
        only.then_some(Self { offset, of: PhantomData })
    }

    #[inline]
    fn place(&self, instance: &Py<T>) -> *mut *mut py::PyObject {
        instance.as_obj().as_ptr().wrapping_byte_add(self.offset).cast()
    }

    /// Whether there is nothing.
    #[cfg(Py_3_14)]
    #[inline]
    pub fn is_empty(&self, instance: &Py<T>) -> bool {
        // SAFETY: within the base's part of the instance.
        unsafe { self.place(instance).read().is_null() }
    }

    /// Whether it holds exactly `value`.
    #[cfg(Py_3_14)]
    #[inline]
    pub fn holds(&self, instance: &Py<T>, value: &Obj) -> bool {
        // SAFETY: within the base's part of the instance.
        unsafe { self.place(instance).read() == value.as_ptr() }
    }

    /// Puts `value` there.
    #[inline]
    pub fn set(&self, instance: &Py<T>, value: Option<Obj>) {
        let place = self.place(instance);
        // SAFETY: within the base's part of the instance; the field owns what it holds. It
        // has changed when the former object goes, whose finalizer may look at it.
        unsafe {
            let former = place.read();
            place.write(value.map_or(ptr::null_mut(), Obj::into_ptr));
            py::Py_XDECREF(former);
        }
    }
}

#[cfg(Py_3_14)]
impl<T: NativeType> ByteField<T> {
    /// The one byte that is 1 in `one` and 0 in `other`, an instance of a base of its class.
    pub fn telling(one: &Obj, other: &Obj) -> Option<Self> {
        let mut found =
            body(one).iter().zip(body(other)).enumerate().filter(|(_, pair)| *pair == (&1, &0));
        let (index, _) = found.next()?;
        let offset = size_of::<py::PyObject>() + index;
        let only = found.next().is_none() && extends::<T>(one.type_ptr());
        only.then_some(Self { offset, of: PhantomData })
    }

    /// Makes it 1 or 0.
    #[inline]
    pub fn set(&self, instance: &Py<T>, value: bool) {
        // SAFETY: within the base's part of the instance.
        unsafe { instance.as_obj().as_ptr().cast::<u8>().add(self.offset).write(u8::from(value)) };
    }
}
