//! `NativeTimeout`: the native half of `batuta.Timeout`, and what makes one.
//!
//! Role: entering, leaving in time, the timer. A timeout that has expired is left by the
//! interpreter's own `__aexit__`, which finds its attributes here.

use std::ffi::CStr;

use batuta_engine::clock::Instant;

use crate::asyncio::names;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::{NativeLoop, Past, running_loop_or_raise};
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{InitFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::Alarm;
use super::deadline::{Deadline, State};
use super::lookups::stock;

/// The native half of a timeout.
#[derive(Debug, Default)]
pub struct NativeTimeout {
    pub(super) deadline: Deadline,
    when: Slot,
}

static TIMEOUT: TypeCell = TypeCell::new();

/// The class that programs see.
static CLASS: Global<Obj> = Global::new();

/// Sets the class that `timeout()` makes instances of; once, at import.
pub fn set_class(class: Obj) {
    CLASS.set(class);
}

/// `timeout(delay)`
pub fn timeout(args: &Args<'_>) -> PyResult<Obj> {
    let Ok([Some(delay)]) = clearing(args.bind("timeout", 0, [&stock().names.delay])) else {
        return args.forward_all(&stock().timeout);
    };
    let event_loop = running_loop_or_raise()?;
    if delay.is_none() {
        return make(delay.clone());
    }
    if let Some(seconds) = delay.plain_number()
        && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
        && NativeLoop::may_go_past(native, Past::CallLater)
        && NativeLoop::goes_by_system_clock(native)
    {
        return make(Obj::float(Instant::now().as_secs_f64() + seconds)?);
    }
    make(event_loop.call_method0(&names().time)?.plus(delay)?)
}

/// `timeout_at(when)`
pub fn timeout_at(args: &Args<'_>) -> PyResult<Obj> {
    match clearing(args.bind("timeout_at", 0, [&stock().names.when])) {
        Ok([Some(when)]) => make(when.clone()),
        _ => args.forward_all(&stock().timeout_at),
    }
}

/// Arguments that do not fit are left to the interpreter's function, for its words.
fn clearing<T>(bound: PyResult<T>) -> Result<T, ()> {
    bound.map_err(Raised::clear)
}

fn make(when: Obj) -> PyResult<Obj> {
    let timeout = NativeTimeout { deadline: Deadline::default(), when: Slot::from(when) };
    Py::new_in(CLASS.get(), timeout).map(Py::into_obj)
}

impl NativeTimeout {
    fn init(this: &Py<Self>, args: &Args<'_>) -> PyResult<()> {
        let [when] = args.bind("Timeout.__init__", 0, [&stock().names.when])?;
        let when = when.ok_or_else(|| args.missing("Timeout.__init__", "when"))?;
        this.deadline.disarm()?;
        this.deadline.state.set(State::Created);
        this.deadline.task.set(None);
        this.when.set(Some(when.clone()));
        Ok(())
    }

    /// `__aenter__`
    pub fn aenter(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [] = args.exactly("Timeout.__aenter__")?;
        Coroutine::make(Enter(Slot::from(this.as_obj().clone())))
    }

    /// `__aexit__`
    pub fn aexit(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let Ok([class, exception, traceback]) = clearing(args.exactly("Timeout.__aexit__")) else {
            return args.forward(&stock().timeout_exit, this.as_obj());
        };
        let given = [class, exception, traceback].map(|it| Slot::from(it.non_none().cloned()));
        Coroutine::make(Exit { timeout: Slot::from(this.as_obj().clone()), given })
    }

    /// `when()`
    pub fn when(this: &Py<Self>, args: &Args<'_>) -> PyResult<Option<Obj>> {
        args.only_self("Timeout.when")?;
        Ok(this.when.get())
    }

    /// `expired()`
    pub fn expired(this: &Py<Self>, args: &Args<'_>) -> PyResult<bool> {
        args.only_self("Timeout.expired")?;
        Ok(matches!(this.deadline.state.get(), State::Expiring | State::Expired))
    }

    /// `_on_timeout()`: the time has come.
    pub fn on_timeout(this: &Py<Self>, args: &Args<'_>) -> PyResult<()> {
        args.only_self("Timeout._on_timeout")?;
        if this.deadline.state.get() == State::Entered {
            this.deadline.expire()
        } else {
            Err(Raised::runtime_error("Timeout is not entered"))
        }
    }

    /// `reschedule`
    pub fn reschedule(this: &Py<Self>, args: &Args<'_>) -> PyResult<()> {
        let [when] = args.bind("Timeout.reschedule", 0, [&stock().names.when])?;
        let when = when.ok_or_else(|| args.missing("Timeout.reschedule", "when"))?;
        match this.deadline.state.get() {
            State::Entered => Self::schedule(this, when),
            // Raises, in asyncio's words.
            _ => stock().timeout_reschedule.call2(this.as_obj(), when).map(drop),
        }
    }

    /// Has it expire at `when`, and not when it would have before.
    fn schedule(this: &Py<Self>, when: &Obj) -> PyResult<()> {
        this.when.set(Some(when.clone()));
        this.deadline.disarm()?;
        if when.is_none() {
            return Ok(());
        }
        let event_loop = running_loop_or_raise()?;
        if let Some(seconds) = when.plain_number()
            && !seconds.is_nan()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
            && NativeLoop::keeps_time_natively(native)
        {
            this.deadline.arm(native, seconds, |number| Alarm::Timeout(this.clone(), number));
            return Ok(());
        }
        Self::schedule_as_stock(this, &event_loop, when)
    }

    fn schedule_as_stock(this: &Py<Self>, event_loop: &Obj, when: &Obj) -> PyResult<()> {
        let callback = this.as_obj().getattr(&stock().names._on_timeout)?;
        let handle = if when.is_at_most(&event_loop.call_method0(&names().time)?)? {
            event_loop.call_method1(&names().call_soon, &callback)?
        } else {
            event_loop.call_method2(&names().call_at, when, &callback)?
        };
        this.deadline.handle.set(Some(handle));
        Ok(())
    }

    /// `_timeout_handler`: who asks for the handle gets one.
    fn handle(this: &Py<Self>) -> PyResult<Option<Obj>> {
        if this.deadline.is_armed() {
            this.deadline.disarm()?;
            let event_loop = running_loop_or_raise()?;
            Self::schedule_as_stock(this, &event_loop, &this.when.get_or_none())?;
        }
        Ok(this.deadline.handle.get())
    }

    fn state(&self) -> &'static Obj {
        let index = match self.deadline.state.get() {
            State::Created => 0,
            State::Entered => 1,
            State::Expiring => 2,
            State::Expired => 3,
            State::Exited => 4,
        };
        &stock().timeout_states[index]
    }

    fn set_state(&self, value: &Obj) -> PyResult<()> {
        let states =
            [State::Created, State::Entered, State::Expiring, State::Expired, State::Exited];
        let known = stock().timeout_states.iter().zip(states).find(|(known, _)| known.is(value));
        let Some((_, state)) = known else {
            return Err(Raised::value_error("not a state of a Timeout"));
        };
        self.deadline.state.set(state);
        Ok(())
    }
}

impl NativeType for NativeTimeout {
    const NAME: &'static CStr = c"batuta._batuta.NativeTimeout";
    const DOC: &'static CStr = c"Deadline of a batuta.Timeout.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(Self::init);

    fn cell() -> &'static TypeCell {
        &TIMEOUT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.deadline.traverse(visitor);
        visitor.slot(&self.when);
    }

    fn clear(&self) {
        self.deadline.clear();
        self.when.set(None);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
            .get_set(
                c"_state",
                |this: &Py<Self>| Ok(this.state().clone()),
                |this: &Py<Self>, value: &Obj| this.set_state(value),
            )
            .get_set(
                c"_when",
                |this: &Py<Self>| Ok(this.when.get()),
                |this: &Py<Self>, value: &Obj| {
                    this.when.set(Some(value.clone()));
                    Ok(())
                },
            )
            .get_set(c"_timeout_handler", Self::handle, |this: &Py<Self>, value: &Obj| {
                this.deadline.handle.set(value.non_none().cloned());
                Ok(())
            })
            .slot(c"_task", |this: &Py<Self>| &this.deadline.task)
            .get_set(
                c"_cancelling",
                |this: &Py<Self>| Obj::int(this.deadline.cancelling.get()),
                |this: &Py<Self>, value: &Obj| {
                    this.deadline.cancelling.set(value.to_i64()?);
                    Ok(())
                },
            )
    }
}

/// `__aenter__`
#[derive(Debug)]
pub struct Enter(Slot);

static ENTER: TypeCell = TypeCell::new();

impl Routine for Enter {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_timeout_enter";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &ENTER
    }

    fn qualname(&self) -> &'static str {
        "Timeout.__aenter__"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let object = self.0.get_or_none();
        let Some(timeout) = Py::<NativeTimeout>::from_instance(&object) else {
            return Ok(Step::Done(object));
        };
        if timeout.deadline.state.get() != State::Created {
            return Err(Raised::runtime_error("Timeout has already been entered"));
        }
        timeout.deadline.enter(&running_loop_or_raise()?)?;
        NativeTimeout::schedule(timeout, &timeout.when.get_or_none())?;
        Ok(Step::Done(object))
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        outcome.map(Step::Done).map_err(Raised::restore)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.0);
    }

    fn clear(&self) {
        self.0.set(None);
    }
}

/// `__aexit__`
#[derive(Debug)]
pub struct Exit {
    timeout: Slot,
    /// The class of the exception, the exception, its traceback.
    given: [Slot; 3],
}

static EXIT: TypeCell = TypeCell::new();

impl Routine for Exit {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_timeout_exit";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &EXIT
    }

    fn qualname(&self) -> &'static str {
        "Timeout.__aexit__"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let object = self.timeout.get_or_none();
        if let Some(timeout) = Py::<NativeTimeout>::from_instance(&object) {
            timeout.deadline.disarm()?;
            if timeout.deadline.state.get() == State::Entered {
                timeout.deadline.state.set(State::Exited);
                return Ok(Step::Done(Obj::none()));
            }
        }
        let [class, exception, traceback] = [0, 1, 2].map(|index| self.given[index].get_or_none());
        let exit = &stock().timeout_exit;
        exit.call_with(&[&object, &class, &exception, &traceback]).map(Step::Wait)
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        outcome.map(Step::Done).map_err(Raised::restore)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.timeout);
        self.given.iter().for_each(|slot| visitor.slot(slot));
    }

    fn clear(&self) {
        self.timeout.set(None);
        self.given.iter().for_each(|slot| slot.set(None));
    }
}
