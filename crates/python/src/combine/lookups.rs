//! What is looked up of the interpreter's `asyncio.tasks` and its neighbours, once at
//! import.

use crate::asyncio::Asyncio;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::{Obj, PyResult};

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _cancel_message, _cancelling, _log_destroy_pending, _make_cancelled_error, _on_task_done,
        _on_timeout, _state, _task, cancelled, cancelling, create_future, delay, fut,
        remove_done_callback, result, return_exceptions, return_when, timeout, when,
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
    #[cfg(Py_3_14)]
    current_task: Obj,
    /// The name of the function that makes futures of what can be awaited, in
    /// `asyncio.tasks`: 3.11 has one of its own for `gather`.
    pub ensure_future: Name,
    /// `asyncio.gather`.
    pub gather: Obj,
    /// `asyncio.sleep`.
    pub sleep: Obj,
    /// `math.isnan`.
    #[cfg(Py_3_13)]
    pub isnan: Obj,
    /// `asyncio.wait`.
    pub wait: Obj,
    /// `("timeout", "return_when")`.
    pub wait_keywords: Obj,
    /// `ALL_COMPLETED`, `FIRST_EXCEPTION`, `FIRST_COMPLETED`.
    pub wait_constants: [Obj; 3],
    /// `asyncio.wait_for`.
    pub wait_for: Obj,
    /// `asyncio.TimeoutError`.
    #[cfg(not(Py_3_12))]
    pub timeout_error: Obj,
    /// `asyncio.timeout`.
    pub timeout: Obj,
    /// `asyncio.timeout_at`.
    pub timeout_at: Obj,
    /// `asyncio.Timeout`.
    pub stock_timeout: Obj,
    /// `asyncio.Timeout.__aenter__`.
    pub timeout_enter: Obj,
    /// `asyncio.Timeout.__aexit__`.
    pub timeout_exit: Obj,
    /// `asyncio.Timeout.reschedule`.
    pub timeout_reschedule: Obj,
    /// The members of `asyncio.timeouts._State`: created, entered, expiring, expired,
    /// exited.
    pub timeout_states: [Obj; 5],
    /// `asyncio.TaskGroup.__init__`.
    pub group_init: Obj,
    /// `asyncio.TaskGroup.__aenter__`.
    pub group_enter: Obj,
    /// `asyncio.TaskGroup.__aexit__`.
    pub group_exit: Obj,
    /// `asyncio.TaskGroup.create_task`.
    pub group_create_task: Obj,
    /// Whether that names a task when it has a number already (3.11 and 3.12).
    pub group_names_later: bool,
    /// `asyncio.TaskGroup._on_task_done`.
    pub group_task_done: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();

/// Whether a function calls `_set_task_name()`.
fn names_later(create_task: &Obj) -> PyResult<bool> {
    let code = create_task.attr_or_none(c"__code__")?;
    if code.is_none() {
        return Ok(false); // Somebody else's.
    }
    let (called, own) = (code.attr(c"co_names")?.collect()?, Obj::str("_set_task_name")?);
    Ok(called.iter().any(|name| name.equals(&own).unwrap_or(false)))
}

/// Looks everything up.
pub fn load() -> PyResult<()> {
    let tasks = import(c"asyncio.tasks")?;
    let futures = import(c"asyncio.futures")?;
    let group = import(c"asyncio.taskgroups")?.attr(c"TaskGroup")?;
    let timeouts = import(c"asyncio.timeouts")?;
    let timeout = timeouts.attr(c"Timeout")?;
    let states = timeouts.attr(c"_State")?;
    let ensure_future = if cfg!(Py_3_12) { c"ensure_future" } else { c"_ensure_future" };
    LOOKUPS.set(Lookups {
        names: Names::intern()?,
        isfuture: futures.attr(c"isfuture")?,
        get_loop: futures.attr(c"_get_loop")?,
        #[cfg(Py_3_14)]
        current_task: import(c"_asyncio")?.attr(c"current_task")?,
        ensure_future: Name::intern(ensure_future)?,
        gather: tasks.attr(c"gather")?,
        sleep: tasks.attr(c"sleep")?,
        #[cfg(Py_3_13)]
        isnan: import(c"math")?.attr(c"isnan")?,
        wait: tasks.attr(c"wait")?,
        wait_keywords: Obj::tuple(&[Obj::str("timeout")?, Obj::str("return_when")?])?,
        wait_constants: [
            tasks.attr(c"ALL_COMPLETED")?,
            tasks.attr(c"FIRST_EXCEPTION")?,
            tasks.attr(c"FIRST_COMPLETED")?,
        ],
        wait_for: tasks.attr(c"wait_for")?,
        #[cfg(not(Py_3_12))]
        timeout_error: import(c"asyncio.exceptions")?.attr(c"TimeoutError")?,
        timeout: timeouts.attr(c"timeout")?,
        timeout_at: timeouts.attr(c"timeout_at")?,
        timeout_enter: timeout.attr(c"__aenter__")?,
        timeout_exit: timeout.attr(c"__aexit__")?,
        timeout_reschedule: timeout.attr(c"reschedule")?,
        stock_timeout: timeout,
        timeout_states: [
            states.attr(c"CREATED")?,
            states.attr(c"ENTERED")?,
            states.attr(c"EXPIRING")?,
            states.attr(c"EXPIRED")?,
            states.attr(c"EXITED")?,
        ],
        group_init: group.attr(c"__init__")?,
        group_enter: group.attr(c"__aenter__")?,
        group_exit: group.attr(c"__aexit__")?,
        group_names_later: names_later(&group.attr(c"create_task")?)?,
        group_create_task: group.attr(c"create_task")?,
        group_task_done: group.attr(c"_on_task_done")?,
    });
    Ok(())
}

/// The interpreter's own functions.
#[inline]
pub fn stock() -> &'static Lookups {
    LOOKUPS.get()
}

/// What `asyncio.tasks.current_task` says, if a program has replaced that function: tasks
/// written in Python are known to functions written in Python only.
#[cfg(Py_3_14)]
fn current_task_of_others(event_loop: &Obj) -> PyResult<Option<Obj>> {
    let function = Asyncio::get().tasks.attr(c"current_task")?;
    if function.is(&stock().current_task) {
        return Ok(None);
    }
    function.call1(event_loop).map(Some)
}

/// The task that the loop runs.
#[inline]
pub fn current_task(event_loop: &Obj) -> PyResult<Option<Obj>> {
    #[cfg(Py_3_14)]
    let found = match stock().current_task.call1(event_loop)? {
        none if none.is_none() => current_task_of_others(event_loop)?,
        task => Some(task),
    };
    #[cfg(not(Py_3_14))]
    let found = Asyncio::get().registry.current.dict_get(event_loop)?;
    Ok(found.filter(|task| !task.is_none()))
}
