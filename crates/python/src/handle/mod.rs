//! Handles: what `call_soon` and its kin return.
//!
//! Role: a callback with its arguments and context, native behind
//! `asyncio.Handle`, so `isinstance` holds and the cold parts (`repr`,
//! comparisons) are the interpreter's own. [`Core`] is what all kinds share;
//! timers and the handles of `call_soon_threadsafe` have files of their own.
//!
//! Invariant: a cancelled handle holds neither callback nor arguments.
//!
//! Thread: made by any thread that holds the lock, run by the loop's.

#[cfg(Py_3_14)]
mod threadsafe;
mod timer;

use std::cell::Cell;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor, context};

#[cfg(Py_3_14)]
pub use threadsafe::ThreadSafeHandle;
pub use timer::TimerHandle;

/// How large a context is, and how much of an argument is looked at, in bytes.
const CONTEXT_SIZE: usize = 48;
const OBJECT_SIZE: usize = 16;

/// How a handle keeps its arguments: one argument needs no tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arity {
    None,
    One,
    Tuple,
}

/// What both kinds of handle have.
#[derive(Debug)]
pub struct Core {
    callback: Slot,
    args: Slot,
    arity: Cell<Arity>,
    context: Slot,
    event_loop: Slot,
    cancelled: Cell<bool>,
    source_traceback: Slot,
    repr: Slot,
}

impl Core {
    /// A callback to run in `context` (the current one's copy if none is given).
    #[expect(clippy::inline_always, reason = "its parts are written where they stay only so")]
    #[inline(always)]
    pub fn new(
        event_loop: &Py<NativeLoop>,
        callback: &Obj,
        args: &[Obj],
        given: Option<&Obj>,
    ) -> PyResult<Self> {
        let context = match given {
            Some(given) if !given.is_none() => given.clone(),
            _ => context::copy_current()?,
        };
        let (arity, args) = match args {
            [] => (Arity::None, Slot::default()),
            [one] => (Arity::One, Slot::from(one.clone())),
            many => (Arity::Tuple, Slot::from(Obj::tuple(many)?)),
        };
        Ok(Self {
            callback: Slot::from(callback.clone()),
            args,
            arity: Cell::new(arity),
            context: Slot::from(context),
            event_loop: Slot::from(event_loop.as_obj().clone()),
            cancelled: Cell::new(false),
            source_traceback: Slot::default(),
            repr: Slot::default(),
        })
    }

    /// Calls the callback inside its context. Does nothing when cancelled.
    #[inline]
    pub fn run(&self) -> PyResult<()> {
        if self.cancelled.get() {
            return Ok(());
        }
        let (Some(callback), Some(context)) = (self.callback.get(), self.context.get()) else {
            return Ok(());
        };
        context::run_in(&context, || match (self.arity.get(), self.args.get()) {
            (Arity::One, Some(arg)) => callback.call1(&arg),
            (Arity::Tuple, Some(args)) => callback.call_tuple(&args),
            _ => callback.call0(),
        })
        .map(drop)
    }

    /// Has what running it takes fetched into the caches.
    #[inline]
    pub fn prefetch(&self) {
        self.context.prefetch(CONTEXT_SIZE);
        self.args.prefetch(OBJECT_SIZE);
    }

    /// Whether it will not run.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// Notes where it was made, for debug mode.
    pub fn trace(&self) -> PyResult<()> {
        self.source_traceback.set(Some(crate::asyncio::source_traceback()?));
        Ok(())
    }

    /// The callback, if not cancelled.
    pub fn callback(&self) -> Option<Obj> {
        self.callback.get()
    }

    /// The stack of its making, in debug mode.
    pub fn source_traceback(&self) -> Option<Obj> {
        self.source_traceback.get()
    }

    /// The arguments as a tuple, `None` when cancelled.
    pub fn args_tuple(&self) -> PyResult<Obj> {
        match (self.arity.get(), self.args.get()) {
            _ if self.cancelled.get() => Ok(Obj::none()),
            (Arity::One, Some(arg)) => Obj::tuple(&[arg]),
            (Arity::Tuple, Some(args)) => Ok(args),
            _ => Obj::tuple(&[]),
        }
    }

    fn set_args(&self, args: &Obj) {
        self.arity.set(if args.is_none() { Arity::None } else { Arity::Tuple });
        self.args.set(args.non_none().cloned());
    }

    /// Cancels; `this` is the handle itself, whose repr debug mode keeps.
    fn cancel(&self, this: &Obj) -> PyResult<()> {
        if self.cancelled.replace(true) {
            return Ok(());
        }
        let event_loop = self.event_loop.get();
        let event_loop = event_loop.as_ref().and_then(Py::<NativeLoop>::from_instance);
        if event_loop.is_some_and(|event_loop| event_loop.debug.get()) {
            // The repr should still name the callback; "cancelled" comes first.
            let repr = this.attr(c"__repr__")?.call0()?;
            self.repr.set(Some(repr));
        }
        self.callback.set(None);
        self.args.set(None);
        Ok(())
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [
            &self.callback,
            &self.args,
            &self.context,
            &self.event_loop,
            &self.source_traceback,
            &self.repr,
        ] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.callback.set(None);
        self.args.set(None);
        self.arity.set(Arity::None);
        self.context.set(None);
        self.event_loop.set(None);
    }
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
            Some(event_loop) => event_loop.run_handle(this.as_obj(), this.core()),
            None => this.core().run(),
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
            |this: &Py<T>| Ok(this.core().context.get()),
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
            |this: &Py<T>| Ok(this.core().context.get()),
            |this: &Py<T>, value: &Obj| {
                this.core().context.set(Some(value.clone()));
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
    const POOL: usize = 1024;

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
    let context = args.only_keyword(function, &names().context)?;
    let ([callback], rest) = args.split::<1>(function)?;
    Ok((callback, rest, context))
}
