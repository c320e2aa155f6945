//! Exceptions: [`Raised`] says that one is set in the thread state.

use std::ffi::{CString, c_int};

use pyo3_ffi as py;

use super::object::Obj;

/// Marks that an exception is set in the thread state. Made only where that is
/// so; whoever holds it must return it to CPython or consume it.
#[must_use]
#[derive(Debug)]
pub struct Raised(());

/// What fails as CPython functions fail.
pub type PyResult<T> = Result<T, Raised>;

/// Looks at one of the interpreter's own exception classes.
pub fn builtin(place: *const *mut py::PyObject) -> &'static Obj {
    // SAFETY: called with the address of a `PyExc_*` static only, which is set
    // before any extension loads and lives as long as the interpreter.
    unsafe { Obj::view(&*place) }
}

/// `RuntimeError`.
pub fn runtime_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_RuntimeError)
}

/// `Exception`.
pub fn exception_class() -> &'static Obj {
    builtin(&raw const py::PyExc_Exception)
}

/// `ImportError`.
pub fn import_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_ImportError)
}

/// `OSError`.
pub fn os_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_OSError)
}

/// `BrokenPipeError`.
pub fn broken_pipe_class() -> &'static Obj {
    builtin(&raw const py::PyExc_BrokenPipeError)
}

/// `GeneratorExit`.
pub fn generator_exit_class() -> &'static Obj {
    builtin(&raw const py::PyExc_GeneratorExit)
}

/// `StopIteration`.
pub fn stop_iteration_class() -> &'static Obj {
    builtin(&raw const py::PyExc_StopIteration)
}

/// `ValueError`.
pub fn value_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_ValueError)
}

/// `IndexError`.
pub fn index_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_IndexError)
}

/// `AssertionError`.
pub fn assertion_error_class() -> &'static Obj {
    builtin(&raw const py::PyExc_AssertionError)
}

/// `NotImplementedError`.
pub fn not_implemented_class() -> &'static Obj {
    builtin(&raw const py::PyExc_NotImplementedError)
}

/// `ConnectionResetError`.
pub fn connection_reset_class() -> &'static Obj {
    builtin(&raw const py::PyExc_ConnectionResetError)
}

/// `StopAsyncIteration`.
pub fn stop_async_iteration_class() -> &'static Obj {
    builtin(&raw const py::PyExc_StopAsyncIteration)
}

/// Warns of a resource that nobody has closed, `source`.
pub fn resource_warning(source: &Obj, message: &Obj) -> PyResult<()> {
    // SAFETY: the format takes one object, which is alive.
    let status =
        unsafe { py::PyErr_ResourceWarning(source.as_ptr(), 1, c"%U".as_ptr(), message.as_ptr()) };
    Raised::check(status).map(drop)
}

/// Warns of what a program does at run time.
pub fn runtime_warning(message: &str) -> PyResult<()> {
    let message = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
    // SAFETY: the class is a static, the message a C string.
    let status = unsafe { py::PyErr_WarnEx(py::PyExc_RuntimeWarning, message.as_ptr(), 1) };
    Raised::check(status).map(drop)
}

/// Warns of something that Python will take away.
#[cfg(Py_3_12)]
pub fn deprecation_warning(message: &std::ffi::CStr) -> PyResult<()> {
    // SAFETY: the class is a static, the message a C string.
    let status = unsafe { py::PyErr_WarnEx(py::PyExc_DeprecationWarning, message.as_ptr(), 1) };
    Raised::check(status).map(drop)
}

macro_rules! raise_functions {
    ($($name:ident => $class:ident),* $(,)?) => {$(
        #[doc = concat!("Raises `", stringify!($class), "` with a message.")]
        #[cold]
        pub fn $name(message: &str) -> Raised {
            Self::with_message(builtin(&raw const py::$class), message)
        }
    )*};
}

#[expect(clippy::unused_self, reason = "having the marker is what allows the call")]
impl Raised {
    raise_functions! {
        type_error => PyExc_TypeError,
        overflow_error => PyExc_OverflowError,
        value_error => PyExc_ValueError,
        runtime_error => PyExc_RuntimeError,
        attribute_error => PyExc_AttributeError,
        import_error => PyExc_ImportError,
        connection_error => PyExc_ConnectionError,
        assertion_error => PyExc_AssertionError,
    }

    /// The collector has taken apart what a coroutine works on.
    #[cold]
    pub fn gone() -> Self {
        Self::runtime_error("the coroutine's objects are gone")
    }

    /// An exception is set already, by the CPython call that just failed.
    #[cold]
    pub fn already_set() -> Self {
        debug_assert!(Self::is_set(), "a failing CPython call sets an exception");
        Self(())
    }

    /// Whether an exception is set.
    pub fn is_set() -> bool {
        // SAFETY: reads the thread state, lock held.
        unsafe { !py::PyErr_Occurred().is_null() }
    }

    /// Turns CPython's `-1` into an error.
    #[inline]
    pub fn check(status: c_int) -> PyResult<c_int> {
        if status == -1 { Err(Self::already_set()) } else { Ok(status) }
    }

    /// Raises `class(message)`.
    #[cold]
    pub fn with_message(class: &Obj, message: &str) -> Self {
        let message = CString::new(message.replace('\0', "\\0")).unwrap_or_default();
        // SAFETY: the class is alive; the message is copied.
        unsafe { py::PyErr_SetString(class.as_ptr(), message.as_ptr()) };
        Self(())
    }

    /// Raises `OSError(errno, strerror)`, of the subclass that fits.
    #[cold]
    pub fn os_error(errno: rustix::io::Errno) -> Self {
        let class = builtin(&raw const py::PyExc_OSError);
        let text = std::io::Error::from(errno).to_string();
        // Rust appends " (os error N)"; CPython's strerror text stands alone.
        let text = text.rsplit_once('(').map_or(text.as_str(), |(text, _)| text.trim_end());
        let made = Obj::int(i64::from(errno.raw_os_error()))
            .and_then(|number| Ok((number, Obj::str(text)?)))
            .and_then(|(number, text)| class.call2(&number, &text));
        match made {
            Ok(exception) => Self::raise(&exception),
            Err(raised) => raised,
        }
    }

    /// Raises an exception object.
    pub fn raise(exception: &Obj) -> Self {
        // SAFETY: both are alive.
        unsafe { py::PyErr_SetObject(exception.type_ptr().cast(), exception.as_ptr()) };
        Self(())
    }

    /// Takes the exception out of the thread state, with its traceback.
    pub fn take(self) -> Obj {
        // SAFETY: an exception is set (that is what `Raised` means); what comes
        // out are new references, and a null value cannot be after normalising.
        #[cfg(Py_3_12)]
        let taken = unsafe { Obj::from_new(py::PyErr_GetRaisedException()) };
        #[cfg(not(Py_3_12))]
        // SAFETY: as above.
        let taken = unsafe {
            let (mut class, mut value, mut traceback) =
                (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            py::PyErr_Fetch(&raw mut class, &raw mut value, &raw mut traceback);
            py::PyErr_NormalizeException(&raw mut class, &raw mut value, &raw mut traceback);
            if !traceback.is_null() && !value.is_null() {
                py::PyException_SetTraceback(value, traceback);
            }
            py::Py_XDECREF(class);
            py::Py_XDECREF(traceback);
            Obj::from_new(value)
        };
        taken.unwrap_or_else(|_| Obj::none())
    }

    /// Puts an exception back that was taken out, keeping its traceback.
    pub fn restore(exception: Obj) -> Self {
        #[cfg(Py_3_12)]
        // SAFETY: gives the reference away.
        unsafe {
            py::PyErr_SetRaisedException(exception.into_ptr());
        }
        #[cfg(not(Py_3_12))]
        // SAFETY: gives three references away, of which the traceback may be null.
        unsafe {
            let class = exception.class().into_ptr();
            let traceback = py::PyException_GetTraceback(exception.as_ptr());
            py::PyErr_Restore(class, exception.into_ptr(), traceback);
        }
        Self(())
    }

    /// Drops the exception.
    pub fn clear(self) {
        // SAFETY: lock held.
        unsafe { py::PyErr_Clear() };
    }

    /// Whether the exception is an instance of `class`.
    pub fn matches(&self, class: &Obj) -> bool {
        // SAFETY: the class is alive.
        unsafe { py::PyErr_ExceptionMatches(class.as_ptr()) == 1 }
    }

    /// Whether a system call had to be put off: `BlockingIOError` or
    /// `InterruptedError`.
    pub fn is_put_off(&self) -> bool {
        self.matches(builtin(&raw const py::PyExc_BlockingIOError))
            || self.matches(builtin(&raw const py::PyExc_InterruptedError))
    }

    /// Takes the exception out if it is an `OSError`, else hands it on.
    pub fn take_os_error(self) -> PyResult<Obj> {
        if self.matches(os_error_class()) { Ok(self.take()) } else { Err(self) }
    }

    /// Whether a connection was given up before it was accepted.
    pub fn is_aborted_connection(&self) -> bool {
        self.matches(builtin(&raw const py::PyExc_ConnectionAbortedError))
    }

    /// The `errno` of an `OSError`.
    pub fn errno(self) -> (Self, Option<rustix::io::Errno>) {
        if !self.matches(os_error_class()) {
            return (self, None);
        }
        let exception = self.take();
        let number = exception.attr(c"errno").and_then(|number| number.to_i64());
        let errno = match number {
            Ok(number) => i32::try_from(number).ok().map(rustix::io::Errno::from_raw_os_error),
            Err(raised) => {
                raised.clear();
                None
            }
        };
        (Self::restore(exception), errno)
    }

    /// Whether it says that an object is not what was expected of it.
    pub fn says_unsuitable(&self) -> bool {
        [
            &raw const py::PyExc_AttributeError,
            &raw const py::PyExc_TypeError,
            &raw const py::PyExc_ValueError,
        ]
        .into_iter()
        .any(|class| self.matches(builtin(class)))
    }

    /// Whether it is one that must leave the loop: `KeyboardInterrupt` or
    /// `SystemExit`.
    pub fn escapes(&self) -> bool {
        self.matches(builtin(&raw const py::PyExc_KeyboardInterrupt))
            || self.matches(builtin(&raw const py::PyExc_SystemExit))
    }

    /// Whether it says that a call would block or was interrupted:
    /// `BlockingIOError` or `InterruptedError`.
    pub fn is_try_again(&self) -> bool {
        self.matches(builtin(&raw const py::PyExc_BlockingIOError))
            || self.matches(builtin(&raw const py::PyExc_InterruptedError))
    }

    /// Raises what was given to a coroutine's `throw()`: an exception or a class
    /// with its value, and a traceback.
    #[cold]
    pub fn thrown(what: &Obj, value: Option<&Obj>, traceback: Option<&Obj>) -> Self {
        let value = value.and_then(Obj::non_none);
        // SAFETY: the object is alive.
        let (is_instance, is_class) = unsafe {
            (
                py::PyExceptionInstance_Check(what.as_ptr()) != 0,
                py::PyExceptionClass_Check(what.as_ptr()) != 0,
            )
        };
        let made = match value {
            Some(_) if is_instance => {
                return Self::type_error("instance exception may not have a separate value");
            }
            None if is_instance => Ok(what.clone()),
            _ if !is_class => {
                return Self::type_error(&format!(
                    "exceptions must be classes or instances deriving from BaseException, not {}",
                    what.type_name()
                ));
            }
            None => what.call0(),
            Some(value) => match value.is_instance(what) {
                Ok(true) => Ok(value.clone()),
                Ok(false) if value.is_tuple() => what.call_tuple(value),
                Ok(false) => what.call1(value),
                Err(raised) => Err(raised),
            },
        };
        let made = made.and_then(|exception| {
            if let Some(traceback) = traceback.and_then(Obj::non_none) {
                exception.set_attr(c"__traceback__", traceback)?;
            }
            Ok(exception)
        });
        match made {
            Ok(exception) => Self::raise(&exception),
            Err(raised) => raised,
        }
    }

    /// Drops the exception if it is an instance of `class`, else hands it on.
    pub fn catch(self, class: &Obj) -> PyResult<()> {
        if self.matches(class) {
            self.clear();
            Ok(())
        } else {
            Err(self)
        }
    }

    /// The value of a `StopIteration`, which is how iterators return; any other
    /// exception is handed on.
    pub fn into_return_value(self) -> PyResult<Obj> {
        if !self.matches(builtin(&raw const py::PyExc_StopIteration)) {
            return Err(self);
        }
        self.take().attr(c"value")
    }

    /// Reports the exception through `sys.unraisablehook`: for places that
    /// have nobody to raise to.
    pub fn unraisable(self, about: &Obj) {
        // SAFETY: an exception is set; the object is alive.
        unsafe { py::PyErr_WriteUnraisable(about.as_ptr()) };
    }
}
