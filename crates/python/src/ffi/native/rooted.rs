//! [`Rooted`]: a reference from something that is alive anyway.
//!
//! The collector goes through every object that it knows, again and again; a million that
//! wait cost more in its visits than in everything else that is done with them. What is
//! alive because a root holds it (a running loop, say) need not be visited: the instance
//! is made unknown to the collector, which takes whatever it holds for alive.
//!
//! Invariant: an instance that the collector does not know is held by a [`Rooted`], or is
//! about to be let go of by all. A `Rooted` that ends while others hold the instance makes
//! it known; whoever owns a `Rooted` and stops being a root calls [`Rooted::leave_root`].

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;

use pyo3_ffi as py;

use super::super::error::PyResult;
use super::{NativeType, Py, life};

/// A reference from a root, or from what may become one.
#[derive(Debug)]
pub struct Rooted<T: NativeType>(ManuallyDrop<Py<T>>);

impl<T: NativeType> Rooted<T> {
    /// Makes an instance of exactly the native type that the collector does not know.
    #[inline]
    pub fn new(value: T) -> PyResult<Self> {
        // SAFETY: the type is complete.
        unsafe { life::make_untracked(value) }.map(Self::from)
    }

    /// Makes the instance known to the collector.
    #[inline]
    pub fn leave_root(&self) {
        let object = self.as_obj().as_ptr();
        // SAFETY: a live and complete instance, whose memory has the collector's header.
        unsafe {
            if py::PyObject_GC_IsTracked(object) == 0 {
                py::PyObject_GC_Track(object.cast());
            }
        }
    }

    /// The reference as an address, as from `Obj::into_address`.
    #[inline]
    pub fn into_address(self) -> ptr::NonNull<()> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used again, and not dropped.
        unsafe { ManuallyDrop::take(&mut this.0) }.into_obj().into_address()
    }

    /// Takes a reference back that was given away as an address.
    ///
    /// # Safety
    /// The address comes from [`Rooted::into_address`] of an instance of `T`, and is taken
    /// back once.
    #[inline]
    pub unsafe fn from_address(address: ptr::NonNull<()>) -> Self {
        // SAFETY: says the caller.
        Self::from(unsafe { Py::from_address(address) })
    }
}

impl<T: NativeType> From<Py<T>> for Rooted<T> {
    #[inline]
    fn from(instance: Py<T>) -> Self {
        Self(ManuallyDrop::new(instance))
    }
}

impl<T: NativeType> Deref for Rooted<T> {
    type Target = Py<T>;

    #[inline]
    fn deref(&self) -> &Py<T> {
        &self.0
    }
}

impl<T: NativeType> Drop for Rooted<T> {
    #[inline]
    fn drop(&mut self) {
        if self.as_obj().reference_count() > 1 {
            self.leave_root();
        }
        // SAFETY: once, at the end.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
