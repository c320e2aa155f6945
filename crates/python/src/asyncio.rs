//! What the module needs to know of the interpreter's own asyncio: names,
//! classes and functions, looked up once at import.

use crate::ffi::error::PyResult;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::object::Obj;

declare_names! {
    /// Attribute and keyword names used at run time.
    pub struct Names {
        __await__, _accept_later, _add_callback, _asyncio_future_blocking, _call_connection_lost,
        _cancelled, _check_callback, _check_thread, _conn_lost, _detach, _handle_signal,
        _retry_sending, _run, _start_reading, _transports, _watch_reader, accept, addr, address,
        buffer_updated, call_exception_handler, close, connection_lost, connection_made, context,
        data, data_received, datagram_received, debug, done, eof_received, error_received,
        exception, extra, fileno, get_buffer, handle, high, info, low, message, name, pause_writing,
        protocol, recvfrom, resume_writing, send, sendto, server, set_exception, set_result,
        setblocking, source_traceback, transport, waiter, warning,
    }
}

/// The interpreter's asyncio.
#[derive(Debug)]
pub struct Asyncio {
    /// Interned names.
    pub names: Names,
    /// `asyncio.tasks`.
    pub tasks: Obj,
    /// `"Task"`.
    pub task_name: Name,
    /// `asyncio.Future`.
    pub future: Obj,
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
    /// `("loop",)`.
    pub loop_keyword: Obj,
    /// `("loop", "name")`.
    pub loop_name_keywords: Obj,
    /// `("loop", "name", "context")`.
    pub task_keywords: Obj,
}

static ASYNCIO: Global<Asyncio> = Global::new();

impl Asyncio {
    /// Looks everything up.
    pub fn load() -> PyResult<()> {
        let base_events = import(c"asyncio.base_events")?;
        let keywords = |names: &[&str]| {
            let names = names.iter().map(|name| Obj::str(name)).collect::<PyResult<Vec<_>>>()?;
            Obj::tuple(&names)
        };
        ASYNCIO.set(Self {
            names: Names::intern()?,
            tasks: import(c"asyncio.tasks")?,
            task_name: Name::intern(c"Task")?,
            future: import(c"asyncio.futures")?.attr(c"Future")?,
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
            formats_by_debug: import(c"asyncio.format_helpers")?
                .attr(c"_format_callback_source")?
                .attr(c"__code__")?
                .attr(c"co_kwonlyargcount")?
                .is_true()?,
            getframe: import(c"sys")?.attr(c"_getframe")?,
            base_events,
            loop_keyword: keywords(&["loop"])?,
            loop_name_keywords: keywords(&["loop", "name"])?,
            task_keywords: keywords(&["loop", "name", "context"])?,
        });
        Ok(())
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
