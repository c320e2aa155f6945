//! `__aenter__` and `__aexit__` of a task group.
//!
//! Role: the case where nothing goes wrong. Whatever else happens is handed over to the
//! interpreter's own `__aexit__` as it happens: a cancellation that comes while it waits
//! is thrown into it where it would have waited.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::running_loop_or_raise;
use crate::ffi::call::Sent;
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::NativeTaskGroup;
use super::lookups::{current_task, stock};

/// `__aenter__`
pub fn aenter(this: &Py<NativeTaskGroup>, args: &Args<'_>) -> PyResult<Obj> {
    let [] = args.exactly("TaskGroup.__aenter__")?;
    Coroutine::make(Enter(Slot::from(this.as_obj().clone())))
}

/// `__aexit__`
pub fn aexit(this: &Py<NativeTaskGroup>, args: &Args<'_>) -> PyResult<Obj> {
    match args.exactly("TaskGroup.__aexit__") {
        Ok([class, exception, traceback]) => Coroutine::make(Exit {
            group: Slot::from(this.as_obj().clone()),
            given: [class, exception, traceback].map(|it| Slot::from(it.non_none().cloned())),
            handed_over: Cell::new(false),
        }),
        Err(raised) => {
            // Python's own words for it.
            raised.clear();
            args.forward(&stock().group_exit, this.as_obj())
        }
    }
}

/// Entering.
#[derive(Debug)]
pub struct Enter(Slot);

static ENTER: TypeCell = TypeCell::new();

impl Routine for Enter {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_task_group_enter";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &ENTER
    }

    fn qualname(&self) -> &'static str {
        "TaskGroup.__aenter__"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let object = self.0.get_or_none();
        let Some(group) = Py::<NativeTaskGroup>::from_instance(&object) else {
            return Ok(Step::Done(object));
        };
        if !group.entered.get() && !group.cancel_on_enter.get() {
            if !group.event_loop.is_some() {
                group.event_loop.set(Some(running_loop_or_raise()?));
            }
            group.parent.set(current_task(&group.event_loop.get_or_none())?);
            if group.parent.is_some() {
                group.entered.set(true);
                return Ok(Step::Done(object));
            }
        }
        stock().group_enter.call1(&object).map(Step::Wait)
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

/// Leaving.
#[derive(Debug)]
pub struct Exit {
    group: Slot,
    /// The class of the exception, the exception, its traceback.
    given: [Slot; 3],
    /// Whether the interpreter's own coroutine goes on in our place.
    handed_over: Cell<bool>,
}

static EXIT: TypeCell = TypeCell::new();

/// What is over and done with; up to 3.13 it stays as long as the group.
fn let_go(group: &NativeTaskGroup) {
    if cfg!(Py_3_14) {
        for slot in [&group.parent, &group.errors, &group.base_error] {
            slot.set(None);
        }
    }
}

/// Before 3.13 `__aexit__` looks whether the group has cancelled its parent before it
/// waits, not afterwards.
fn forget_request(group: &NativeTaskGroup) {
    if !cfg!(Py_3_13) {
        group.parent_cancel_requested.set(false);
    }
}

impl Exit {
    /// Waits for the tasks, or ends if there are none.
    fn wait(group: &Py<NativeTaskGroup>) -> PyResult<Step> {
        if !group.has_tasks()? {
            let_go(group);
            return Ok(Step::Done(if cfg!(Py_3_15) { Obj::bool(true) } else { Obj::none() }));
        }
        if let Some(completed) = group.completed.get() {
            return Ok(Step::Wait(completed));
        }
        let completed = group.event_loop.get_or_none().call_method0(&names().create_future)?;
        group.completed.set(Some(completed.clone()));
        Ok(Step::Wait(completed))
    }

    /// The interpreter's `__aexit__`, with what was given to ours or with `given`.
    #[cold]
    fn stock(&self, group: &Obj, given: Option<&Obj>) -> PyResult<Obj> {
        self.handed_over.set(true);
        let [class, exception, traceback] = match given {
            None => [0, 1, 2].map(|index: usize| self.given[index].get_or_none()),
            Some(exception) => {
                let traceback = exception.traceback().unwrap_or_else(Obj::none);
                [exception.class(), exception.clone(), traceback]
            }
        };
        stock().group_exit.call_with(&[group, &class, &exception, &traceback])
    }

    /// A cancellation has come while the tasks were waited for.
    #[cold]
    fn cancelled(&self, group: &Py<NativeTaskGroup>, exception: &Obj) -> PyResult<Step> {
        forget_request(group);
        if !group.has_tasks()? {
            return self.stock(group.as_obj(), Some(exception)).map(Step::Wait);
        }
        let coroutine = self.stock(group.as_obj(), None)?;
        match coroutine.send(&Obj::none())? {
            Sent::Returned(value) => Ok(Step::Done(value)),
            Sent::Yielded(completed) => {
                // It waits for a future that nobody is to be woken by.
                completed.setattr(&names()._asyncio_future_blocking, &Obj::bool(false))?;
                match coroutine.throw(&names().throw, exception)? {
                    Sent::Returned(value) => Ok(Step::Done(value)),
                    Sent::Yielded(yielded) => Ok(Step::Join(coroutine, yielded)),
                }
            }
        }
    }
}

impl Routine for Exit {
    const TYPE: &'static CStr = c"batuta._batuta.coroutine_task_group_exit";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &EXIT
    }

    fn qualname(&self) -> &'static str {
        "TaskGroup.__aexit__"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let object = self.group.get_or_none();
        if let Some(group) = Py::<NativeTaskGroup>::from_instance(&object)
            && !self.given[0].is_some()
            && group.is_well()?
        {
            group.exiting.set(true);
            return Self::wait(group);
        }
        self.stock(&object, None).map(Step::Wait)
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let object = self.group.get_or_none();
        let Some(group) = Py::<NativeTaskGroup>::from_instance(&object) else {
            return outcome.map(Step::Done).map_err(Raised::restore);
        };
        if self.handed_over.get() {
            return outcome.map(Step::Done).map_err(Raised::restore);
        }
        match outcome {
            Ok(_) => {
                group.completed.set(None);
                if group.is_well()? {
                    Self::wait(group)
                } else {
                    forget_request(group);
                    self.stock(&object, None).map(Step::Wait)
                }
            }
            Err(exception) if exception.is_instance(&Asyncio::get().cancelled_error)? => {
                group.completed.set(None);
                self.cancelled(group, &exception)
            }
            Err(exception) => {
                let_go(group);
                Err(Raised::restore(exception))
            }
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.group);
        self.given.iter().for_each(|slot| visitor.slot(slot));
    }

    fn clear(&self) {
        self.group.set(None);
        self.given.iter().for_each(|slot| slot.set(None));
    }
}
