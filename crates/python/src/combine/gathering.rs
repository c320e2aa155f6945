//! `_GatheringFuture`: what `gather()` returns.
//!
//! Ownership: the outer future owns its children, each child's callbacks own the
//! outer one until the child is done.
//!
//! Invariant: the children are set once, together with the loop. Before that (when a
//! later argument of `gather()` was refused) the outer future is not born: children
//! that end have nobody to tell.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::Rc;

use crate::asyncio::{Asyncio, names};
use crate::ffi::gil::Global;
use crate::ffi::method::{Bindable, Methods, Properties};
use crate::ffi::native::{AssignedFn, ReprFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};
use crate::future::{self, Awaited, FutureCore, FutureIter, HasFuture};
use crate::task::cancel_natively;

use super::child;

/// The future of a `gather()`.
#[derive(Debug, Default)]
pub struct GatheringFuture {
    core: FutureCore,
    children: RefCell<Rc<[Obj]>>,
    /// How many different futures are among the children.
    expected: Cell<usize>,
    finished: Cell<usize>,
    return_exceptions: Cell<bool>,
    cancel_requested: Cell<bool>,
    /// The task that called `gather()`, of which each child knows that it waits.
    waiter: Slot,
}

static GATHERING: TypeCell = TypeCell::new();

/// What a child calls that is no native future.
static CHILD_DONE: Global<ChildDone> = Global::new();

#[derive(Debug)]
struct ChildDone(Bindable<GatheringFuture>);

impl GatheringFuture {
    /// Makes what instances need; once, at import.
    pub fn prepare() {
        CHILD_DONE
            .set(ChildDone(Bindable::new(c"_child_done", |this: &Py<Self>, future: &Obj| {
                Self::child_done(this, future)
            })));
    }

    /// One that is not born yet.
    pub fn make(return_exceptions: bool, waiter: Option<Obj>) -> PyResult<Py<Self>> {
        let outer = Py::new(Self::default())?;
        outer.return_exceptions.set(return_exceptions);
        outer.waiter.set(waiter);
        Ok(outer)
    }

    /// Gives birth: `children` in the order of their results, `expected` of them
    /// different.
    pub fn begin(
        this: &Py<Self>,
        event_loop: &Obj,
        children: Vec<Obj>,
        expected: usize,
    ) -> PyResult<()> {
        this.expected.set(expected);
        drop(this.children.replace(children.into()));
        this.core.init(this.as_obj(), Some(event_loop))
    }

    /// [`Self::child_done`] as a Python callable.
    pub fn child_done_function(this: &Py<Self>) -> PyResult<Obj> {
        CHILD_DONE.get().0.bind(this)
    }

    /// The task that called `gather()`.
    #[cfg(Py_3_14)]
    pub fn waiter(&self) -> Option<Obj> {
        self.waiter.get()
    }

    fn children(&self) -> Rc<[Obj]> {
        self.children.borrow().clone()
    }

    /// A child has ended.
    pub fn child_done(this: &Py<Self>, future: &Obj) -> PyResult<()> {
        this.finished.set(this.finished.get() + 1);
        this.awaits_no_longer(future)?;
        if !this.core.is_alive() || !this.core.is_pending() {
            return child::mark_seen(future);
        }
        if !this.return_exceptions.get()
            && let Some(exception) = child::failure(future)?
        {
            this.children().iter().try_for_each(|child| this.awaits_no_longer(child))?;
            return this.core.set_exception(this.as_obj(), &exception);
        }
        if this.finished.get() == this.expected.get() { Self::finish(this) } else { Ok(()) }
    }

    /// All children have ended.
    fn finish(this: &Py<Self>) -> PyResult<()> {
        let children = this.children();
        let values = children.iter().map(child::value).collect::<PyResult<Vec<_>>>()?;
        if let Some(last) = children.last()
            && this.cancel_requested.get()
        {
            let exception = child::cancelled_error(last)?;
            this.children().iter().try_for_each(|child| this.awaits_no_longer(child))?;
            return this.core.set_exception(this.as_obj(), &exception);
        }
        this.core.set_result(this.as_obj(), &Obj::list(&values)?)
    }

    /// The task that called `gather()` waits for this child no longer.
    #[cfg(Py_3_14)]
    fn awaits_no_longer(&self, child: &Obj) -> PyResult<()> {
        match self.waiter.get() {
            Some(waiter) => {
                let discard = &Asyncio::get().registry.discard_awaited_by;
                discard.call2(child, &waiter).map(drop)
            }
            None => Ok(()),
        }
    }

    /// From 3.14 on futures know who waits for them.
    #[cfg(not(Py_3_14))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "different from 3.14 on")]
    fn awaits_no_longer(&self, _: &Obj) -> PyResult<()> {
        Ok(())
    }

    /// Cancels the children; says whether one of them could be.
    pub fn cancel(this: &Py<Self>, message: Option<&Obj>) -> PyResult<bool> {
        if !this.core.is_pending() {
            return Ok(false);
        }
        let mut any = false;
        for child in this.children().iter() {
            any |= cancel_child(child, message)?;
        }
        if any {
            // It goes on to whoever waits for the outer one, whatever
            // `return_exceptions` says.
            this.cancel_requested.set(true);
        }
        Ok(any)
    }

    fn finalize(this: &Py<Self>) {
        if let Err(raised) = this.core.finalize(this.as_obj()) {
            raised.unraisable(this.as_obj());
        }
    }
}

impl HasFuture for GatheringFuture {
    #[inline]
    fn future(&self) -> &FutureCore {
        &self.core
    }

    fn awaited(this: &Py<Self>) -> Awaited {
        Awaited::Gathering(this.clone())
    }
}

impl NativeType for GatheringFuture {
    const NAME: &'static CStr = c"batuta._batuta._GatheringFuture";
    const DOC: &'static CStr = c"The future of a gather(), whose cancel() cancels the children.";
    const CHAINED: bool = true;
    const ITERATE: Option<ReprFn<Self>> = Some(|this| FutureIter::make(Self::awaited(this)));
    const ASSIGNED: Option<AssignedFn<Self>> = Some(|this, name| this.core.assigned(name));
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Self::finalize);
    const REPR: Option<ReprFn<Self>> = Some(|this| {
        this.core.check_alive()?;
        Asyncio::get().future_repr.call1(this.as_obj())
    });

    fn cell() -> &'static TypeCell {
        &GATHERING
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.core.traverse(visitor);
        visitor.slot(&self.waiter);
        if let Ok(children) = self.children.try_borrow() {
            children.iter().for_each(|child| visitor.obj(child));
        }
    }

    fn clear(&self) {
        self.core.clear();
        self.waiter.set(None);
        let children = self.children.take();
        drop(children);
    }

    fn methods() -> Methods<Self> {
        future::methods(Methods::new())
            .args(c"cancel", future::CANCEL, |this: &Py<Self>, args: &Args<'_>| {
                let [message] = future::cancel_arguments(args)?;
                Self::cancel(this, message)
            })
            .one(c"set_result", future::SET_RESULT, |this: &Py<Self>, result: &Obj| {
                this.core.set_result(this.as_obj(), result)
            })
            .one(c"set_exception", future::SET_EXCEPTION, |this: &Py<Self>, given: &Obj| {
                this.core.set_exception(this.as_obj(), given)
            })
    }

    fn properties() -> Properties<Self> {
        future::properties(Properties::new())
            .get(c"_children", |this: &Py<Self>| Obj::list(&this.children()))
            .flag(c"_cancel_requested", |this: &Py<Self>| &this.cancel_requested)
    }
}

/// `child.cancel(msg=message)` of any future, which is how asyncio's `gather()` calls it.
fn cancel_child(child: &Obj, message: Option<&Obj>) -> PyResult<bool> {
    cancel_natively(child, message).unwrap_or_else(|| {
        let none = Obj::none();
        let keyword = &Asyncio::get().msg_keyword;
        child.call_method_with(&names().cancel, [], keyword, message.unwrap_or(&none))?.is_true()
    })
}
