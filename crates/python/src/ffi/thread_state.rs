//! What C modules of the interpreter keep in its thread states: objects, and lists of instances.
//!
//! Role: finds where such a thing stands, by having the module's own functions put something
//! there, and reads and writes it from then on without calling them.
//!
//! Invariants: a list's head was found through an instance that the module itself had put into
//! the list, so it stands within the thread state; fields are looked for before the head only, so
//! they do, too. All thread states of a process have one layout. What a field holds it owns. A
//! list owns nothing: the module's own class takes an instance out that dies.
//!
//! Thread: everything is about the thread that calls; the interpreter's lock guards it.

use std::marker::PhantomData;
use std::mem::size_of;
use std::ptr;

use pyo3_ffi as py;

use super::error::PyResult;
use super::native::{NativeType, Py};
use super::object::Obj;

/// Nobody's thread state is larger.
const SIZE_LIMIT: usize = 1 << 16;

#[inline]
fn thread_state() -> *mut usize {
    // SAFETY: the lock is held, so there is one.
    unsafe { py::PyThreadState_GetUnchecked().cast() }
}

/// A field that holds an object or nothing.
#[derive(Debug)]
pub struct ThreadField {
    offset: usize,
}

impl ThreadField {
    /// The one field before the head of `list` that holds exactly `value` now.
    pub fn holding<T>(value: &Obj, list: &ThreadList<T>) -> Option<Self> {
        let width = size_of::<*mut ()>();
        let start = thread_state();
        let mut found = (0..list.head).step_by(width).filter(|offset| {
            // SAFETY: before the list's head, so within the thread state, whose every byte was
            // set when it was made.
            unsafe { start.byte_add(*offset).cast::<*mut py::PyObject>().read() == value.as_ptr() }
        });
        let offset = found.next()?;
        found.next().is_none().then_some(Self { offset })
    }

    #[inline]
    fn place(&self) -> *mut *mut py::PyObject {
        thread_state().wrapping_byte_add(self.offset).cast()
    }

    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: within the thread state.
        unsafe { self.place().read().is_null() }
    }

    /// Whether it holds exactly `value`.
    #[inline]
    pub fn holds(&self, value: &Obj) -> bool {
        // SAFETY: within the thread state.
        unsafe { self.place().read() == value.as_ptr() }
    }

    /// Puts `value` there.
    #[inline]
    pub fn set(&self, value: Option<Obj>) {
        let place = self.place();
        // SAFETY: within the thread state; the field owns what it holds. It has changed when the
        // former object goes, whose finalizer may look at it.
        unsafe {
            let former = place.read();
            place.write(value.map_or(ptr::null_mut(), Obj::into_ptr));
            py::Py_XDECREF(former);
        }
    }
}

/// A ring of nodes: each thread state has a head, and each instance of a class that `T` extends
/// has a node, which is zeroed while the instance is in no list.
#[derive(Debug)]
pub struct ThreadList<T> {
    head: usize,
    node: usize,
    of: PhantomData<fn(&T)>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Node {
    next: *mut Node,
    former: *mut Node,
}

impl<T: NativeType> ThreadList<T> {
    /// The list that `add` puts `instance`, of a class that `T` extends, at the end of, and that
    /// `remove` takes it out of; it is in neither list nor node if that cannot be told.
    pub fn found(
        instance: &Obj,
        add: impl FnOnce() -> PyResult<()>,
        remove: impl FnOnce() -> PyResult<()>,
    ) -> PyResult<Option<Self>> {
        let words = |instance: &Obj| -> Vec<*mut Node> {
            // SAFETY: an instance has its class's size, and every byte of it was set.
            unsafe {
                let size = (*instance.type_ptr()).tp_basicsize.cast_unsigned();
                let start = instance.as_ptr().cast::<*mut Node>();
                (0..size / size_of::<*mut ()>()).map(|index| start.add(index).read()).collect()
            }
        };
        let out = words(instance);
        add()?;
        let within = words(instance);
        let changed: Vec<_> =
            (0..out.len()).filter(|index| out[*index] != within[*index]).collect();
        let start = thread_state();
        let list = match changed[..] {
            // The reference count is the first word, and may change.
            [first, second] if first > 1 && second == first + 1 && out[first].is_null() => {
                let head = within[first].addr().wrapping_sub(start.addr());
                let extends =
                    // SAFETY: both types are alive.
                    unsafe { py::PyType_IsSubtype(T::cell().class(), instance.type_ptr()) != 0 };
                let node = first * size_of::<*mut ()>();
                (extends && head < SIZE_LIMIT).then_some(Self { head, node, of: PhantomData })
            }
            _ => None,
        };
        remove()?;
        Ok(list.filter(|_| words(instance)[2..] == out[2..]))
    }

    /// Puts an instance at the end of this thread's list, unless it is in a list.
    #[inline]
    pub fn add(&self, instance: &Py<T>) {
        // SAFETY: the node is within the instance, the head within the thread state; the nodes of
        // a list are those of live instances.
        unsafe {
            let node = self.node_of(instance);
            if !(*node).next.is_null() {
                return;
            }
            let head = thread_state().byte_add(self.head).cast::<Node>();
            let last = (*head).former;
            node.write(Node { next: head, former: last });
            (*last).next = node;
            (*head).former = node;
        }
    }

    /// Takes an instance out of whatever list it is in.
    #[inline]
    pub fn remove(&self, instance: &Py<T>) {
        // SAFETY: as above.
        unsafe {
            let node = self.node_of(instance);
            let Node { next, former } = node.read();
            if next.is_null() {
                return;
            }
            (*former).next = next;
            (*next).former = former;
            node.write(Node { next: ptr::null_mut(), former: ptr::null_mut() });
        }
    }

    #[inline]
    fn node_of(&self, instance: &Py<T>) -> *mut Node {
        instance.as_obj().as_ptr().wrapping_byte_add(self.node).cast()
    }
}
