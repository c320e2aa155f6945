//! Before 3.14: `all_tasks()` reads a `WeakSet`, and putting a task into it costs more than the
//! rest of its making. Therefore tasks are listed here first, and go into that set when somebody
//! looks at it: `batuta.task_set` makes it ask [`take_unregistered`]. The current tasks are in a
//! dict, by loop.

use crate::asyncio::Asyncio;
use crate::ffi::roster::Roster;
use crate::ffi::{Obj, Py, PyResult};

use super::super::Task;

static UNREGISTERED: Roster = Roster::new();

/// `all_tasks()` shall know it.
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on")]
pub fn register(task: &Py<Task>) -> PyResult<()> {
    UNREGISTERED.add(task, |task| &task.link);
    Ok(())
}

/// `all_tasks()` shall know it no longer. asyncio's set holds tasks weakly, and leaves finished
/// ones out.
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "fails from 3.14 on")]
pub fn forget(task: &Py<Task>) -> PyResult<()> {
    task.link.leave();
    Ok(())
}

/// The tasks that asyncio's set has not seen; from now on it has.
pub fn take_unregistered() -> Vec<Obj> {
    UNREGISTERED.take_all()
}

/// `task` becomes the current one of its loop, unless there is one.
#[inline]
pub fn enter(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    let registry = &Asyncio::get().registry;
    let free = registry.current.dict_insert_new(event_loop, task.as_obj())?;
    // Raises, in asyncio's words.
    if free { Ok(()) } else { registry.enter.call2(event_loop, task.as_obj()).map(drop) }
}

/// No task is the current one of the loop any more; `task` has been.
#[inline]
pub fn leave(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    let registry = &Asyncio::get().registry;
    match registry.current.dict_get(event_loop)? {
        Some(current) if current.is(task.as_obj()) => registry.current.dict_remove(event_loop),
        // Raises, in asyncio's words.
        _ => registry.leave.call2(event_loop, task.as_obj()).map(drop),
    }
}

/// `task` becomes the current one of its loop; another one is.
#[inline]
pub fn replace(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    Asyncio::get().registry.current.dict_insert(event_loop, task.as_obj())
}
