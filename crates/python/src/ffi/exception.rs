//! Exception objects: kinds, tracebacks, chains.

use std::ptr;

use pyo3_ffi as py;

use super::error::{PyResult, Raised, builtin};
use super::object::Obj;

/// `RuntimeError(message)`, not raised.
pub fn runtime_error(message: &str) -> PyResult<Obj> {
    builtin(&raw const py::PyExc_RuntimeError).call1(&Obj::str(message)?)
}

impl Obj {
    /// Whether this is a class of exceptions.
    pub fn is_exception_class(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyExceptionClass_Check(self.as_ptr()) != 0 }
    }

    /// Whether this is an exception.
    pub fn is_exception(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyExceptionInstance_Check(self.as_ptr()) != 0 }
    }

    /// Whether this is a `StopIteration`.
    pub fn is_stop_iteration(&self, exactly: bool) -> bool {
        let class = builtin(&raw const py::PyExc_StopIteration);
        // SAFETY: both types are alive.
        self.is_exactly(class)
            || (!exactly
                && unsafe { py::PyType_IsSubtype(self.type_ptr(), class.as_ptr().cast()) == 1 })
    }

    /// Whether this is a `KeyboardInterrupt` or `SystemExit`.
    pub fn escapes_loop(&self) -> bool {
        [&raw const py::PyExc_KeyboardInterrupt, &raw const py::PyExc_SystemExit].iter().any(
            |class| {
                let class = builtin(*class);
                // SAFETY: both types are alive.
                unsafe { py::PyType_IsSubtype(self.type_ptr(), class.as_ptr().cast()) == 1 }
            },
        )
    }

    /// `self.__traceback__` of an exception, nothing for `None`.
    pub fn traceback(&self) -> Option<Obj> {
        // SAFETY: called with exceptions only; new reference or null without error.
        unsafe { Self::from_new_or_none(py::PyException_GetTraceback(self.as_ptr())) }
    }

    /// `self.__traceback__ = traceback` of an exception.
    pub fn set_traceback(&self, traceback: Option<&Obj>) -> PyResult<()> {
        let none = Obj::none();
        let traceback = traceback.unwrap_or(&none);
        // SAFETY: both are alive.
        Raised::check(unsafe { py::PyException_SetTraceback(self.as_ptr(), traceback.as_ptr()) })
            .map(drop)
    }

    /// Runs `body` as in an `except` clause for this exception, which `sys.exc_info()` tells then.
    pub fn while_handled<R>(&self, body: impl FnOnce() -> R) -> R {
        // SAFETY: an exception; what was handled before comes as a new reference or null, and is
        // given back.
        unsafe {
            let before = py::PyErr_GetHandledException();
            py::PyErr_SetHandledException(self.as_ptr());
            let result = body();
            py::PyErr_SetHandledException(before);
            py::Py_XDECREF(before);
            result
        }
    }

    /// `raise self from cause`, without raising.
    pub fn set_cause(&self, cause: &Obj) {
        // SAFETY: both are exceptions; each call takes a reference over.
        unsafe {
            py::PyException_SetCause(self.as_ptr(), cause.clone().into_ptr());
            py::PyException_SetContext(self.as_ptr(), cause.clone().into_ptr());
        }
    }

    /// `self.__context__ = context`, without raising.
    pub fn set_context(&self, context: &Obj) {
        // SAFETY: both are exceptions; the call takes a reference over.
        unsafe { py::PyException_SetContext(self.as_ptr(), context.clone().into_ptr()) };
    }

    /// `str(self)`.
    pub fn to_str(&self) -> PyResult<Obj> {
        // SAFETY: the object is alive; new reference or null with an exception.
        unsafe { Self::from_new(py::PyObject_Str(self.as_ptr())) }
    }

    /// Whether this is a str and of no subclass.
    pub fn is_exact_str(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyUnicode_CheckExact(self.as_ptr()) != 0 }
    }

    /// Whether this is a coroutine of an `async def` function.
    #[inline]
    pub fn is_coroutine_object(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyCoro_CheckExact(self.as_ptr()) != 0 }
    }

    /// Whether this is a generator.
    pub fn is_generator(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyGen_CheckExact(self.as_ptr()) != 0 }
    }

    unsafe fn from_new_or_none(object: *mut py::PyObject) -> Option<Obj> {
        if object.is_null() {
            return None;
        }
        // SAFETY: a new reference, says the caller.
        unsafe { Self::from_new(object) }.ok()
    }
}

/// What `throw(class_or_exception, value, traceback)` of an iterator raises.
pub fn thrown(first: &Obj, value: Option<&Obj>, traceback: Option<&Obj>) -> Raised {
    if let Some(traceback) = traceback {
        // SAFETY: the object is alive.
        if unsafe { py::PyTraceBack_Check(traceback.as_ptr()) } == 0 {
            return Raised::type_error("throw() third argument must be a traceback");
        }
    }
    if first.is_exception_class() {
        // SAFETY: both are alive, or the value is null; the class is one of
        // exceptions. Taking the exception out makes it an instance.
        unsafe { py::PyErr_SetObject(first.as_ptr(), value.map_or(ptr::null_mut(), Obj::as_ptr)) };
        let exception = Raised::already_set().take();
        if traceback.is_some()
            && let Err(raised) = exception.set_traceback(traceback)
        {
            return raised;
        }
        return Raised::restore(exception);
    }
    if !first.is_exception() {
        return Raised::type_error(
            "exceptions must be classes deriving BaseException or instances of such a class",
        );
    }
    if value.is_some() {
        return Raised::type_error("instance exception may not have a separate value");
    }
    if let Some(traceback) = traceback
        && let Err(raised) = first.set_traceback(Some(traceback))
    {
        return raised;
    }
    Raised::restore(first.clone())
}
