//! What others read of a task in the fields of `_asyncio.Task`, which native tasks extend:
//! `python -m asyncio ps PID` from outside (its name, its coroutine, who awaits it). And, where
//! they could not be led elsewhere (`future/unbound.rs`), the base's own methods when they are
//! called as functions (`asyncio.Task.get_coro(task)`), some of which do not expect these fields
//! to be empty.
//!
//! Native tasks keep these things in fields of their own, so they are put into the base's as
//! well. Where the base has them is found out at import, with a task and a future of the
//! interpreter's own. What cannot be found is left out: then `ps` shows less.
//!
//! Thread: the loop's.

use crate::asyncio::Asyncio;
#[cfg(Py_3_14)]
use crate::ffi::field::ByteField;
use crate::ffi::field::Field;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::{Obj, Py, PyResult, context};
#[cfg(Py_3_14)]
use crate::future::{Awaited, Future};

use super::Task;

static FIELDS: Global<Fields> = Global::new();

#[derive(Debug, Default)]
struct Fields {
    #[cfg(Py_3_14)]
    name: Option<Field<Task>>,
    coro: Option<Field<Task>>,
    context: Option<Field<Task>>,
    #[cfg(Py_3_14)]
    is_task: Option<ByteField<Task>>,
    /// Who awaits a task or future: one task, or a set of several.
    #[cfg(Py_3_14)]
    awaited_by: Option<(Field<Future>, Field<Task>)>,
}

/// Finds the fields; once, at import. `led` says that the base's own methods do not read them.
pub fn prepare(led: bool) -> PyResult<()> {
    if led && cfg!(not(Py_3_14)) {
        FIELDS.set(Fields::default());
        return Ok(());
    }
    let asyncio = Asyncio::get();
    // A loop that does nothing: `bool()` is false, and formatting an empty string takes any
    // arguments.
    let namespace = import(c"types")?.attr(c"SimpleNamespace")?;
    let keywords = Obj::dict()?;
    keywords.set_item("get_debug", &Obj::bool(false).class())?;
    keywords.set_item("call_soon", &Obj::str("")?.attr(c"format")?)?;
    let event_loop = namespace.call_dict(&[], &keywords)?;
    let keywords = Obj::dict()?;
    keywords.set_item("loop", &event_loop)?;
    #[cfg(Py_3_14)]
    let future = import(c"_asyncio")?.attr(c"Future")?.call_dict(&[], &keywords)?;
    let name = Obj::str("a name that nothing else in the interpreter has")?;
    keywords.set_item("name", &name)?;
    let coro = asyncio.tasks.attr(c"sleep")?.call1(&Obj::int(0)?)?;
    let context = context::copy_current()?;
    keywords.set_item("context", &context)?;
    let task = asyncio.task.call_dict(&[&coro], &keywords)?;
    FIELDS.set(Fields {
        context: if led { None } else { Field::holding(&task, &context) },
        #[cfg(Py_3_14)]
        name: Field::holding(&task, &name),
        coro: Field::holding(&task, &coro),
        #[cfg(Py_3_14)]
        is_task: ByteField::telling(&task, &future),
        #[cfg(Py_3_14)]
        awaited_by: {
            asyncio.registry.add_awaited_by.call2(&future, &task)?;
            let field = Field::holding(&future, &task).zip(Field::holding(&future, &task));
            asyncio.registry.discard_awaited_by.call2(&future, &task)?;
            field
        },
    });
    #[cfg(Py_3_14)]
    super::registry::prepare(&task, &event_loop)?;
    task.set_attr(c"_log_destroy_pending", &Obj::bool(false))?;
    coro.attr(c"close")?.call0().map(drop)
}

/// The task has begun.
#[inline]
pub fn show_task(task: &Py<Task>, coro: &Obj, context: &Obj) {
    let fields = FIELDS.get();
    if let Some(field) = &fields.context {
        field.set(task, Some(context.clone()));
    }
    if let Some(field) = &fields.coro {
        field.set(task, Some(coro.clone()));
    }
    #[cfg(Py_3_14)]
    if let Some(field) = &fields.is_task {
        field.set(task, true);
    }
}

/// The task has this name; a number N stands for `Task-N`.
#[cfg(Py_3_14)]
#[inline]
pub fn show_name(task: &Py<Task>, name: Obj) {
    if let Some(field) = &FIELDS.get().name {
        field.set(task, Some(name));
    }
}

/// The task ends.
#[inline]
pub fn hide(task: &Py<Task>) {
    let fields = FIELDS.get();
    #[cfg(Py_3_14)]
    if let Some(field) = &fields.name {
        field.set(task, None);
    }
    for field in [&fields.coro, &fields.context].into_iter().flatten() {
        field.set(task, None);
    }
    #[cfg(Py_3_14)]
    if let Some(field) = &fields.is_task {
        field.set(task, false);
    }
}

/// The task has no coroutine any more.
#[cfg(Py_3_12)]
pub fn hide_coro(task: &Py<Task>) {
    if let Some(field) = &FIELDS.get().coro {
        field.set(task, None);
    }
}

/// `task` waits for `awaited`.
#[cfg(Py_3_14)]
#[inline]
pub fn waits(task: &Py<Task>, awaited: &Obj) -> PyResult<()> {
    if let Some((of_future, of_task)) = &FIELDS.get().awaited_by {
        match Awaited::from_exact(awaited) {
            Some(Awaited::Future(future)) if of_future.is_empty(&future) => {
                of_future.set(&future, Some(task.as_obj().clone()));
                return Ok(());
            }
            Some(Awaited::Task(child)) if of_task.is_empty(&child) => {
                of_task.set(&child, Some(task.as_obj().clone()));
                return Ok(());
            }
            _ => {}
        }
    }
    Asyncio::get().registry.add_awaited_by.call2(awaited, task.as_obj()).map(drop)
}

/// `task` waits for `awaited` no longer.
#[cfg(Py_3_14)]
#[inline]
pub fn waits_no_longer(task: &Py<Task>, awaited: &Obj) -> PyResult<()> {
    if let Some((of_future, of_task)) = &FIELDS.get().awaited_by {
        match Awaited::from_exact(awaited) {
            Some(Awaited::Future(future)) if of_future.holds(&future, task.as_obj()) => {
                of_future.set(&future, None);
                return Ok(());
            }
            Some(Awaited::Task(child)) if of_task.holds(&child, task.as_obj()) => {
                of_task.set(&child, None);
                return Ok(());
            }
            _ => {}
        }
    }
    Asyncio::get().registry.discard_awaited_by.call2(awaited, task.as_obj()).map(drop)
}
