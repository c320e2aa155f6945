//! Fields of a C base class that others read from memory: debuggers and profilers, which look at
//! the process from outside.
//!
//! Role: finds where such a field stands, by looking for a known value in an instance that the
//! base's own code has filled, and writes it in native instances.
//!
//! Invariant: a field stands within the base's part of every instance of the class it was found
//! in, and of its subclasses. What is written there the base owns: its own functions visit and
//! release it.

use std::mem::size_of;
use std::ptr;

use pyo3_ffi as py;

use super::object::Obj;

/// A field that holds an object or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    offset: usize,
    class: *mut py::PyTypeObject,
}

/// A field that is one byte.
#[derive(Clone, Copy, Debug)]
pub struct ByteField {
    offset: usize,
    class: *mut py::PyTypeObject,
}

/// The bytes of an instance behind its header, up to the size of `class`.
fn body<'a>(instance: &'a Obj, class: *mut py::PyTypeObject) -> &'a [u8] {
    let header = size_of::<py::PyObject>();
    // SAFETY: the callers pass a base of the instance's type; the class is alive.
    let size = unsafe { (*class).tp_basicsize }.cast_unsigned();
    // SAFETY: an instance has at least the size of each of its bases; it was zeroed when it
    // was made, so every byte has a value.
    unsafe {
        let start = instance.as_ptr().cast::<u8>().add(header);
        std::slice::from_raw_parts(start, size.saturating_sub(header))
    }
}

fn is_instance(instance: &Obj, class: *mut py::PyTypeObject) -> bool {
    // SAFETY: both types are alive.
    unsafe { py::PyType_IsSubtype(instance.type_ptr(), class) != 0 }
}

impl Field {
    /// The one field of `instance` that holds exactly `value`; nothing if there is none, or if
    /// there are several.
    pub fn holding(instance: &Obj, value: &Obj) -> Option<Self> {
        let class = instance.type_ptr();
        let wanted = value.as_ptr().addr().to_ne_bytes();
        let width = size_of::<*mut ()>();
        let mut found = body(instance, class)
            .chunks_exact(width)
            .enumerate()
            .filter(|(_, word)| *word == wanted)
            .map(|(index, _)| size_of::<py::PyObject>() + index * width);
        let offset = found.next()?;
        found.next().is_none().then_some(Self { offset, class })
    }

    fn place(self, instance: &Obj) -> Option<*mut *mut py::PyObject> {
        // SAFETY: within the base's part of the instance.
        is_instance(instance, self.class)
            .then(|| unsafe { instance.as_ptr().byte_add(self.offset) }.cast())
    }

    /// Puts `value` there.
    #[inline]
    pub fn set(self, instance: &Obj, value: Option<Obj>) {
        let Some(place) = self.place(instance) else { return };
        // SAFETY: the field owns what it holds. It has changed when the former object goes,
        // whose finalizer may look at it.
        unsafe {
            let former = place.read();
            place.write(value.map_or(ptr::null_mut(), Obj::into_ptr));
            py::Py_XDECREF(former);
        }
    }
}

impl ByteField {
    /// The one byte that is 1 in `one` and 0 in `other`, an instance of a base of its class.
    pub fn telling(one: &Obj, other: &Obj) -> Option<Self> {
        let class = other.type_ptr();
        if !is_instance(one, class) {
            return None;
        }
        let bytes = body(one, class).iter().zip(body(other, class));
        let mut found = bytes.enumerate().filter(|(_, pair)| *pair == (&1, &0));
        let (index, _) = found.next()?;
        let offset = size_of::<py::PyObject>() + index;
        found.next().is_none().then_some(Self { offset, class })
    }

    /// Makes it 1.
    #[inline]
    pub fn set(self, instance: &Obj) {
        if is_instance(instance, self.class) {
            // SAFETY: within the base's part of the instance.
            unsafe { instance.as_ptr().cast::<u8>().add(self.offset).write(1) };
        }
    }
}
