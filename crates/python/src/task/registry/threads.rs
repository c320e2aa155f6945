//! From 3.14 on: the interpreter lists the tasks of a thread in its thread state, and the one
//! that runs stands there, too. Functions of `_asyncio` do that; calling them costs a fifth of the
//! making and running of a task, so the places are found once, at import, and written directly.
//! Where one cannot be found, or when something is wrong, the functions are called: they raise.

use crate::asyncio::Asyncio;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::thread_state::{ThreadField, ThreadList};
use crate::ffi::{Obj, Py, PyResult};

use super::super::Task;

static PLACES: Global<Option<Places>> = Global::new();

#[derive(Debug)]
struct Places {
    tasks: ThreadList<Task>,
    running_loop: ThreadField,
    current: ThreadField,
}

/// Finds the places; once, at import. `task` is one of the interpreter's own, of `event_loop`.
pub fn prepare(task: &Obj, event_loop: &Obj) -> PyResult<()> {
    let registry = &Asyncio::get().registry;
    registry.unregister.call1(task)?;
    let tasks = ThreadList::found(
        task,
        || registry.register.call1(task).map(drop),
        || registry.unregister.call1(task).map(drop),
    )?;
    PLACES.set(match tasks {
        None => None,
        Some(tasks) => find_fields(task, event_loop, &tasks)?
            .map(|(running_loop, current)| Places { tasks, running_loop, current }),
    });
    Ok(())
}

/// The fields of the running loop and the current task. A program may import this module in a
/// coroutine, so both are put back.
fn find_fields(
    task: &Obj,
    event_loop: &Obj,
    tasks: &ThreadList<Task>,
) -> PyResult<Option<(ThreadField, ThreadField)>> {
    let native = import(c"_asyncio")?;
    let (get_running, set_running) =
        (native.attr(c"_get_running_loop")?, native.attr(c"_set_running_loop")?);
    let swap = &Asyncio::get().registry.swap_current;
    let none = Obj::none();
    let former_loop = get_running.call0()?;
    let former = match former_loop.non_none() {
        Some(former_loop) => swap.call2(former_loop, &none)?,
        None => none.clone(),
    };
    set_running.call1(event_loop)?;
    swap.call2(event_loop, task)?;
    let fields = ThreadField::holding(event_loop, tasks).zip(ThreadField::holding(task, tasks));
    swap.call2(event_loop, &none)?;
    set_running.call1(&former_loop)?;
    if let Some(former_loop) = former_loop.non_none() {
        swap.call2(former_loop, &former)?;
    }
    Ok(fields)
}

/// `all_tasks()` shall know it.
#[inline]
pub fn register(task: &Py<Task>) -> PyResult<()> {
    match PLACES.get() {
        Some(places) => {
            places.tasks.add(task);
            Ok(())
        }
        None => Asyncio::get().registry.register.call1(task.as_obj()).map(drop),
    }
}

/// `all_tasks()` shall know it no longer.
#[inline]
pub fn forget(task: &Py<Task>) -> PyResult<()> {
    match PLACES.get() {
        Some(places) => {
            places.tasks.remove(task);
            Ok(())
        }
        None => Asyncio::get().registry.unregister.call1(task.as_obj()).map(drop),
    }
}

/// `task` becomes the current one of its loop, unless there is one.
#[inline]
pub fn enter(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    match PLACES.get() {
        Some(places) if places.running_loop.holds(event_loop) && places.current.is_empty() => {
            places.current.set(Some(task.as_obj().clone()));
            Ok(())
        }
        _ => Asyncio::get().registry.enter.call2(event_loop, task.as_obj()).map(drop),
    }
}

/// No task is the current one of the loop any more; `task` has been.
#[inline]
pub fn leave(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    match PLACES.get() {
        Some(places)
            if places.running_loop.holds(event_loop) && places.current.holds(task.as_obj()) =>
        {
            places.current.set(None);
            Ok(())
        }
        _ => Asyncio::get().registry.leave.call2(event_loop, task.as_obj()).map(drop),
    }
}

/// `task` becomes the current one of its loop; another one is.
#[inline]
pub fn replace(task: &Py<Task>, event_loop: &Obj) -> PyResult<()> {
    match PLACES.get() {
        Some(places) if places.running_loop.holds(event_loop) => {
            places.current.set(Some(task.as_obj().clone()));
            Ok(())
        }
        _ => Asyncio::get().registry.swap_current.call2(event_loop, task.as_obj()).map(drop),
    }
}
