//! `NativeTaskGroup`: the native half of `batuta.TaskGroup`.
//!
//! Role: making tasks and taking note of their ends. The Python class
//! `TaskGroup(NativeTaskGroup, asyncio.TaskGroup)` has the rest from the interpreter,
//! which finds its attributes here: a task that fails, or is made in an unusual way,
//! is the interpreter's business.
//!
//! Thread: the loop's.

use std::cell::Cell;
use std::ffi::CStr;
use std::num::NonZeroU32;

#[cfg(Py_3_14)]
use crate::asyncio::Asyncio;
use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor, context};
use crate::future::{Awaited, Callback, HasFuture, State};
use crate::task::{Task, TaskArgs};

use super::Observer;
use super::lookups::stock;

/// The native half of a task group.
#[derive(Debug, Default)]
pub struct NativeTaskGroup {
    pub(super) entered: Cell<bool>,
    pub(super) exiting: Cell<bool>,
    aborting: Cell<bool>,
    pub(super) parent_cancel_requested: Cell<bool>,
    pub(super) cancel_on_enter: Cell<bool>,
    pub(super) event_loop: Slot,
    pub(super) parent: Slot,
    /// A set.
    tasks: Slot,
    pub(super) errors: Slot,
    pub(super) base_error: Slot,
    /// What `__aexit__` waits for.
    pub(super) completed: Slot,
    /// The version of its class in which `_on_task_done` was found to be the native one.
    original: Cell<Option<NonZeroU32>>,
    /// Whether the program has put one of its own into the instance.
    replaced: Cell<bool>,
}

static TASK_GROUP: TypeCell = TypeCell::new();

/// The native `_on_task_done`.
static ON_TASK_DONE: Global<Obj> = Global::new();

impl NativeTaskGroup {
    fn init(this: &Py<Self>, args: &Args<'_>) -> PyResult<()> {
        let [] = args.exactly("TaskGroup")?;
        for flag in [
            &this.entered,
            &this.exiting,
            &this.aborting,
            &this.parent_cancel_requested,
            &this.cancel_on_enter,
        ] {
            flag.set(false);
        }
        for slot in [&this.event_loop, &this.parent, &this.base_error, &this.completed] {
            slot.set(None);
        }
        this.tasks.set(Some(Obj::set()?));
        this.errors.set(Some(Obj::list(&[])?));
        Ok(())
    }

    /// Whether a task has not ended.
    pub(super) fn has_tasks(&self) -> PyResult<bool> {
        self.tasks.get().map_or(Ok(false), |tasks| tasks.is_true())
    }

    /// Whether nothing has gone wrong so far.
    pub(super) fn is_well(&self) -> PyResult<bool> {
        Ok(!self.aborting.get()
            && !self.parent_cancel_requested.get()
            && !self.base_error.is_some()
            && !self.errors.get_or_none().is_true()?)
    }

    /// The loop, if it makes native tasks, and the set of tasks, while tasks may be
    /// made and nobody has replaced what is done when they end.
    fn accepting(this: &Py<Self>) -> PyResult<Option<(Py<NativeLoop>, Obj)>> {
        if !this.entered.get() || this.aborting.get() {
            return Ok(None);
        }
        let (Some(event_loop), Some(tasks)) = (this.event_loop.get(), this.tasks.get()) else {
            return Ok(None);
        };
        let Some(native) = Py::<NativeLoop>::from_instance(&event_loop) else { return Ok(None) };
        if !tasks.is_set()
            || (this.exiting.get() && !tasks.is_true()?)
            || !NativeLoop::makes_native_tasks(native)?
        {
            return Ok(None);
        }
        Ok(Self::takes_note_natively(this).then(|| (native.clone(), tasks)))
    }

    /// Whether nobody has replaced `_on_task_done` of this group or in its class.
    #[inline]
    fn takes_note_natively(this: &Py<Self>) -> bool {
        let version = this.as_obj().class_version();
        if version.is_some() && version == this.original.get() {
            return true;
        }
        let name = &stock().names._on_task_done;
        let ours = !this.replaced.get() && this.as_obj().class_has(name, ON_TASK_DONE.get());
        this.original.set(if ours { this.as_obj().class_version() } else { None });
        ours
    }

    /// An attribute of the group was set or deleted.
    fn assigned(this: &Py<Self>, name: &Obj) {
        if name.is(stock().names._on_task_done.as_obj()) {
            this.original.set(None);
            this.replaced.set(true);
        }
    }

    /// Gives the class its `_on_task_done`.
    pub(super) fn add_on_task_done(class: &Obj) -> PyResult<()> {
        let model = &stock().group_task_done;
        ON_TASK_DONE.set(model.native_method(|this: &Py<Self>, args: &Args<'_>| {
            let [task] = args.exactly("TaskGroup._on_task_done")?;
            if Self::take_note(this, task)? {
                return Ok(Obj::none());
            }
            stock().group_task_done.call2(this.as_obj(), task)
        })?);
        class.set_attr(c"_on_task_done", ON_TASK_DONE.get())
    }

    /// `create_task(coro, *, name=None, context=None)`
    pub fn create_task(this: &Py<Self>, args: &Args<'_>) -> PyResult<Obj> {
        let [coro] = args.positional() else {
            return args.forward(&stock().group_create_task, this.as_obj());
        };
        let Some([name, context]) = args.only_known([&names().name, &names().context]) else {
            return args.forward(&stock().group_create_task, this.as_obj());
        };
        let Some((event_loop, tasks)) = Self::accepting(this)? else {
            return args.forward(&stock().group_create_task, this.as_obj());
        };
        if name.is_some_and(|name| !name.is_none()) && stock().group_names_later {
            Task::skip_number();
        }
        let task = Task::make(&event_loop, coro, &TaskArgs { name, context, eager_start: false })?;
        #[cfg(Py_3_14)]
        Asyncio::get().registry.add_awaited_by.call2(task.as_obj(), &this.parent.get_or_none())?;
        tasks.set_add(task.as_obj())?;
        let observer = Callback::Observer(Observer::Group(this.clone()));
        task.future().add_callback(task.as_obj(), observer)?;
        Ok(task.into_obj())
    }

    /// A task has ended: told by the ready queue, in no context.
    pub fn task_done(this: &Py<Self>, task: &Obj) -> PyResult<()> {
        if Self::take_note(this, task)? {
            return Ok(());
        }
        // The context that the interpreter would run it in is a copy of the one in
        // which the task was made; the task's own began as such a copy.
        let context = match Py::<Task>::from_exact(task) {
            Some(task) => context::copy(&task.context())?,
            None => context::copy_current()?,
        };
        context::run_in(&context, || stock().group_task_done.call2(this.as_obj(), task)).map(drop)
    }

    /// Takes note of the end of a task unless it has failed; says whether it did.
    fn take_note(this: &Py<Self>, task: &Obj) -> PyResult<bool> {
        let Some(ended) = Py::<Task>::from_exact(task) else { return Ok(false) };
        match ended.future().state() {
            State::Pending => return Ok(false),
            State::Cancelled => {}
            State::Finished => {
                if ended.future().has_exception() {
                    return Ok(false);
                }
            }
        }
        let Some(tasks) = this.tasks.get() else { return Ok(false) };
        let completed = match this.completed.get() {
            None => None,
            Some(completed) => match Awaited::from_exact(&completed) {
                Some(native) => Some(native),
                None => return Ok(false),
            },
        };
        tasks.set_discard(task)?;
        #[cfg(Py_3_14)]
        Asyncio::get().registry.discard_awaited_by.call2(task, &this.parent.get_or_none())?;
        if let Some(completed) = completed
            && completed.core().is_pending()
            && !tasks.is_true()?
        {
            completed.core().set_result(completed.as_obj(), &Obj::bool(true))?;
        }
        Ok(true)
    }
}

impl NativeType for NativeTaskGroup {
    const NAME: &'static CStr = c"batuta._batuta.NativeTaskGroup";
    const DOC: &'static CStr = c"Tasks of a batuta.TaskGroup.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(Self::init);
    const ASSIGNED: Option<AssignedFn<Self>> = Some(Self::assigned);

    fn cell() -> &'static TypeCell {
        &TASK_GROUP
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [
            &self.event_loop,
            &self.parent,
            &self.tasks,
            &self.errors,
            &self.base_error,
            &self.completed,
        ] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [
            &self.event_loop,
            &self.parent,
            &self.tasks,
            &self.errors,
            &self.base_error,
            &self.completed,
        ] {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        Properties::new()
            .flag(c"_entered", |this: &Py<Self>| &this.entered)
            .flag(c"_exiting", |this: &Py<Self>| &this.exiting)
            .flag(c"_aborting", |this: &Py<Self>| &this.aborting)
            .flag(c"_parent_cancel_requested", |this: &Py<Self>| &this.parent_cancel_requested)
            .flag(c"_cancel_on_enter", |this: &Py<Self>| &this.cancel_on_enter)
            .slot(c"_loop", |this: &Py<Self>| &this.event_loop)
            .slot(c"_parent_task", |this: &Py<Self>| &this.parent)
            .slot(c"_tasks", |this: &Py<Self>| &this.tasks)
            .slot(c"_errors", |this: &Py<Self>| &this.errors)
            .slot(c"_base_error", |this: &Py<Self>| &this.base_error)
            .slot(c"_on_completed_fut", |this: &Py<Self>| &this.completed)
    }
}
