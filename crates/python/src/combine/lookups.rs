//! What is looked up of the interpreter's `asyncio.tasks` and its neighbours, once at
//! import.

use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::{Obj, PyResult};

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _cancel_message, _log_destroy_pending, _make_cancelled_error, _on_task_done, cancelled,
        return_exceptions,
    }
}

/// The interpreter's own functions.
#[derive(Debug)]
pub struct Lookups {
    /// Interned names.
    pub names: Names,
    /// `asyncio.isfuture`.
    pub isfuture: Obj,
    /// `asyncio.futures._get_loop`.
    pub get_loop: Obj,
    /// `asyncio._get_running_loop`.
    pub get_running_loop: Obj,
    /// `asyncio.gather`, the interpreter's.
    pub gather: Obj,
    /// The name of the function that makes futures of what can be awaited, in
    /// `asyncio.tasks`: 3.11 has one of its own for `gather`.
    pub ensure_future: Name,
    /// `asyncio.TaskGroup.create_task`, the interpreter's.
    pub group_create_task: Obj,
    /// `asyncio.TaskGroup._on_task_done`, the interpreter's.
    pub group_task_done: Obj,
    /// `asyncio.current_task`.
    #[cfg(Py_3_14)]
    pub current_task: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();

/// Looks everything up.
pub fn load() -> PyResult<()> {
    let tasks = import(c"asyncio.tasks")?;
    let futures = import(c"asyncio.futures")?;
    let group = import(c"asyncio.taskgroups")?.attr(c"TaskGroup")?;
    let ensure_future = if cfg!(Py_3_12) { c"ensure_future" } else { c"_ensure_future" };
    LOOKUPS.set(Lookups {
        names: Names::intern()?,
        isfuture: futures.attr(c"isfuture")?,
        get_loop: futures.attr(c"_get_loop")?,
        get_running_loop: import(c"_asyncio")?.attr(c"_get_running_loop")?,
        gather: tasks.attr(c"gather")?,
        ensure_future: Name::intern(ensure_future)?,
        group_create_task: group.attr(c"create_task")?,
        group_task_done: group.attr(c"_on_task_done")?,
        #[cfg(Py_3_14)]
        current_task: import(c"_asyncio")?.attr(c"current_task")?,
    });
    Ok(())
}

/// The interpreter's own functions.
#[inline]
pub fn stock() -> &'static Lookups {
    LOOKUPS.get()
}

/// The loop that runs in this thread.
pub fn running_loop() -> PyResult<Option<Obj>> {
    Ok(stock().get_running_loop.call0()?.non_none().cloned())
}
