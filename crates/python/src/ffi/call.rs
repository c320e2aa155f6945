//! Calling objects, by vectorcall.

use std::ptr;

use pyo3_ffi as py;

use super::error::PyResult;
use super::exit::{self, surviving};
use super::names::Name;
use super::object::Obj;

/// What a coroutine or iterator answered to `send`.
#[derive(Debug)]
pub enum Sent {
    /// It gave a value and waits for the next `send`.
    Yielded(Obj),
    /// It has finished with this value.
    Returned(Obj),
}

impl Obj {
    /// Calls with the arguments `argv[1..]`. `argv[0]` is a spare place that the
    /// callee may use for `self`, which spares it a copy.
    ///
    /// # Safety
    /// `argv[1..]` are live objects that stay alive during the call.
    #[inline]
    unsafe fn vectorcall(&self, argv: &mut [*mut py::PyObject]) -> PyResult<Obj> {
        let nargs = (argv.len() - 1) | py::PY_VECTORCALL_ARGUMENTS_OFFSET;
        // SAFETY: see above; the place before the first argument is ours.
        unsafe {
            let args = argv.as_mut_ptr().add(1);
            Self::from_new(surviving(|| {
                exit::PyObject_Vectorcall(self.as_ptr(), args, nargs, ptr::null_mut())
            }))
        }
    }

    /// `self()`.
    #[inline]
    pub fn call0(&self) -> PyResult<Obj> {
        // SAFETY: no arguments.
        unsafe { Self::from_new(surviving(|| exit::PyObject_CallNoArgs(self.as_ptr()))) }
    }

    /// `self(a)`.
    #[inline]
    pub fn call1(&self, a: &Obj) -> PyResult<Obj> {
        // SAFETY: the borrow keeps the argument alive.
        unsafe { self.vectorcall(&mut [ptr::null_mut(), a.as_ptr()]) }
    }

    /// `self(a, b)`.
    pub fn call2(&self, a: &Obj, b: &Obj) -> PyResult<Obj> {
        // SAFETY: the borrows keep the arguments alive.
        unsafe { self.vectorcall(&mut [ptr::null_mut(), a.as_ptr(), b.as_ptr()]) }
    }

    /// `self(a, b, c)`.
    #[inline]
    pub fn call3(&self, a: &Obj, b: &Obj, c: &Obj) -> PyResult<Obj> {
        // SAFETY: the borrows keep the arguments alive.
        unsafe { self.vectorcall(&mut [ptr::null_mut(), a.as_ptr(), b.as_ptr(), c.as_ptr()]) }
    }

    /// `self(*args)`.
    pub fn call_with(&self, args: &[&Obj]) -> PyResult<Obj> {
        let mut argv: Vec<_> =
            std::iter::once(ptr::null_mut()).chain(args.iter().map(|arg| arg.as_ptr())).collect();
        // SAFETY: the borrows keep the arguments alive.
        unsafe { self.vectorcall(&mut argv) }
    }

    /// `self(*args)` with a tuple.
    pub fn call_tuple(&self, args: &Obj) -> PyResult<Obj> {
        debug_assert!(args.is_tuple(), "CPython does not look");
        // SAFETY: both are alive; the arguments are a tuple, say the callers.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_Call(self.as_ptr(), args.as_ptr(), ptr::null_mut())
            }))
        }
    }

    /// `self.name(*args, keyword=value)`; `keywords` is a tuple of one name.
    pub fn call_method_with<const N: usize>(
        &self,
        name: &Name,
        args: [&Obj; N],
        keywords: &Obj,
        value: &Obj,
    ) -> PyResult<Obj> {
        const MOST: usize = 4;
        const { assert!(N + 2 <= MOST) };
        let mut argv = [ptr::null_mut(); MOST];
        argv[0] = self.as_ptr();
        for (place, arg) in argv[1..].iter_mut().zip(args) {
            *place = arg.as_ptr();
        }
        argv[N + 1] = value.as_ptr();
        // SAFETY: the borrows keep everything alive; one value goes with the one
        // keyword.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_VectorcallMethod(
                    name.as_obj().as_ptr(),
                    argv.as_ptr(),
                    N + 1,
                    keywords.as_ptr(),
                )
            }))
        }
    }

    /// `self(positional, name=value, …)`, one positional argument and keywords
    /// whose names are a tuple of strings.
    pub fn call_keywords<const N: usize>(
        &self,
        positional: Option<&Obj>,
        names: &Obj,
        values: [&Obj; N],
    ) -> PyResult<Obj> {
        const MOST: usize = 8;
        const { assert!(N + 2 <= MOST) };
        let mut argv = [ptr::null_mut(); MOST];
        let nargs = usize::from(positional.is_some());
        if let Some(positional) = positional {
            argv[1] = positional.as_ptr();
        }
        for (index, value) in values.iter().enumerate() {
            argv[1 + nargs + index] = value.as_ptr();
        }
        debug_assert_eq!(names.len().ok(), Some(N));
        // SAFETY: the borrows keep the arguments alive; the place before the
        // first is spare; there are as many values as names.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_Vectorcall(
                    self.as_ptr(),
                    argv.as_ptr().add(1),
                    nargs | py::PY_VECTORCALL_ARGUMENTS_OFFSET,
                    names.as_ptr(),
                )
            }))
        }
    }

    /// `self(*args, **kwargs)` with a dict of keywords.
    pub fn call_dict(&self, args: &[&Obj], kwargs: &Obj) -> PyResult<Obj> {
        let argv: Vec<_> = args.iter().map(|arg| arg.as_ptr()).collect();
        // SAFETY: the borrows keep everything alive; `kwargs` is a dict or the
        // call raises.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_VectorcallDict(
                    self.as_ptr(),
                    argv.as_ptr(),
                    argv.len(),
                    kwargs.as_ptr(),
                )
            }))
        }
    }

    /// `self.name()`.
    #[inline]
    pub fn call_method0(&self, name: &Name) -> PyResult<Obj> {
        Self::call_method(name, &[self.as_ptr()])
    }

    /// `self.name(a)`.
    #[inline]
    pub fn call_method1(&self, name: &Name, a: &Obj) -> PyResult<Obj> {
        Self::call_method(name, &[self.as_ptr(), a.as_ptr()])
    }

    /// `self.name(a, b)`.
    #[inline]
    pub fn call_method2(&self, name: &Name, a: &Obj, b: &Obj) -> PyResult<Obj> {
        Self::call_method(name, &[self.as_ptr(), a.as_ptr(), b.as_ptr()])
    }

    #[inline]
    fn call_method(name: &Name, argv: &[*mut py::PyObject]) -> PyResult<Obj> {
        // SAFETY: private, called with live arguments that the callers' borrows
        // keep alive; no spare place is promised.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_VectorcallMethod(
                    name.as_obj().as_ptr(),
                    argv.as_ptr(),
                    argv.len(),
                    ptr::null_mut(),
                )
            }))
        }
    }

    /// `self.throw(exception)`: what a coroutine answers to an exception. `throw`
    /// is the interned name.
    pub fn throw(&self, throw: &Name, exception: &Obj) -> PyResult<Sent> {
        match self.call_method1(throw, exception) {
            Ok(yielded) => Ok(Sent::Yielded(yielded)),
            Err(raised) => raised.into_return_value().map(Sent::Returned),
        }
    }

    /// Sends a value into an iterator or coroutine.
    pub fn send(&self, value: &Obj) -> PyResult<Sent> {
        let mut result = ptr::null_mut();
        // SAFETY: both are alive; `result` takes a new reference or null.
        let status = unsafe {
            surviving(|| exit::PyIter_Send(self.as_ptr(), value.as_ptr(), &raw mut result))
        };
        // SAFETY: null exactly with an exception set.
        let result = unsafe { Self::from_new(result) }?;
        Ok(match status {
            py::PySendResult::PYGEN_NEXT => Sent::Yielded(result),
            _ => Sent::Returned(result),
        })
    }
}
