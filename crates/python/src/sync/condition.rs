//! `batuta.Condition`'s native base.
//!
//! The lock may be anybody's: it is used through the condition's own attributes
//! `locked`, `acquire` and `release`, which the public class takes from the lock as
//! asyncio's does.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::function::add_method;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{TypeCell, define};
use crate::ffi::{Args, Held, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::binding::{self, Binding, Bound};
use super::deque::Deque;
use super::lookups::{Lookups, own_names};
use super::number::Number;
use super::waiter::{self, HasWaiters};

/// A lock, and those who wait for news about what it protects.
#[derive(Debug, Default)]
pub struct NativeCondition {
    binding: Binding,
    waiters: Deque,
}

static CONDITION: TypeCell = TypeCell::new();
static CONDITION_STEPS: TypeCell = TypeCell::new();

/// Gives the class its coroutine methods.
pub(super) fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeCondition>;
    define::<Coroutine<ConditionSteps>>(None)?;
    let stock = Lookups::get().locks.attr(c"Condition")?;
    add_method(&class, &stock, c"notify", |this: &This, args| this.notify(args))?;
    add_method(&class, &stock, c"notify_all", |this: &This, args| {
        args.only_self("Condition.notify_all")?;
        this.notify_all()
    })?;
    add_method(&class, &stock, c"_notify", |this: &This, args| {
        let [most] = args.exactly("Condition._notify")?;
        this.wake_some(most)
    })?;
    add_method(&class, &stock, c"wait", |this: &This, args| {
        args.only_self("Condition.wait")?;
        ConditionSteps::make(this, Purpose::Wait, None)
    })?;
    add_method(&class, &stock, c"wait_for", |this: &This, args| {
        const NAME: &str = "Condition.wait_for";
        let [predicate] = args.bind(NAME, 0, [&own_names().predicate])?;
        let predicate = predicate.ok_or_else(|| args.missing(NAME, "predicate"))?;
        ConditionSteps::make(this, Purpose::WaitFor, Some(predicate))
    })?;
    add_method(&class, &stock, c"__aenter__", |this: &This, args| {
        args.only_self("__aenter__")?;
        ConditionSteps::make(this, Purpose::Enter, None)
    })?;
    add_method(&class, &stock, c"__aexit__", |this: &This, args| {
        let [_, _, _] = args.exactly("__aexit__")?;
        ConditionSteps::make(this, Purpose::Exit, None)
    })?;
    Ok(class)
}

impl Py<NativeCondition> {
    /// Raises unless somebody has the lock.
    fn check_locked(&self, purpose: &str) -> PyResult<()> {
        if self.as_obj().call_method0(&own_names().locked)?.is_true()? {
            return Ok(());
        }
        Err(Raised::runtime_error(&format!("cannot {purpose} on un-acquired lock")))
    }

    fn notify(&self, args: &Args<'_>) -> PyResult<()> {
        let [most] = args.bind("Condition.notify", 0, [&own_names().n])?;
        self.check_locked("notify")?;
        most.map_or_else(|| self.wake(Number::Int(1)), |most| self.wake_some(most))
    }

    fn notify_all(&self) -> PyResult<()> {
        let all = Obj::size(self.waiters.len()?)?;
        self.as_obj().call_method1(&own_names().notify, &all).map(drop)
    }
}

impl NativeCondition {
    /// Wakes at most so many, which is not looked at where nobody waits.
    fn wake_some(&self, most: &Obj) -> PyResult<()> {
        if self.waiters.is_empty()? { Ok(()) } else { self.wake(Number::from_python(most)?) }
    }

    /// Wakes at most so many of those who wait.
    fn wake(&self, most: Number) -> PyResult<()> {
        let mut woken = 0;
        self.waiters.visit(|waiter| {
            if Number::Int(woken).is_at_least(most) {
                return Ok(true);
            }
            if !waiter::is_done(waiter)? {
                woken += 1;
                waiter::wake(waiter, &Obj::bool(false))?;
            }
            Ok(false)
        })
    }
}

impl Bound for NativeCondition {
    fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl HasWaiters for NativeCondition {
    fn waiters(&self) -> &Deque {
        &self.waiters
    }
}

impl NativeType for NativeCondition {
    const NAME: &'static CStr = c"batuta._batuta.NativeCondition";
    const DOC: &'static CStr = c"The native base of batuta.Condition.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));

    fn cell() -> &'static TypeCell {
        &CONDITION
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.binding.traverse(visitor);
        self.waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.binding.clear();
        self.waiters.clear();
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        waiter::properties(binding::properties(Properties::new()))
    }
}

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Wait,
    WaitFor,
    Enter,
    Exit,
}

/// `Condition.wait()` and its kin.
#[derive(Debug)]
pub struct ConditionSteps {
    condition: Held<NativeCondition>,
    purpose: Purpose,
    /// The future in the queue of `wait()`.
    waiter: Slot,
    /// What `wait_for()` asks.
    predicate: Slot,
    /// What `wait()` will raise when it has the lock again.
    error: Slot,
    /// Whether `wait()` was cancelled while it waited for the lock.
    cancelled: Cell<bool>,
}

impl ConditionSteps {
    fn make(
        condition: &Py<NativeCondition>,
        purpose: Purpose,
        predicate: Option<&Obj>,
    ) -> PyResult<Obj> {
        Coroutine::make(Self {
            condition: Held::from(condition),
            purpose,
            waiter: Slot::default(),
            predicate: Slot::from(predicate.cloned()),
            error: Slot::default(),
            cancelled: Cell::new(false),
        })
    }

    /// The first part of `wait()`: lets go of the lock and queues up.
    fn begin_to_wait(&self, condition: &Py<NativeCondition>) -> PyResult<Step> {
        condition.check_locked("wait")?;
        let (object, release) = (condition.as_obj(), &own_names().release);
        // From 3.13 on, a loop that does not fit is found before the lock is let go.
        let future = if cfg!(Py_3_13) {
            let future = condition.binding.create_future(object)?;
            object.call_method0(release)?;
            Ok(future)
        } else {
            object.call_method0(release)?;
            condition.binding.create_future(object)
        };
        match future.and_then(|future| condition.waiters.push(&future).map(|()| future)) {
            Ok(future) => {
                self.waiter.set(Some(future.clone()));
                Ok(Step::Wait(future))
            }
            Err(raised) => {
                self.error.set(Some(raised.take()));
                Self::acquire(condition)
            }
        }
    }

    fn acquire(condition: &Py<NativeCondition>) -> PyResult<Step> {
        match condition.as_obj().call_method0(&own_names().acquire) {
            Ok(acquiring) => Ok(Step::Wait(acquiring)),
            Err(raised) => Err(Self::fail(condition, raised.take())),
        }
    }

    /// `wait()` has the lock again, or an error instead.
    fn reacquired(
        &self,
        condition: &Py<NativeCondition>,
        outcome: Result<Obj, Obj>,
    ) -> PyResult<Step> {
        if let Err(exception) = outcome {
            if !exception.is_instance(&Asyncio::get().cancelled_error)? {
                return Err(Self::fail(condition, exception));
            }
            // The lock must be had, come what may; the cancellation is for later.
            self.cancelled.set(true);
            self.error.set(Some(exception));
            return Self::acquire(condition);
        }
        match self.error.take() {
            None => Ok(Step::Done(Obj::bool(true))),
            // Before 3.13, it is a new exception.
            Some(_) if self.cancelled.get() && !cfg!(Py_3_13) => {
                Err(Raised::raise(&Asyncio::get().cancelled_error.call0()?))
            }
            Some(exception) => Err(Self::fail(condition, exception)),
        }
    }

    /// The end of `wait()` by an exception. From 3.13 on, a notification that it may
    /// have got goes to another one.
    fn fail(condition: &Py<NativeCondition>, exception: Obj) -> Raised {
        if cfg!(Py_3_13)
            && let Err(raised) = condition.wake(Number::Int(1))
        {
            return raised;
        }
        Raised::restore(exception)
    }

    /// `wait_for()` asks, and waits if the answer is no.
    fn ask(&self, condition: &Py<NativeCondition>) -> PyResult<Step> {
        let answer = self.predicate.get_or_none().call0()?;
        if answer.is_true()? {
            return Ok(Step::Done(answer));
        }
        condition.as_obj().call_method0(&own_names().wait).map(Step::Wait)
    }
}

impl Routine for ConditionSteps {
    const TYPE: &'static CStr = c"batuta._batuta.ConditionSteps";

    fn cell() -> &'static TypeCell {
        &CONDITION_STEPS
    }

    fn qualname(&self) -> &'static str {
        match self.purpose {
            Purpose::Wait => "Condition.wait",
            Purpose::WaitFor => "Condition.wait_for",
            Purpose::Enter => "_ContextManagerMixin.__aenter__",
            Purpose::Exit => "_ContextManagerMixin.__aexit__",
        }
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(condition) = self.condition.get() else { return Err(Raised::gone()) };
        let names = own_names();
        match self.purpose {
            Purpose::Wait => self.begin_to_wait(&condition),
            Purpose::WaitFor => self.ask(&condition),
            Purpose::Enter => condition.as_obj().call_method0(&names.acquire).map(Step::Wait),
            Purpose::Exit => {
                condition.as_obj().call_method0(&names.release)?;
                Ok(Step::Done(Obj::none()))
            }
        }
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let Some(condition) = self.condition.get() else { return Err(Raised::gone()) };
        if self.purpose == Purpose::Wait {
            let Some(future) = self.waiter.take() else {
                return self.reacquired(&condition, outcome);
            };
            condition.waiters.remove(&future)?;
            self.error.set(outcome.err());
            return Self::acquire(&condition);
        }
        match outcome {
            Err(exception) => Err(Raised::restore(exception)),
            Ok(_) if self.purpose == Purpose::WaitFor => self.ask(&condition),
            Ok(_) => Ok(Step::Done(Obj::none())),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.condition.slot());
        for slot in [&self.waiter, &self.predicate, &self.error] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.waiter, &self.predicate, &self.error] {
            slot.set(None);
        }
        self.condition.release();
    }
}
