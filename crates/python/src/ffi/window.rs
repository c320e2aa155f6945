//! [`Window`]: memory of ours that C functions of other modules fill and read.
//!
//! Role: a Python object with a buffer, for calls such as `recv_into(window)`. What of the
//! memory it shows is set before each call, so that filling it piece by piece makes no
//! slices.
//!
//! Ownership: the object owns its memory for as long as anybody refers to it. Who was lent it
//! and has kept it (no C function does, a program's stand-in for one may) can neither see
//! memory that is freed nor be written over: `is_free` says no, and its user makes another one.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::gil::Global;
use super::object::Obj;

#[repr(C)]
struct Memory {
    head: py::PyObject,
    data: *mut u8,
    capacity: usize,
    /// What is shown: from here,
    start: usize,
    /// to here.
    end: usize,
    /// How many views there are.
    views: usize,
}

/// Memory, a part of which others see as a buffer.
#[derive(Debug)]
pub struct Window(Obj);

static CLASS: Global<Obj> = Global::new();

unsafe extern "C" fn show(
    object: *mut py::PyObject,
    view: *mut py::Py_buffer,
    flags: c_int,
) -> c_int {
    let memory = object.cast::<Memory>();
    // SAFETY: CPython calls with an instance; start and end lie inside the memory.
    unsafe {
        let len = ((*memory).end - (*memory).start).cast_signed();
        let from = (*memory).data.add((*memory).start).cast::<c_void>();
        let status = py::PyBuffer_FillInfo(view, object, from, len, 0, flags);
        (*memory).views += usize::from(status == 0);
        status
    }
}

unsafe extern "C" fn unshow(object: *mut py::PyObject, _view: *mut py::Py_buffer) {
    // SAFETY: CPython calls with an instance, once for each view.
    unsafe { (*object.cast::<Memory>()).views -= 1 };
}

unsafe extern "C" fn dealloc(object: *mut py::PyObject) {
    let memory = object.cast::<Memory>();
    // SAFETY: the last reference has gone, so no view is left. The memory is the boxed slice
    // that `new` has taken apart, or null.
    unsafe {
        let class = py::Py_TYPE(object);
        if !(*memory).data.is_null() {
            let slice = ptr::slice_from_raw_parts_mut((*memory).data, (*memory).capacity);
            drop(Box::from_raw(slice));
        }
        if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        py::Py_DECREF(class.cast());
    }
}

fn class() -> PyResult<&'static Obj> {
    if CLASS.try_get().is_none() {
        let mut slots = [
            (py::Py_tp_dealloc, dealloc as *mut c_void),
            (py::Py_bf_getbuffer, show as *mut c_void),
            (py::Py_bf_releasebuffer, unshow as *mut c_void),
            (0, ptr::null_mut()),
        ]
        .map(|(slot, pfunc)| py::PyType_Slot { slot, pfunc });
        let flags = py::Py_TPFLAGS_DEFAULT | py::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        let mut spec = py::PyType_Spec {
            name: c"batuta._batuta.Window".as_ptr(),
            basicsize: c_int::try_from(size_of::<Memory>()).unwrap_or(c_int::MAX),
            itemsize: 0,
            flags: flags.try_into().unwrap_or(0),
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: spec and slots are complete, and copied.
        CLASS.set(unsafe { Obj::from_new(py::PyType_FromSpec(&raw mut spec)) }?);
    }
    Ok(CLASS.get())
}

impl Window {
    /// So many bytes, all zero.
    pub fn new(capacity: usize) -> PyResult<Self> {
        let class = class()?;
        // SAFETY: the class has an allocator, which zeroes; the fields are then written before
        // anybody else sees the object.
        unsafe {
            let object = py::PyType_GenericAlloc(class.as_ptr().cast(), 0);
            let object = Obj::from_new(object)?;
            let memory = object.as_ptr().cast::<Memory>();
            (*memory).data = Box::into_raw(vec![0u8; capacity].into_boxed_slice()).cast();
            (*memory).capacity = capacity;
            Ok(Self(object))
        }
    }

    fn memory(&self) -> *mut Memory {
        self.0.as_ptr().cast()
    }

    /// Whether nobody else has it.
    fn is_free(&self) -> bool {
        // SAFETY: the object is alive.
        self.0.reference_count() == 1 && unsafe { (*self.memory()).views == 0 }
    }

    /// The object, showing the bytes from `start` to `end`, for one call.
    pub fn showing(&self, start: usize, end: usize) -> &Obj {
        // SAFETY: the object is alive; both are kept inside the memory, in order.
        unsafe {
            let memory = self.memory();
            (*memory).end = end.min((*memory).capacity);
            (*memory).start = start.min((*memory).end);
        }
        &self.0
    }

    /// Has the object show other memory while `body` runs, to be filled by one C function,
    /// which gives each view back before it returns.
    pub fn over<R>(
        &self,
        place: &mut [MaybeUninit<u8>],
        body: impl FnOnce(&Self) -> PyResult<R>,
    ) -> PyResult<R> {
        struct Own(*mut Memory, *mut u8, usize);
        impl Drop for Own {
            fn drop(&mut self) {
                // SAFETY: the window is alive; its own memory comes back, also after a panic.
                unsafe {
                    (*self.0).data = self.1;
                    (*self.0).capacity = self.2;
                    (*self.0).end = 0;
                    (*self.0).start = 0;
                }
            }
        }
        if !self.is_free() {
            return Err(Raised::runtime_error("somebody else has kept this memory"));
        }
        // SAFETY: the window is alive, and nobody else has it.
        let own = unsafe {
            let memory = self.memory();
            let own = Own(memory, (*memory).data, (*memory).capacity);
            (*memory).data = place.as_mut_ptr().cast();
            (*memory).capacity = place.len();
            own
        };
        let result = body(self);
        drop(own);
        result
    }

    /// Lends the first `len` bytes to `look`, which runs no Python code.
    pub fn look<R>(&self, len: usize, look: impl FnOnce(&[u8]) -> R) -> R {
        // SAFETY: alive and initialised; no C function that writes there is under way.
        unsafe {
            let memory = self.memory();
            look(std::slice::from_raw_parts((*memory).data, len.min((*memory).capacity)))
        }
    }

    /// Lends the first `len` bytes to `fill`, which runs no Python code.
    pub fn fill<R>(&self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> PyResult<R> {
        if !self.is_free() {
            return Err(Raised::runtime_error("somebody else has kept this memory"));
        }
        // SAFETY: as above, and nobody else looks at it.
        unsafe {
            let memory = self.memory();
            Ok(fill(std::slice::from_raw_parts_mut((*memory).data, len.min((*memory).capacity))))
        }
    }
}

/// A window that is used again and again.
#[derive(Default)]
pub struct Spare(Cell<Option<Window>>);

impl std::fmt::Debug for Spare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}

impl Spare {
    /// Takes it out, if there is one.
    pub fn take(&self) -> Option<Window> {
        self.0.take()
    }

    /// Puts one in.
    pub fn put(&self, window: Window) {
        self.0.set(Some(window));
    }

    /// Lends a window of `capacity` bytes, always the same if nobody else has it.
    #[inline]
    pub fn with<R>(
        &self,
        capacity: usize,
        body: impl FnOnce(&Window) -> PyResult<R>,
    ) -> PyResult<R> {
        let window = match self.0.take().filter(Window::is_free) {
            Some(window) => window,
            None => Window::new(capacity)?,
        };
        let result = body(&window);
        self.0.set(Some(window));
        result
    }
}
