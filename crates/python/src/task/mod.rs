//! `batuta.Task`: `asyncio.Task`, native.
//!
//! Role: drives a coroutine. A real subclass of the interpreter's own
//! `_asyncio.Task`, with its own state behind the base's, which stays empty.
//!
//! On a native loop outside of debug mode a step or a wake-up is an entry of the
//! ready queue, nothing else; on any other loop it is a callable
//! (`wrapper.rs`) given to `call_soon`.
//!
//! Invariants, while the task is pending, one of:
//! - a step is scheduled, and `waiter` is empty or done;
//! - `waiter` is set, not done, and has our wake-up among its callbacks;
//! - the task is running.
//!
//! Thread: the loop's.

mod base_fields;
mod create;
mod methods;
mod registry;
mod step;
mod wrapper;

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::combine::GatheringFuture;
use crate::ffi::gil::Global;
use crate::ffi::method::{Bindable, Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, ReprFn, TypeCell};
use crate::ffi::recursion::deeper;
#[cfg(not(Py_3_14))]
use crate::ffi::roster::Link;
use crate::ffi::{NativeType, Obj, Py, PyResult, Slot, Visitor};
use crate::future::{Awaited, FutureCore, FutureIter, HasFuture};

pub use base_fields::prepare as find_base_fields;
pub use create::TaskArgs;
#[cfg(not(Py_3_14))]
pub use registry::take_unregistered;
pub use registry::{settle, settle_unless_needed};
pub use wrapper::TaskStep;

/// `batuta.Task`.
#[derive(Debug, Default)]
pub struct Task {
    core: FutureCore,
    coro: Slot,
    context: Slot,
    /// What the coroutine awaits.
    waiter: Slot,
    /// The name; empty while nobody has asked for a name made of `number`.
    name: Slot,
    number: Cell<u64>,
    must_cancel: Cell<bool>,
    cancels_requested: Cell<u64>,
    log_destroy_pending: Cell<bool>,
    /// Its place among the tasks that asyncio's set has not seen.
    #[cfg(not(Py_3_14))]
    link: Link,
}

static TASK: TypeCell = TypeCell::new();

/// The function that wakes a task, bound to it for futures that are not native.
static WAKEUP: Global<WakeupFunction> = Global::new();

#[derive(Debug)]
struct WakeupFunction(Bindable<Task>);

/// The class in `asyncio.Task`'s place while programs are accelerated: calling it
/// makes a native task.
static STAND_IN: Global<Obj> = Global::new();

impl Task {
    /// Makes what tasks need; once, at import.
    pub fn prepare() {
        WAKEUP
            .set(WakeupFunction(Bindable::new(c"task_wakeup", |this: &Py<Self>, future: &Obj| {
                Self::wakeup(this, future)
            })));
    }

    /// Says which class stands in for `asyncio.Task`; once.
    pub fn set_stand_in(class: &Obj) {
        STAND_IN.set(class.clone());
    }

    /// Whether calling this class makes exactly a native task.
    #[inline]
    pub fn is_made_by(class: &Obj) -> bool {
        Py::<Self>::is_class(class) || STAND_IN.try_get().is_some_and(|own| class.is(own))
    }

    /// The function to be called with the future that the task waits for.
    pub fn wakeup_function(this: &Py<Self>) -> PyResult<Obj> {
        WAKEUP.get().0.bind(this)
    }

    /// The task that this callback wakes, if it is such a function.
    #[inline]
    pub fn woken_by(callback: &Obj) -> Option<Py<Self>> {
        WAKEUP.get().0.bound_to(callback)
    }

    /// The context that the coroutine runs in.
    pub fn context(&self) -> Obj {
        self.context.get_or_none()
    }

    /// Whether it runs in exactly this context.
    #[inline]
    pub fn runs_in(&self, context: &Obj) -> bool {
        self.context.holds(context)
    }

    /// `Task-N`, or what the program has chosen.
    fn name(&self) -> PyResult<Option<Obj>> {
        if let Some(name) = self.name.get() {
            return Ok(Some(name));
        }
        if self.number.get() == 0 {
            return Ok(None);
        }
        let name = Obj::str(&format!("Task-{}", self.number.get()))?;
        self.name.set(Some(name.clone()));
        Ok(Some(name))
    }

    /// How many requests to cancel it there are.
    pub fn cancels_requested(&self) -> u64 {
        self.cancels_requested.get()
    }

    /// Nobody will be told if it dies before it has ended.
    pub fn die_quietly(&self) {
        self.log_destroy_pending.set(false);
    }

    fn finalize(this: &Py<Self>) {
        // A pending task may be kept by its report. From 3.14 on asyncio's list has it until it is
        // gone for good, when the base takes it out. One that has ended was put there by others.
        let leaves = this.core.is_pending() != cfg!(Py_3_14);
        let known = if leaves { registry::forget(this) } else { Ok(()) };
        let reported = known
            .and_then(|()| this.report_pending(this.as_obj()))
            .and_then(|()| this.core.finalize(this.as_obj()));
        if let Err(raised) = reported {
            raised.unraisable(this.as_obj());
        }
    }

    /// Reports a task that dies before its coroutine has ended.
    fn report_pending(&self, this: &Obj) -> PyResult<()> {
        if !self.core.is_pending() || !self.log_destroy_pending.get() {
            return Ok(());
        }
        let Ok(event_loop) = self.core.event_loop() else { return Ok(()) };
        let context = Obj::dict()?;
        // In stock's order: a handler that fails is reported with the whole of it.
        let message = Obj::str("Task was destroyed but it is pending!")?;
        context.dict_set(&names().message, &message)?;
        context.dict_set(&names().task, this)?;
        if let Some(traceback) = self.core.source_traceback() {
            context.dict_set(&names().source_traceback, &traceback)?;
        }
        event_loop.call_method1(&names().call_exception_handler, &context).map(drop)
    }

    /// Cancels: at once if the awaited future can be, else at the next step.
    fn cancel(&self, message: Option<&Obj>) -> PyResult<bool> {
        self.core.log_seen();
        if !self.core.is_pending() {
            return Ok(false);
        }
        self.cancels_requested.set(self.cancels_requested.get() + 1);
        if let Some(waiter) = self.waiter.get()
            && cancel_waiter(&waiter, message)?
        {
            return Ok(true);
        }
        self.must_cancel.set(true);
        self.core.set_cancel_message(message.cloned());
        Ok(true)
    }
}

/// Where a chain of tasks that wait for each other was too long.
const CANCELLING: &CStr = c" while cancelling a future";

/// Cancels a future of ours whose `cancel()` nobody has replaced; nothing if it is another one.
pub fn cancel_natively(future: &Obj, message: Option<&Obj>) -> Option<PyResult<bool>> {
    let ours = Awaited::from_exact(future)?;
    if ours.core().cancel_is_replaced.get() {
        return None;
    }
    Some(match ours {
        Awaited::Future(native) => native.future().cancel(future, message.cloned()),
        Awaited::Task(task) => deeper(CANCELLING, || task.cancel(message)),
        Awaited::Gathering(outer) => {
            deeper(CANCELLING, || GatheringFuture::cancel(&outer, message))
        }
    })
}

/// `waiter.cancel(message)` of any future, as tasks call it: by place, so that a class may give
/// the parameter another name.
pub fn cancel_waiter(waiter: &Obj, message: Option<&Obj>) -> PyResult<bool> {
    cancel_natively(waiter, message).unwrap_or_else(|| {
        let none = Obj::none();
        waiter.call_method1(&names().cancel, message.unwrap_or(&none))?.is_true()
    })
}

impl HasFuture for Task {
    #[inline]
    fn future(&self) -> &FutureCore {
        &self.core
    }

    fn awaited(this: &Py<Self>) -> Awaited {
        Awaited::Task(this.clone())
    }
}

impl NativeType for Task {
    const NAME: &'static CStr = c"batuta._batuta.Task";
    const DOC: &'static CStr = create::DOC;
    const SUBCLASSABLE: bool = true;
    const CHAINED: bool = true;
    const POOL: usize = 1024;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(create::init);
    const ITERATE: Option<ReprFn<Self>> = Some(|this| FutureIter::make(Self::awaited(this)));
    const ASSIGNED: Option<AssignedFn<Self>> = Some(|this, name| this.core.assigned(name));
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Self::finalize);
    const REPR: Option<ReprFn<Self>> = Some(|this| {
        this.core.check_alive()?;
        Asyncio::get().base_tasks.attr(c"_task_repr")?.call1(this.as_obj())
    });

    fn cell() -> &'static TypeCell {
        &TASK
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.core.traverse(visitor);
        for slot in [&self.coro, &self.context, &self.waiter, &self.name] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.core.clear();
        for slot in [&self.coro, &self.context, &self.waiter, &self.name] {
            slot.set(None);
        }
    }

    fn ends_quietly(&self) -> bool {
        !self.core.is_pending() && !self.core.log_traceback()
    }

    fn retire(this: &Py<Self>) {
        base_fields::hide(this);
    }

    fn methods() -> Methods<Self> {
        methods::methods()
    }

    fn properties() -> Properties<Self> {
        methods::properties()
    }
}
