//! What `python -m asyncio ps PID` reads of a task from outside: its name, its coroutine, and
//! who awaits it, in the fields of `_asyncio.Task`.
//!
//! Native tasks keep these things in fields of their own, so they are put into the base's as
//! well. Where the base has them is found out at import, with a task and a future of the
//! interpreter's own. What cannot be found is left out: then `ps` shows less.
//!
//! Thread: the loop's.

use crate::asyncio::Asyncio;
use crate::ffi::field::{ByteField, Field};
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::{Obj, Py, PyResult};
use crate::future::{Awaited, Future};

use super::Task;

static FIELDS: Global<Fields> = Global::new();

#[derive(Debug)]
struct Fields {
    name: Option<Field<Task>>,
    coro: Option<Field<Task>>,
    is_task: Option<ByteField<Task>>,
    /// Who awaits a task or future: one task, or a set of several.
    awaited_by: Option<(Field<Future>, Field<Task>)>,
}

/// Finds the fields; once, at import.
pub fn prepare() -> PyResult<()> {
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
    let future = import(c"_asyncio")?.attr(c"Future")?.call_dict(&[], &keywords)?;
    let name = Obj::str("a name that nothing else in the interpreter has")?;
    keywords.set_item("name", &name)?;
    let coro = asyncio.tasks.attr(c"sleep")?.call1(&Obj::int(0)?)?;
    let task = asyncio.task.call_dict(&[&coro], &keywords)?;
    FIELDS.set(Fields {
        name: Field::holding(&task, &name),
        coro: Field::holding(&task, &coro),
        is_task: ByteField::telling(&task, &future),
        awaited_by: {
            asyncio.registry.add_awaited_by.call2(&future, &task)?;
            let field = Field::holding(&future, &task).zip(Field::holding(&future, &task));
            asyncio.registry.discard_awaited_by.call2(&future, &task)?;
            field
        },
    });
    task.set_attr(c"_log_destroy_pending", &Obj::bool(false))?;
    coro.attr(c"close")?.call0().map(drop)
}

/// The task has begun.
#[inline]
pub fn show_task(task: &Py<Task>, coro: &Obj) {
    let fields = FIELDS.get();
    if let Some(field) = &fields.coro {
        field.set(task, Some(coro.clone()));
    }
    if let Some(field) = &fields.is_task {
        field.set(task, true);
    }
}

/// The task has this name; a number N stands for `Task-N`.
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
    for field in [&fields.name, &fields.coro].into_iter().flatten() {
        field.set(task, None);
    }
    if let Some(field) = &fields.is_task {
        field.set(task, false);
    }
}

/// The task has no coroutine any more.
pub fn hide_coro(task: &Py<Task>) {
    if let Some(field) = &FIELDS.get().coro {
        field.set(task, None);
    }
}

/// `task` waits for `awaited`.
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
