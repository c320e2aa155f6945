//! What the module needs to know of the interpreter's own asyncio: names,
//! classes and functions, looked up once at import.

use crate::event_loop::HandleRun;
use crate::ffi::error::PyResult;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::object::Obj;

declare_names! {
    /// Attribute and keyword names used at run time.
    pub struct Names {
        __await__, _accept_later, _add_callback, _asyncio_future_blocking, _attach,
        _call_connection_lost, _cancelled, _check_callback, _check_thread, _conn_lost,
        _decref_socketios, _detach, _handle_signal, _io_refs, _loop,
        _retry_sending, _run, _start_reading, _transports, _watch_reader, accept, add_done_callback,
        addr, address, buffer_updated, call_at, call_exception_handler,
        call_later, call_soon, call_soon_threadsafe, callback, cancel, close,
        connection_lost, connection_made, context, coro, create_future, create_task, data, data_received, datagram_received,
        debug, default, delay, done, eager_start, eof_received, error_received, exception, extra, fd, file, fileno,
        future, get, get_buffer, get_debug, get_loop, getpeername, getsockname, handle, high, info, is_closing, is_running, limit,
        list_of_data, low,
        message, msg, name, pause_writing, peername, protocol, recvfrom, result, resume_writing, send, sendto,
        server, set_exception, set_result, setblocking, socket, sockname, source_traceback, task, throw, time, transport, update,
        waiter, warning, when, write,
    }
}

/// The interpreter's asyncio.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each one a difference between releases")]
pub struct Asyncio {
    /// Interned names.
    pub names: Names,
    /// `asyncio.tasks`.
    pub tasks: Obj,
    /// `asyncio.tasks.__dict__`.
    tasks_dict: Obj,
    /// `"Task"`.
    pub task_name: Name,
    /// `_asyncio.Future`.
    pub future: Obj,
    /// `_asyncio.Task`.
    pub task: Obj,
    /// `asyncio.BaseEventLoop`.
    pub base_event_loop: Obj,
    /// `asyncio.BufferedProtocol`.
    pub buffered_protocol: Obj,
    /// `asyncio.base_events`.
    pub base_events: Obj,
    /// `asyncio.format_helpers`.
    pub format_helpers: Obj,
    /// `asyncio.trsock.TransportSocket`.
    pub transport_socket: Obj,
    /// `asyncio.futures._set_result_unless_cancelled`.
    pub set_result_unless_cancelled: Obj,
    /// `asyncio.base_events._format_handle`.
    pub format_handle: Obj,
    /// `asyncio.base_events._set_nodelay`.
    pub set_nodelay: Obj,
    /// `asyncio.constants._SendfileMode.TRY_NATIVE`.
    pub sendfile_try_native: Obj,
    /// Whether `format_helpers._format_callback_source` takes `debug=` (it came
    /// with a patch release of 3.13).
    pub formats_by_debug: bool,
    /// `sys._getframe`.
    pub getframe: Obj,
    /// `asyncio.CancelledError`.
    pub cancelled_error: Obj,
    /// `asyncio.InvalidStateError`.
    pub invalid_state_error: Obj,
    /// `asyncio.Handle._run`.
    pub handle_run: HandleRun,
    /// Whether a `StopIteration` set on a future becomes a `RuntimeError`, as from
    /// 3.11.8 and 3.12.2 on, and is not refused.
    pub converts_stop_iteration: bool,
    /// Whether a second `__init__`, and a context that is none, are refused, as from
    /// 3.15 on.
    pub checks_init: bool,
    /// Whether `create_task` hands all keywords to the task, `eager_start` too, as from
    /// 3.13.3 on.
    pub creates_eager_tasks: bool,
    /// `asyncio.iscoroutine`.
    pub iscoroutine: Obj,
    /// `asyncio.get_event_loop`, the native one.
    pub get_event_loop: Obj,
    /// `asyncio.get_running_loop`, the native one.
    pub get_running_loop: Obj,
    /// `asyncio._get_running_loop`, the native one.
    pub get_running_loop_or_none: Obj,
    /// Under which the thread's dict has the running loop.
    #[cfg(not(Py_3_14))]
    pub running_loop_key: Name,
    /// `asyncio.base_futures._future_repr`.
    pub future_repr: Obj,
    /// `asyncio.base_tasks`.
    pub base_tasks: Obj,
    /// `asyncio.tasks._register_task`, and so on: the native ones.
    pub registry: Registry,
    /// `"loop"`.
    pub loop_name: Name,
    /// `("context",)`.
    pub context_keyword: Obj,
    /// `("loop",)`.
    pub loop_keyword: Obj,
    /// `("msg",)`.
    pub msg_keyword: Obj,
}

/// Where the interpreter keeps its tasks: functions of `_asyncio`.
#[derive(Debug)]
pub struct Registry {
    /// A task was scheduled.
    #[cfg(Py_3_14)]
    pub register: Obj,
    /// A task has ended.
    #[cfg(Py_3_14)]
    pub unregister: Obj,
    /// Which task runs, by loop.
    #[cfg(not(Py_3_14))]
    pub current: Obj,
    /// A task runs.
    pub enter: Obj,
    /// A task has stopped running.
    pub leave: Obj,
    /// A task starts inside another one.
    #[cfg(Py_3_12)]
    pub swap_current: Obj,
    /// A task starts at once.
    #[cfg(Py_3_12)]
    pub register_eager: Obj,
    /// A task has made its first step.
    #[cfg(Py_3_12)]
    pub unregister_eager: Obj,
    /// A task waits for a future.
    #[cfg(Py_3_14)]
    pub add_awaited_by: Obj,
    /// A task waits no longer for a future.
    #[cfg(Py_3_14)]
    pub discard_awaited_by: Obj,
}

impl Registry {
    fn load(native: &Obj) -> PyResult<Self> {
        Ok(Self {
            #[cfg(Py_3_14)]
            register: native.attr(c"_register_task")?,
            #[cfg(Py_3_14)]
            unregister: native.attr(c"_unregister_task")?,
            #[cfg(not(Py_3_14))]
            current: native.attr(c"_current_tasks")?,
            enter: native.attr(c"_enter_task")?,
            leave: native.attr(c"_leave_task")?,
            #[cfg(Py_3_12)]
            swap_current: native.attr(c"_swap_current_task")?,
            #[cfg(Py_3_12)]
            register_eager: native.attr(c"_register_eager_task")?,
            #[cfg(Py_3_12)]
            unregister_eager: native.attr(c"_unregister_eager_task")?,
            #[cfg(Py_3_14)]
            add_awaited_by: native.attr(c"future_add_to_awaited_by")?,
            #[cfg(Py_3_14)]
            discard_awaited_by: native.attr(c"future_discard_from_awaited_by")?,
        })
    }
}

/// `sys.hexversion` of the first release whose futures convert `StopIteration`.
const FIRST_TO_CONVERT: i64 = if cfg!(Py_3_12) { 0x030c_02f0 } else { 0x030b_08f0 };

/// Whether a Python function takes `**keywords`.
fn takes_all_keywords(function: &Obj) -> PyResult<bool> {
    const CO_VARKEYWORDS: i64 = 8;
    let code = function.attr_or_none(c"__code__")?;
    // (Somebody else's may have none.)
    Ok(!code.is_none() && code.attr(c"co_flags")?.to_i64()? & CO_VARKEYWORDS != 0)
}

static ASYNCIO: Global<Asyncio> = Global::new();

impl Asyncio {
    /// Looks everything up.
    pub fn load() -> PyResult<()> {
        let base_events = import(c"asyncio.base_events")?;
        let native = import(c"_asyncio")?;
        let version = import(c"sys")?.attr(c"hexversion")?.to_i64()?;
        let keywords = |names: &[&str]| {
            let names = names.iter().map(|name| Obj::str(name)).collect::<PyResult<Vec<_>>>()?;
            Obj::tuple(&names)
        };
        ASYNCIO.set(Self {
            names: Names::intern()?,
            tasks: import(c"asyncio.tasks")?,
            tasks_dict: import(c"asyncio.tasks")?.attr(c"__dict__")?,
            task_name: Name::intern(c"Task")?,
            future: native.attr(c"Future")?,
            task: native.attr(c"Task")?,
            base_event_loop: base_events.attr(c"BaseEventLoop")?,
            buffered_protocol: import(c"asyncio.protocols")?.attr(c"BufferedProtocol")?,
            format_helpers: import(c"asyncio.format_helpers")?,
            transport_socket: import(c"asyncio.trsock")?.attr(c"TransportSocket")?,
            set_result_unless_cancelled: import(c"asyncio.futures")?
                .attr(c"_set_result_unless_cancelled")?,
            format_handle: base_events.attr(c"_format_handle")?,
            set_nodelay: base_events.attr(c"_set_nodelay")?,
            sendfile_try_native: import(c"asyncio.constants")?
                .attr(c"_SendfileMode")?
                .attr(c"TRY_NATIVE")?,
            handle_run: HandleRun::load(import(c"asyncio.events")?.attr(c"Handle")?)?,
            cancelled_error: import(c"asyncio.exceptions")?.attr(c"CancelledError")?,
            invalid_state_error: import(c"asyncio.exceptions")?.attr(c"InvalidStateError")?,
            converts_stop_iteration: version >= FIRST_TO_CONVERT,
            creates_eager_tasks: takes_all_keywords(
                &base_events.attr(c"BaseEventLoop")?.attr(c"create_task")?,
            )?,
            checks_init: version >= 0x030f_0000,
            iscoroutine: import(c"asyncio.coroutines")?.attr(c"iscoroutine")?,
            get_event_loop: native.attr(c"get_event_loop")?,
            get_running_loop: native.attr(c"get_running_loop")?,
            get_running_loop_or_none: native.attr(c"_get_running_loop")?,
            #[cfg(not(Py_3_14))]
            running_loop_key: Name::intern(c"__asyncio_running_event_loop__")?,
            future_repr: import(c"asyncio.base_futures")?.attr(c"_future_repr")?,
            base_tasks: import(c"asyncio.base_tasks")?,
            registry: Registry::load(&native)?,
            loop_name: Name::intern(c"loop")?,
            loop_keyword: keywords(&["loop"])?,
            msg_keyword: keywords(&["msg"])?,
            context_keyword: keywords(&["context"])?,
            formats_by_debug: import(c"asyncio.format_helpers")?
                .attr(c"_format_callback_source")?
                .attr(c"__code__")?
                .attr(c"co_kwonlyargcount")?
                .is_true()?,
            getframe: import(c"sys")?.attr(c"_getframe")?,
            base_events,
        });
        Ok(())
    }

    /// What `asyncio.tasks.Task` is now.
    #[inline]
    pub fn task_class(&self) -> PyResult<Obj> {
        match self.tasks_dict.dict_get(self.task_name.as_obj())? {
            Some(class) => Ok(class),
            None => self.tasks.getattr(&self.task_name),
        }
    }

    /// The interpreter's asyncio.
    #[inline]
    pub fn get() -> &'static Self {
        ASYNCIO.get()
    }
}

/// asyncio's logger, as its event loop sees it: programs replace it there.
pub fn logger() -> PyResult<Obj> {
    Asyncio::get().base_events.attr(c"logger")
}

/// The interned names.
#[inline]
pub fn names() -> &'static Names {
    &Asyncio::get().names
}

/// The stack of the Python code that is running, as handles, futures and tasks
/// keep it in debug mode.
pub fn source_traceback() -> PyResult<Obj> {
    let frame = Asyncio::get().getframe.call0()?;
    Asyncio::get().format_helpers.attr(c"extract_stack")?.call1(&frame)
}
