//! `batuta.Event`'s native base.

use std::cell::Cell;
use std::ffi::CStr;

use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::function::add_method;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{InitFn, TypeCell};
use crate::ffi::{Held, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::binding::{self, Binding, Bound};
use super::deque::Deque;
use super::lookups::Lookups;
use super::waiter::{self, HasWaiters};

/// A flag to wait for.
#[derive(Debug, Default)]
pub struct NativeEvent {
    binding: Binding,
    waiters: Deque,
    value: Cell<bool>,
}

static EVENT: TypeCell = TypeCell::new();
static EVENT_WAIT: TypeCell = TypeCell::new();

/// Gives the class its methods.
pub(super) fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeEvent>;
    crate::coroutine::define::<Wait>()?;
    let stock = Lookups::get().locks.attr(c"Event")?;
    class.set_attr(c"__init__", &stock.attr(c"__init__")?.native_init::<NativeEvent>()?)?;
    add_method(&class, &stock, c"is_set", |this: &This, args| {
        args.only_self("Event.is_set")?;
        Ok(this.value.get())
    })?;
    add_method(&class, &stock, c"set", |this: &This, args| {
        args.only_self("Event.set")?;
        this.set()
    })?;
    add_method(&class, &stock, c"clear", |this: &This, args| {
        args.only_self("Event.clear")?;
        this.unset();
        Ok(())
    })?;
    add_method(&class, &stock, c"wait", |this: &This, args| {
        args.only_self("Event.wait")?;
        this.wait()
    })?;
    Ok(class)
}

impl Py<NativeEvent> {
    /// The coroutine that waits for the flag.
    pub fn wait(&self) -> PyResult<Obj> {
        Coroutine::make(Wait { event: Held::from(self), waiter: Slot::default() })
    }
}

impl NativeEvent {
    /// Raises the flag and wakes everybody.
    pub fn set(&self) -> PyResult<()> {
        if self.value.replace(true) {
            return Ok(());
        }
        self.waiters.visit(|waiter| {
            if !waiter::is_done(waiter)? {
                waiter::wake(waiter, &Obj::bool(true))?;
            }
            Ok(false)
        })
    }

    /// Lowers the flag.
    pub fn unset(&self) {
        self.value.set(false);
    }
}

impl Bound for NativeEvent {
    fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl HasWaiters for NativeEvent {
    fn waiters(&self) -> &Deque {
        &self.waiters
    }
}

impl NativeType for NativeEvent {
    const NAME: &'static CStr = c"batuta._batuta.NativeEvent";
    const DOC: &'static CStr = c"The native base of batuta.Event.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(|this, args| {
        args.only_self("Event.__init__")?;
        this.waiters.clear();
        this.value.set(false);
        Ok(())
    });

    fn cell() -> &'static TypeCell {
        &EVENT
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
        let properties = waiter::properties(binding::properties(Properties::new()));
        properties.flag(c"_value", |this: &Py<Self>| &this.value)
    }
}

/// `Event.wait()`
#[derive(Debug)]
pub struct Wait {
    event: Held<NativeEvent>,
    waiter: Slot,
}

impl Routine for Wait {
    const TYPE: &'static CStr = c"batuta._batuta.EventWait";

    fn cell() -> &'static TypeCell {
        &EVENT_WAIT
    }

    fn qualname(&self) -> &'static str {
        "Event.wait"
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(event) = self.event.get() else { return Err(Raised::gone()) };
        if event.value.get() {
            return Ok(Step::Done(Obj::bool(true)));
        }
        let future = event.binding.create_future(event.as_obj())?;
        event.waiters.push(&future)?;
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }

    #[inline]
    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        if let (Some(event), Some(future)) = (self.event.get(), self.waiter.get()) {
            event.waiters.remove(&future)?;
        }
        match outcome {
            Ok(_) => Ok(Step::Done(Obj::bool(true))),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event.slot());
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.waiter.set(None);
        self.event.release();
    }
}
