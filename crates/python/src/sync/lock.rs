//! `batuta.Lock`'s native base.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::function::add_method;
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, TypeCell};
use crate::ffi::{Held, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::binding::{self, Binding, Bound};
use super::deque::Deque;
use super::hooks::{Hooks, Originals};
use super::lookups::{Lookups, own_names};
use super::waiter::{self, HasWaiters};

/// One holder at a time.
#[derive(Debug)]
pub struct NativeLock {
    hooks: Hooks,
    binding: Binding,
    waiters: Deque,
    locked: Cell<bool>,
}

static LOCK: TypeCell = TypeCell::new();
static LOCK_STEPS: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// A method that asyncio's class calls on `self`; in the order of their noting.
#[derive(Clone, Copy, Debug)]
enum Hook {
    Acquire,
    Release,
    WakeUpFirst,
}

/// Gives the class its coroutine methods.
pub(super) fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeLock>;
    crate::coroutine::define::<LockSteps>()?;
    let stock = Lookups::get().locks.attr(c"Lock")?;
    class.set_attr(c"__init__", &stock.attr(c"__init__")?.native_init::<NativeLock>()?)?;
    add_method(&class, &stock, c"locked", |this: &This, args| {
        args.only_self("Lock.locked")?;
        Ok(this.locked.get())
    })?;
    add_method(&class, &stock, c"release", |this: &This, args| {
        args.only_self("Lock.release")?;
        this.release()
    })?;
    add_method(&class, &stock, c"_wake_up_first", |this: &This, args| {
        args.only_self("Lock._wake_up_first")?;
        this.wake_up_first()
    })?;
    add_method(&class, &stock, c"acquire", |this: &This, args| {
        args.only_self("Lock.acquire")?;
        LockSteps::make(this, Purpose::Acquire)
    })?;
    add_method(&class, &stock, c"__aenter__", |this: &This, args| {
        args.only_self("__aenter__")?;
        LockSteps::make(this, Purpose::Enter)
    })?;
    add_method(&class, &stock, c"__aexit__", |this: &This, args| {
        let [_, _, _] = args.exactly("__aexit__")?;
        LockSteps::make(this, Purpose::Exit)
    })?;
    let names = own_names();
    ORIGINALS
        .set(Originals::note(&class, &[&names.acquire, &names.release, &names._wake_up_first])?);
    Ok(class)
}

impl Py<NativeLock> {
    #[inline]
    fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

    fn release(&self) -> PyResult<()> {
        if !self.locked.replace(false) {
            return Err(Raised::runtime_error("Lock is not acquired."));
        }
        self.asks_to_wake_up_first()
    }

    /// `_wake_up_first()`, which a subclass may have replaced.
    #[inline]
    fn asks_to_wake_up_first(&self) -> PyResult<()> {
        if self.replaces(Hook::WakeUpFirst) {
            return self.as_obj().call_method0(&own_names()._wake_up_first).map(drop);
        }
        self.wake_up_first()
    }
}

impl NativeLock {
    fn new() -> Self {
        Self {
            binding: Binding::default(),
            hooks: Hooks::default(),
            waiters: Deque::absent(),
            locked: Cell::new(false),
        }
    }

    /// Takes the lock, unless somebody has it or is about to get it.
    #[inline]
    fn try_acquire(&self) -> PyResult<bool> {
        if self.locked.get()
            || !(self.waiters.is_empty()? || self.waiters.all(waiter::is_cancelled)?)
        {
            return Ok(false);
        }
        self.locked.set(true);
        Ok(true)
    }

    /// The first one in the queue gets its turn. One that is done has it already.
    #[inline]
    fn wake_up_first(&self) -> PyResult<()> {
        self.waiters.visit(|waiter| {
            if !waiter::is_done(waiter)? {
                waiter::wake(waiter, &Obj::bool(true))?;
            }
            Ok(true)
        })
    }
}

impl Bound for NativeLock {
    fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl HasWaiters for NativeLock {
    fn waiters(&self) -> &Deque {
        &self.waiters
    }
}

impl NativeType for NativeLock {
    const NAME: &'static CStr = c"batuta._batuta.NativeLock";
    const DOC: &'static CStr = c"The native base of batuta.Lock.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::new()));
    const INIT: Option<InitFn<Self>> = Some(|this, args| {
        args.only_self("Lock.__init__")?;
        this.waiters.replace(&Obj::none());
        this.locked.set(false);
        Ok(())
    });

    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &LOCK
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
            .flag(c"_locked", |this: &Py<Self>| &this.locked)
    }
}

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Acquire,
    Enter,
    Exit,
}

/// `Lock.acquire()`, `Lock.__aenter__()`, `Lock.__aexit__()`
#[derive(Debug)]
pub struct LockSteps {
    lock: Held<NativeLock>,
    purpose: Purpose,
    /// The future in the lock's queue.
    waiter: Slot,
}

impl LockSteps {
    #[inline]
    fn make(lock: &Py<NativeLock>, purpose: Purpose) -> PyResult<Obj> {
        Coroutine::make(Self { lock: Held::from(lock), purpose, waiter: Slot::default() })
    }

    /// What the coroutine returns.
    #[inline]
    fn done(&self) -> Step {
        Step::Done(if self.purpose == Purpose::Acquire { Obj::bool(true) } else { Obj::none() })
    }
}

impl Routine for LockSteps {
    const TYPE: &'static CStr = c"batuta._batuta.LockSteps";

    fn cell() -> &'static TypeCell {
        &LOCK_STEPS
    }

    fn qualname(&self) -> &'static str {
        match self.purpose {
            Purpose::Acquire => "Lock.acquire",
            Purpose::Enter => "_ContextManagerMixin.__aenter__",
            Purpose::Exit => "_ContextManagerMixin.__aexit__",
        }
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(lock) = self.lock.get() else { return Err(Raised::gone()) };
        let names = own_names();
        match self.purpose {
            Purpose::Exit => {
                if lock.replaces(Hook::Release) {
                    lock.as_obj().call_method0(&names.release)?;
                } else {
                    lock.release()?;
                }
                return Ok(Step::Done(Obj::none()));
            }
            Purpose::Enter if lock.replaces(Hook::Acquire) => {
                return lock.as_obj().call_method0(&names.acquire).map(Step::Wait);
            }
            Purpose::Enter | Purpose::Acquire => {}
        }
        if lock.try_acquire()? {
            return Ok(self.done());
        }
        let future = lock.binding.create_future(lock.as_obj())?;
        lock.waiters.push(&future)?;
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let (Some(lock), Some(future)) = (self.lock.get(), self.waiter.take()) else {
            // A subclass's `acquire()`, which has done everything.
            return match outcome {
                Ok(_) => Ok(self.done()),
                Err(exception) => Err(Raised::restore(exception)),
            };
        };
        lock.waiters.remove(&future)?;
        match outcome {
            Ok(_) => {
                lock.locked.set(true);
                Ok(self.done())
            }
            Err(exception) => {
                // If it was our turn and we do not take it, it is the next one's.
                if !lock.locked.get() && exception.is_instance(&Asyncio::get().cancelled_error)? {
                    lock.asks_to_wake_up_first()?;
                }
                Err(Raised::restore(exception))
            }
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.lock.slot());
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.waiter.set(None);
        self.lock.release();
    }
}
