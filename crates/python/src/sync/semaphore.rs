//! `batuta.Semaphore`'s native base, and that of `batuta.BoundedSemaphore`, which
//! is a semaphore with a bound.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::function::{add_kin_method, add_method};
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, TypeCell};
use crate::ffi::{Held, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::binding::{self, Binding, Bound};
use super::deque::Deque;
use super::hooks::{Hooks, Originals};
use super::lookups::{Lookups, own_names};
use super::number::Number;
use super::waiter::{self, HasWaiters};

/// A number of holders at a time.
#[derive(Debug)]
pub struct NativeSemaphore {
    hooks: Hooks,
    binding: Binding,
    waiters: Deque,
    value: Cell<Number>,
    /// What the value may not exceed.
    bound: Cell<Option<Number>>,
}

static SEMAPHORE: TypeCell = TypeCell::new();
static SEMAPHORE_STEPS: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// A method that asyncio's class calls on `self`; in the order of their noting.
#[derive(Clone, Copy, Debug)]
enum Hook {
    Acquire,
    Release,
    Locked,
    WakeUpNext,
}

/// Gives the class its coroutine methods.
pub(super) fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeSemaphore>;
    crate::coroutine::define::<SemaphoreSteps>()?;
    let stock = Lookups::get().locks.attr(c"Semaphore")?;
    class.set_attr(c"__init__", &stock.attr(c"__init__")?.native_init::<NativeSemaphore>()?)?;
    add_method(&class, &stock, c"locked", |this: &This, args| {
        args.only_self("Semaphore.locked")?;
        this.is_locked()
    })?;
    let bounded = Lookups::get().locks.attr(c"BoundedSemaphore")?;
    add_kin_method(&class, &stock, &[bounded], c"release", |this: &This, args| {
        args.only_self("Semaphore.release")?;
        this.release()
    })?;
    add_method(&class, &stock, c"_wake_up_next", |this: &This, args| {
        args.only_self("Semaphore._wake_up_next")?;
        this.wake_up_next()
    })?;
    add_method(&class, &stock, c"acquire", |this: &This, args| {
        args.only_self("Semaphore.acquire")?;
        SemaphoreSteps::make(this, Purpose::Acquire)
    })?;
    add_method(&class, &stock, c"__aenter__", |this: &This, args| {
        args.only_self("__aenter__")?;
        SemaphoreSteps::make(this, Purpose::Enter)
    })?;
    add_method(&class, &stock, c"__aexit__", |this: &This, args| {
        let [_, _, _] = args.exactly("__aexit__")?;
        SemaphoreSteps::make(this, Purpose::Exit)
    })?;
    let names = own_names();
    let hooks = [&names.acquire, &names.release, &names.locked, &names._wake_up_next];
    ORIGINALS.set(Originals::note(&class, &hooks)?);
    Ok(class)
}

impl Py<NativeSemaphore> {
    #[inline]
    fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

    /// `locked()`, which a subclass may have replaced.
    #[inline]
    fn asks_locked(&self) -> PyResult<bool> {
        if self.replaces(Hook::Locked) {
            return self.as_obj().call_method0(&own_names().locked)?.is_true();
        }
        self.is_locked()
    }

    /// `_wake_up_next()`, which a subclass may have replaced.
    #[inline]
    fn asks_to_wake_up_next(&self) -> PyResult<bool> {
        if self.replaces(Hook::WakeUpNext) {
            return self.as_obj().call_method0(&own_names()._wake_up_next)?.is_true();
        }
        self.wake_up_next()
    }

    fn release(&self) -> PyResult<()> {
        if let Some(bound) = self.bound.get()
            && self.value.get().is_at_least(bound)
        {
            return Err(Raised::value_error("BoundedSemaphore released too many times"));
        }
        self.add(1);
        self.asks_to_wake_up_next().map(drop)
    }

    /// A coroutine was cancelled while it waited with `future`.
    fn cancelled(&self, future: &Obj) -> PyResult<()> {
        // From 3.13 on, the end of waiting wakes others anyhow.
        let was_given =
            !waiter::is_cancelled(future)? && (!cfg!(Py_3_13) || waiter::is_done(future)?);
        if was_given {
            self.add(1);
            if !cfg!(Py_3_13) {
                self.asks_to_wake_up_next()?;
            }
        }
        Ok(())
    }

    /// The end of waiting, whatever came of it: those who had to queue behind may
    /// be let in. Before 3.13 that is one, and only after success.
    fn let_others_in(&self, success: bool) -> PyResult<()> {
        if cfg!(Py_3_13) {
            while self.value.get().is_positive() && self.asks_to_wake_up_next()? {}
        } else if success && self.value.get().is_positive() {
            self.asks_to_wake_up_next()?;
        }
        Ok(())
    }
}

impl NativeSemaphore {
    fn new() -> Self {
        Self {
            binding: Binding::default(),
            hooks: Hooks::default(),
            waiters: Deque::absent(),
            value: Cell::new(Number::Int(1)),
            bound: Cell::new(None),
        }
    }

    /// Whether one that came now would have to wait: nothing left, or others first.
    #[inline]
    fn is_locked(&self) -> PyResult<bool> {
        Ok(self.value.get().is_zero()
            || !(self.waiters.is_empty()? || self.waiters.all(waiter::is_cancelled)?))
    }

    fn add(&self, change: i64) {
        self.value.set(self.value.get().plus(change));
    }

    /// Gives a unit to the first that waits; says whether there was one.
    fn wake_up_next(&self) -> PyResult<bool> {
        let mut woken = false;
        self.waiters.visit(|waiter| {
            if waiter::is_done(waiter)? {
                return Ok(false);
            }
            self.add(-1);
            waiter::wake(waiter, &Obj::bool(true))?;
            woken = true;
            Ok(true)
        })?;
        Ok(woken)
    }
}

impl Bound for NativeSemaphore {
    fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl HasWaiters for NativeSemaphore {
    fn waiters(&self) -> &Deque {
        &self.waiters
    }
}

impl NativeType for NativeSemaphore {
    const NAME: &'static CStr = c"batuta._batuta.NativeSemaphore";
    const DOC: &'static CStr = c"The native base of batuta.Semaphore.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::new()));
    const INIT: Option<InitFn<Self>> = Some(|this, args| {
        let [value] = args.bind("Semaphore.__init__", 0, [&own_names().value])?;
        let value = value.map_or(Ok(Number::Int(1)), Number::from_python);
        let value = value.map_err(|raised| args.leave(raised))?;
        if value.is_negative() {
            return Err(Raised::value_error("Semaphore initial value must be >= 0"));
        }
        this.value.set(value);
        this.waiters.replace(&Obj::none());
        Ok(())
    });

    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &SEMAPHORE
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
            .get_set(
                c"_value",
                |this: &Py<Self>| this.value.get().to_python(),
                |this: &Py<Self>, value: &Obj| {
                    this.value.set(Number::from_python(value)?);
                    Ok(())
                },
            )
            .get_set(
                c"_bound_value",
                |this: &Py<Self>| match this.bound.get() {
                    Some(bound) => bound.to_python(),
                    None => Err(Raised::attribute_error(
                        "'Semaphore' object has no attribute '_bound_value'",
                    )),
                },
                |this: &Py<Self>, value: &Obj| {
                    this.bound.set(Some(Number::from_python(value)?));
                    Ok(())
                },
            )
    }
}

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Acquire,
    Enter,
    Exit,
}

/// `Semaphore.acquire()`, `Semaphore.__aenter__()`, `Semaphore.__aexit__()`
#[derive(Debug)]
pub struct SemaphoreSteps {
    semaphore: Held<NativeSemaphore>,
    purpose: Purpose,
    /// The future in the semaphore's queue.
    waiter: Slot,
}

impl SemaphoreSteps {
    #[inline]
    fn make(semaphore: &Py<NativeSemaphore>, purpose: Purpose) -> PyResult<Obj> {
        let semaphore = Held::from(semaphore);
        Coroutine::make(Self { semaphore, purpose, waiter: Slot::default() })
    }

    /// What the coroutine returns.
    #[inline]
    fn done(&self) -> Step {
        Step::Done(if self.purpose == Purpose::Acquire { Obj::bool(true) } else { Obj::none() })
    }
}

impl Routine for SemaphoreSteps {
    const TYPE: &'static CStr = c"batuta._batuta.SemaphoreSteps";

    fn cell() -> &'static TypeCell {
        &SEMAPHORE_STEPS
    }

    fn qualname(&self) -> &'static str {
        match self.purpose {
            Purpose::Acquire => "Semaphore.acquire",
            Purpose::Enter => "_ContextManagerMixin.__aenter__",
            Purpose::Exit => "_ContextManagerMixin.__aexit__",
        }
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(semaphore) = self.semaphore.get() else { return Err(Raised::gone()) };
        let (names, object) = (own_names(), semaphore.as_obj());
        match self.purpose {
            Purpose::Exit => {
                if semaphore.replaces(Hook::Release) {
                    object.call_method0(&names.release)?;
                } else {
                    semaphore.release()?;
                }
                return Ok(Step::Done(Obj::none()));
            }
            Purpose::Enter if semaphore.replaces(Hook::Acquire) => {
                return object.call_method0(&names.acquire).map(Step::Wait);
            }
            Purpose::Enter | Purpose::Acquire => {}
        }
        if !semaphore.asks_locked()? {
            semaphore.add(-1);
            return Ok(self.done());
        }
        let future = semaphore.binding.create_future(object)?;
        semaphore.waiters.push(&future)?;
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let waited = self.semaphore.get().zip(self.waiter.take());
        if let Some((semaphore, future)) = waited {
            semaphore.waiters.remove(&future)?;
            if let Err(exception) = &outcome
                && exception.is_instance(&Asyncio::get().cancelled_error)?
            {
                semaphore.cancelled(&future)?;
            }
            semaphore.let_others_in(outcome.is_ok())?;
        }
        match outcome {
            Ok(_) => Ok(self.done()),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.semaphore.slot());
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.waiter.set(None);
        self.semaphore.release();
    }
}
