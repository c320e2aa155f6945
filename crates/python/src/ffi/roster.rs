//! [`Roster`]: which objects there are, without owning them.
//!
//! Role: what a `WeakSet` does, for a few instructions: instances of one native type are
//! linked into a list through a [`Link`] of theirs.
//!
//! Ownership: none. A link leaves its list when it is dropped, which is when its object
//! dies.
//!
//! Invariants: a link that is in a list stands inside of a live native object, which does
//! not move; `next` and `previous` are links of the same list, or null at its ends.

use std::cell::Cell;
use std::ptr;

use pyo3_ffi as py;

use super::native::{NativeType, Py};
use super::object::Obj;

/// A list of objects that does not own them.
#[derive(Debug)]
pub struct Roster {
    first: Cell<*const Link>,
}

// SAFETY: touched only under the interpreter's lock, of which there is one.
unsafe impl Sync for Roster {}

/// A native object's place in a roster.
#[derive(Debug)]
pub struct Link {
    roster: Cell<Option<&'static Roster>>,
    object: Cell<*mut py::PyObject>,
    next: Cell<*const Self>,
    previous: Cell<*const Self>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            roster: Cell::new(None),
            object: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
        }
    }
}

impl Drop for Link {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl Link {
    /// Leaves the list, if it is in one.
    #[inline]
    pub fn leave(&self) {
        let Some(roster) = self.roster.take() else { return };
        let (next, previous) = (self.next.get(), self.previous.get());
        // SAFETY: links of the list are alive (see the module's invariants).
        unsafe {
            match previous.as_ref() {
                Some(previous) => previous.next.set(next),
                None => roster.first.set(next),
            }
            if let Some(next) = next.as_ref() {
                next.previous.set(previous);
            }
        }
    }
}

impl Roster {
    /// An empty one.
    pub const fn new() -> Self {
        Self { first: Cell::new(ptr::null()) }
    }

    /// Takes `object` in; `link` says which of its fields is for this. Nothing happens if
    /// that link is in a list already.
    #[inline]
    pub fn add<T: NativeType>(&'static self, object: &Py<T>, link: fn(&T) -> &Link) {
        let link = link(object);
        if link.roster.replace(Some(self)).is_some() {
            return;
        }
        let next = self.first.replace(link);
        link.object.set(object.as_obj().as_ptr());
        link.next.set(next);
        link.previous.set(ptr::null());
        // SAFETY: links of the list are alive.
        if let Some(next) = unsafe { next.as_ref() } {
            next.previous.set(link);
        }
    }

    /// Empties the list; gives its objects.
    pub fn take_all(&self) -> Vec<Obj> {
        let mut objects = Vec::new();
        // SAFETY: the first link of the list is alive; it leaves in each round.
        while let Some(link) = unsafe { self.first.get().as_ref() } {
            link.leave();
            // SAFETY: the object is there as long as its link. One whose last reference
            // has gone already waits for its end and must not come back.
            unsafe {
                if py::Py_REFCNT(link.object.get()) > 0 {
                    objects.push(Obj::from_borrowed(link.object.get()));
                }
            }
        }
        objects
    }
}
