//! What CPython calls through the slots of a type: each checks nothing that CPython has
//! checked, turns panics into exceptions, and hands on to the type's own function.

use std::ffi::c_int;
use std::ptr;

use pyo3_ffi as py;

use super::super::args::Args;
use super::super::call::Sent;
use super::super::error::{PyResult, Raised};
use super::super::method;
use super::super::object::Obj;
use super::super::panic;
use super::{NativeType, Py, life};

pub(super) unsafe extern "C" fn construct<T: NativeType>(
    class: *mut py::PyTypeObject,
    _args: *mut py::PyObject,
    _kwargs: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        let Some(make) = T::CONSTRUCT else { return ptr::null_mut() };
        // SAFETY: a live class.
        if unsafe { (*class).tp_flags } & py::Py_TPFLAGS_IS_ABSTRACT != 0 {
            return method::to_ptr(refuse_abstract(class));
        }
        // SAFETY: CPython calls `tp_new` with the type or a subclass.
        let made = make().and_then(|value| unsafe { life::allocate::<T>(class, value) });
        method::to_ptr(made.map(Py::into_obj))
    })
}

/// What `object.__new__()` says of a class with abstract methods.
#[cold]
fn refuse_abstract(class: *mut py::PyTypeObject) -> PyResult<Obj> {
    let nothing = Obj::tuple(&[])?;
    // SAFETY: a live class and an empty tuple; the address of a static. No object comes of it:
    // the class is an abstract one.
    unsafe {
        match py::PyBaseObject_Type.tp_new {
            Some(new) => Obj::from_new(new(class, nothing.as_ptr(), ptr::null_mut())),
            None => Err(Raised::type_error("cannot instantiate an abstract class")),
        }
    }
}

pub(super) unsafe extern "C" fn init<T: NativeType>(
    object: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> c_int {
    panic::guard(-1, || {
        // SAFETY: CPython passes a live instance, a tuple, and a dict or null.
        let done = unsafe {
            Args::with_dict(args, kwargs, |args| match T::INIT {
                Some(init) => init(Py::view(&object), args),
                None => Ok(()),
            })
        };
        done.map_or(-1, |()| 0)
    })
}

pub(super) unsafe extern "C" fn iterator<T: NativeType>(
    object: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        T::ITERATE.map_or(ptr::null_mut(), |make| method::to_ptr(make(this)))
    })
}

pub(super) unsafe extern "C" fn repr<T: NativeType>(
    object: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        T::REPR.map_or(ptr::null_mut(), |repr| method::to_ptr(repr(this)))
    })
}

pub(super) unsafe extern "C" fn call<T: NativeType>(
    object: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        if !kwargs.is_null() {
            // SAFETY: a non-null `kwargs` of `tp_call` is a dict.
            if unsafe { py::PyDict_Size(kwargs) } > 0 {
                return method::to_ptr(Err(Raised::type_error("no keyword arguments expected")));
            }
        }
        // SAFETY: `args` is a tuple, whose items stay alive during the call; the
        // object is a live instance.
        unsafe {
            let items = py::PyTuple_GET_SIZE(args);
            let held: Vec<_> = (0..items).map(|n| py::PyTuple_GET_ITEM(args, n)).collect();
            let args = Args::new(held.as_ptr(), items, ptr::null_mut());
            T::CALL.map_or(ptr::null_mut(), |call| method::to_ptr(call(Py::view(&object), &args)))
        }
    })
}

pub(super) unsafe extern "C" fn awaited<T: NativeType>(
    object: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        let allowed = T::AWAIT.map_or(Ok(()), |check| check(this));
        method::to_ptr(allowed.map(|()| this.as_obj().clone()))
    })
}

pub(super) unsafe extern "C" fn itself(object: *mut py::PyObject) -> *mut py::PyObject {
    // SAFETY: a live object; returns a new reference to it.
    unsafe {
        py::Py_INCREF(object);
        object
    }
}

/// `CO_ITERABLE_COROUTINE`: the code of a generator that `types.coroutine` has made a coroutine.
const ITERABLE_COROUTINE: i64 = 0x100;

/// `iter()` of a coroutine: what `yield from` asks for in a generator-based coroutine, and in all
/// other places a forgotten `await`.
pub(super) unsafe extern "C" fn delegated_to(object: *mut py::PyObject) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance; the frame is borrowed, or null.
        let (this, frame) = unsafe { (Obj::view(&object), py::PyEval_GetFrame()) };
        let delegates = || {
            if frame.is_null() {
                return Ok(false);
            }
            // SAFETY: the frame is that of the caller, which is running.
            let frame = unsafe { Obj::from_borrowed(frame.cast()) };
            let flags = frame.attr(c"f_code")?.attr(c"co_flags")?.to_i64()?;
            Ok(flags & ITERABLE_COROUTINE != 0)
        };
        method::to_ptr(match delegates() {
            Ok(true) => Ok(this.clone()),
            Ok(false) => Err(Raised::type_error("'coroutine' object is not iterable")),
            Err(raised) => Err(raised),
        })
    })
}

pub(super) unsafe extern "C" fn send<T: NativeType>(
    object: *mut py::PyObject,
    value: *mut py::PyObject,
    result: *mut *mut py::PyObject,
) -> py::PySendResult {
    panic::guard(py::PySendResult::PYGEN_ERROR, || {
        let Some(send) = T::SEND else { return py::PySendResult::PYGEN_ERROR };
        // SAFETY: CPython passes live objects and a place for the result.
        unsafe {
            *result = ptr::null_mut();
            match send(Py::view(&object), Obj::view(&value)) {
                Ok(Sent::Yielded(value)) => {
                    *result = value.into_ptr();
                    py::PySendResult::PYGEN_NEXT
                }
                Ok(Sent::Returned(value)) => {
                    *result = value.into_ptr();
                    py::PySendResult::PYGEN_RETURN
                }
                Err(_) => py::PySendResult::PYGEN_ERROR,
            }
        }
    })
}

pub(super) unsafe extern "C" fn next<T: NativeType>(
    object: *mut py::PyObject,
) -> *mut py::PyObject {
    panic::guard(ptr::null_mut(), || {
        let Some(send) = T::SEND else { return ptr::null_mut() };
        // SAFETY: called with a live instance.
        let this = unsafe { Py::view(&object) };
        match send(this, &Obj::none()) {
            // No value and no exception: the end, with `None`.
            Ok(Sent::Returned(value)) if value.is_none() => ptr::null_mut(),
            sent => method::to_ptr(sent_or_stop(sent)),
        }
    })
}

pub(super) unsafe extern "C" fn set_attribute<T: NativeType>(
    object: *mut py::PyObject,
    name: *mut py::PyObject,
    value: *mut py::PyObject,
) -> c_int {
    panic::guard(-1, || {
        // SAFETY: CPython passes live objects; a null value means `del`.
        unsafe {
            let status = py::PyObject_GenericSetAttr(object, name, value);
            if status == 0
                && let Some(assigned) = T::ASSIGNED
            {
                assigned(Py::view(&object), Obj::view(&name));
            }
            status
        }
    })
}

/// What `send()` called as a method returns: the value, or `StopIteration`.
pub fn sent_or_stop(sent: PyResult<Sent>) -> PyResult<Obj> {
    match sent? {
        Sent::Yielded(value) => Ok(value),
        Sent::Returned(value) => Err(Raised::stop_iteration(&value)),
    }
}
