//! Handles: what `call_soon` and its kin return.
//!
//! Role: a callback with its arguments and context, native behind
//! `asyncio.Handle`, so `isinstance` holds and the cold parts (`repr`,
//! comparisons) are the interpreter's own. What all kinds share is in `core`;
//! timers and the handles of `call_soon_threadsafe` have files of their own.
//!
//! Thread: made by any thread that holds the lock, run by the loop's.

mod core;
#[cfg(Py_3_14)]
mod threadsafe;
mod timer;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::native::trim_pool;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Visitor};

pub use self::core::Core;
#[cfg(Py_3_14)]
pub use threadsafe::ThreadSafeHandle;
pub use timer::TimerHandle;

/// Who runs a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunBy {
    /// The loop, with the reference that its queue had.
    Queue,
    /// Whoever has called `_run()`.
    Hand,
}

/// A type that has a [`Core`]: all kinds share their methods through it.
pub trait HasCore: NativeType {
    /// The shared part.
    fn core(&self) -> &Core;

    /// Waits until no other thread is running the callback.
    fn settle(&self) {}

    /// Cancels the callback.
    fn cancel(this: &Py<Self>) -> PyResult<()> {
        this.settle();
        this.core().cancel(this.as_obj())
    }

    /// Runs the callback, for `_run()`.
    fn run(this: &Py<Self>) -> PyResult<()> {
        let event_loop = this.core().event_loop.get_or_none();
        match Py::<NativeLoop>::from_instance(&event_loop) {
            Some(event_loop) => event_loop.run_handle(this.as_obj(), this.core(), RunBy::Hand),
            None => Ok(()), // The collector has emptied it.
        }
    }
}

fn methods<T: HasCore>() -> Methods<T> {
    Methods::new()
        .noargs(c"cancelled", c"Return True if the callback was cancelled.", |this: &Py<T>| {
            this.settle();
            Ok(this.core().is_cancelled())
        })
        .noargs(
            c"cancel",
            c"Cancel the callback; it will not run. No effect when it has run or was cancelled.",
            T::cancel,
        )
        .noargs(
            c"get_context",
            c"Return the contextvars.Context the callback runs in.",
            |this: &Py<T>| this.core().context(),
        )
        .noargs(
            c"_run",
            c"Run the callback; report what it raises to the loop's exception handler.",
            T::run,
        )
}

fn properties<T: HasCore>() -> Properties<T> {
    Properties::new()
        .slot(c"_callback", |this: &Py<T>| &this.core().callback)
        .get_set(
            c"_args",
            |this: &Py<T>| this.core().args_tuple(),
            |this: &Py<T>, value: &Obj| {
                this.core().set_args(value);
                Ok(())
            },
        )
        .get_set(
            c"_context",
            |this: &Py<T>| this.core().context(),
            |this: &Py<T>, value: &Obj| {
                this.core().set_context(value);
                Ok(())
            },
        )
        .get_set(
            c"_cancelled",
            |this: &Py<T>| Ok(this.core().is_cancelled()),
            |this: &Py<T>, value: &Obj| {
                this.core().cancelled.set(value.is_true()?);
                Ok(())
            },
        )
        .slot(c"_source_traceback", |this: &Py<T>| &this.core().source_traceback)
        .slot(c"_repr", |this: &Py<T>| &this.core().repr)
        .get(c"_loop", |this: &Py<T>| Ok(this.core().event_loop.get()))
}

/// What `call_soon` returns.
#[derive(Debug)]
pub struct Handle(pub Core);

static HANDLE: TypeCell = TypeCell::new();

impl HasCore for Handle {
    #[inline]
    fn core(&self) -> &Core {
        &self.0
    }
}

impl NativeType for Handle {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.Handle";
    const DOC: &'static std::ffi::CStr =
        c"A callback scheduled by call_soon(). See asyncio.Handle.";
    const POOL: usize = 16_384;

    fn cell() -> &'static TypeCell {
        &HANDLE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.0.traverse(visitor);
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn methods() -> Methods<Self> {
        methods()
    }

    fn properties() -> Properties<Self> {
        properties()
    }
}

/// Gives back some of the memory that a burst has left: called when a loop goes to sleep.
pub fn trim_pools() {
    trim_pool::<Handle>();
    trim_pool::<TimerHandle>();
    #[cfg(Py_3_14)]
    trim_pool::<ThreadSafeHandle>();
}

/// A foreign handle (asyncio's own, or what behaves like one): whether it was
/// cancelled.
pub fn foreign_is_cancelled(handle: &Obj) -> PyResult<bool> {
    handle.getattr(&names()._cancelled)?.is_true()
}

/// The arguments of `call_soon`-like functions: callback, its arguments, and
/// the context.
#[inline]
pub fn parse<'a>(
    function: &str,
    args: &Args<'a>,
) -> PyResult<(&'a Obj, &'a [Obj], Option<&'a Obj>)> {
    let ([callback], rest, context) =
        args.leading(function, [&names().callback], &names().context)?;
    Ok((callback, rest, context))
}
