//! What all kinds of handle have: callback, arguments, context.
//!
//! Invariants: a cancelled handle holds neither callback nor arguments; a context that is shared
//! is shown to nobody, and nobody runs in it as long as it is (see [`context::Copies`]).
//!
//! Thread: under the interpreter's lock.

use std::cell::Cell;

use crate::event_loop::NativeLoop;
use crate::ffi::context::{self, Copies};
use crate::ffi::{Obj, Py, PyResult, Slot, Visitor};

/// How much of an argument is looked at, in bytes.
const OBJECT_SIZE: usize = 16;

/// How a handle keeps its arguments: one argument needs no tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arity {
    None,
    One,
    Tuple,
}

/// What a handle has of its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It is its own.
    Own,
    /// It is a snapshot, of which others run in copies, too.
    Shared,
    /// It is a copy of one while the callback runs, and may serve others afterwards.
    Lent,
}

/// What all kinds of handle have.
#[derive(Debug)]
pub struct Core {
    pub(super) callback: Slot,
    args: Slot,
    arity: Cell<Arity>,
    context: Slot,
    pub(super) event_loop: Slot,
    pub(super) cancelled: Cell<bool>,
    pub(super) source_traceback: Slot,
    pub(super) repr: Slot,
    hold: Cell<Hold>,
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
        let (arity, args) = match args {
            [] => (Arity::None, Slot::default()),
            [one] => (Arity::One, Slot::from(one.clone())),
            many => (Arity::Tuple, Slot::from(Obj::tuple(many)?)),
        };
        let (context, hold) = match given {
            Some(given) if !given.is_none() => (given.clone(), Hold::Own),
            _ => (event_loop.copies.snapshot()?, Hold::Shared),
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
            hold: Cell::new(hold),
        })
    }

    /// Calls the callback inside its context; `queued` is the loop's own reference to the
    /// handle, if it is the loop that runs it. Does nothing when cancelled.
    #[inline]
    pub fn run(&self, queued: Option<&Obj>, copies: &Copies) -> PyResult<()> {
        if self.cancelled.get() {
            return Ok(());
        }
        let snapshot = if self.hold.get() == Hold::Shared { self.borrow(copies)? } else { None };
        let Some(own) = self.context.get() else { return Ok(()) };
        let result = context::run_in(&own, || self.call());
        drop(own);
        if let Some(snapshot) = snapshot {
            // Who has the handle may ask for its context later, the exception handler for one.
            let is_forgotten = self.hold.replace(Hold::Own) == Hold::Lent
                && result.is_ok()
                && queued.is_some_and(|handle| handle.reference_count() == 1);
            copies.finish(is_forgotten.then_some(&self.context), &snapshot);
        }
        result
    }

    /// Gets a context to run in for the shared one, which it returns if others wait for it.
    #[inline]
    fn borrow(&self, copies: &Copies) -> PyResult<Option<Obj>> {
        let snapshot = copies.begin(&self.context)?;
        if self.hold.get() == Hold::Shared {
            self.hold.set(if snapshot.is_some() { Hold::Lent } else { Hold::Own });
        }
        Ok(snapshot)
    }

    #[inline]
    fn call(&self) -> PyResult<()> {
        let Some(callback) = self.callback.get() else { return Ok(()) };
        match (self.arity.get(), self.args.get()) {
            (Arity::One, Some(arg)) => callback.call1(&arg),
            (Arity::Tuple, Some(args)) if args.is_tuple() => callback.call_tuple(&args),
            // What a program has put there in the place of a tuple.
            (Arity::Tuple, Some(args)) => callback.call_tuple(&Obj::tuple(&args.collect()?)?),
            _ => callback.call0(),
        }
        .map(drop)
    }

    /// Has what running it takes fetched into the caches.
    #[inline]
    pub fn prefetch(&self) {
        self.args.prefetch(OBJECT_SIZE);
    }

    /// The context in which it runs.
    pub(super) fn context(&self) -> PyResult<Option<Obj>> {
        if self.hold.get() == Hold::Shared
            && let Some(event_loop) =
                Py::<NativeLoop>::from_instance(&self.event_loop.get_or_none())
        {
            event_loop.copies.own(&self.context)?;
        }
        self.hold.set(Hold::Own);
        Ok(self.context.get())
    }

    pub(super) fn set_context(&self, context: &Obj) {
        self.let_go();
        self.context.set(Some(context.clone()));
    }

    /// Lets go of the snapshot, if it still shares one.
    #[inline]
    fn let_go(&self) {
        if self.hold.replace(Hold::Own) == Hold::Shared
            && let Some(snapshot) = self.context.take()
            && let Some(event_loop) =
                Py::<NativeLoop>::from_instance(&self.event_loop.get_or_none())
        {
            event_loop.copies.let_go(&snapshot);
        }
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
            (Arity::None, _) if self.cancelled.get() => Ok(Obj::none()),
            (Arity::One, Some(arg)) => Obj::tuple(&[arg]),
            (Arity::Tuple, Some(args)) => Ok(args),
            _ => Obj::tuple(&[]),
        }
    }

    pub(super) fn set_args(&self, args: &Obj) {
        self.arity.set(if args.is_none() { Arity::None } else { Arity::Tuple });
        self.args.set(args.non_none().cloned());
    }

    /// Cancels; `this` is the handle itself, whose repr debug mode keeps.
    pub(super) fn cancel(&self, this: &Obj) -> PyResult<()> {
        if self.cancelled.replace(true) {
            return Ok(());
        }
        let event_loop = self.event_loop.get();
        let event_loop = event_loop.as_ref().and_then(Py::<NativeLoop>::from_instance);
        if event_loop.is_some_and(|event_loop| event_loop.debug.get()) {
            // The repr should still name the callback and its arguments; "cancelled" comes first.
            let repr = this.attr(c"__repr__")?.call0()?;
            self.repr.set(Some(repr));
        }
        self.callback.set(None);
        self.args.set(None);
        self.arity.set(Arity::None);
        // It waits no more, and whoever has it may be held by what its context holds.
        self.context().map(drop)
    }

    pub(super) fn traverse(&self, visitor: &mut Visitor) {
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

    pub(super) fn clear(&self) {
        self.callback.set(None);
        self.args.set(None);
        self.arity.set(Arity::None);
        self.let_go();
        for slot in [&self.context, &self.event_loop, &self.source_traceback, &self.repr] {
            slot.set(None);
        }
    }
}

impl Drop for Core {
    #[inline]
    fn drop(&mut self) {
        self.let_go();
    }
}
