//! What this folder needs to know of the interpreter, looked up once at import.

use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::declare_names;
use crate::ffi::{Obj, PyResult};

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _buffer, _client_connected_cb, _closed, _connection_lost, _drain_helper, _drain_waiters,
        _eof, _exception, _limit, _maybe_resume_transport, _over_ssl, _paused, _reject_connection,
        _source_traceback, _stream_reader, _stream_reader_wr, _stream_writer, _strong_reader,
        _task, _transport, _wait_for_data, _waiter, _wakeup_waiter, can_write_eof, cancelled,
        client_connected_cb, data_received, default, exc, exception, extend, feed_data, feed_eof,
        find, get_extra_info, n, name, pause_reading, read, reader, readline, readuntil,
        resume_reading, separator, set_transport, sslcontext, stream_reader, write_eof,
        writelines,
    }
}

/// The interpreter's modules.
#[derive(Debug)]
pub struct Lookups {
    /// Interned names.
    pub names: Names,
    /// `asyncio.StreamReader`.
    pub reader: Obj,
    /// `asyncio.StreamReaderProtocol`.
    pub protocol: Obj,
    /// `asyncio.StreamWriter`.
    pub writer: Obj,
    /// What a line may be long if nobody says it.
    pub default_limit: Obj,
    /// `asyncio.IncompleteReadError`.
    pub incomplete_read: Obj,
    /// `asyncio.LimitOverrunError`.
    pub limit_overrun: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();

impl Lookups {
    /// Looks everything up.
    pub fn load() -> PyResult<()> {
        let streams = import(c"asyncio.streams")?;
        let exceptions = import(c"asyncio.exceptions")?;
        LOOKUPS.set(Self {
            names: Names::intern()?,
            reader: streams.attr(c"StreamReader")?,
            protocol: streams.attr(c"StreamReaderProtocol")?,
            writer: streams.attr(c"StreamWriter")?,
            default_limit: streams.attr(c"_DEFAULT_LIMIT")?,
            incomplete_read: exceptions.attr(c"IncompleteReadError")?,
            limit_overrun: exceptions.attr(c"LimitOverrunError")?,
        });
        Ok(())
    }

    /// The interpreter's modules.
    #[inline]
    pub fn get() -> &'static Self {
        LOOKUPS.get()
    }
}

/// The interned names.
#[inline]
pub fn own_names() -> &'static Names {
    &Lookups::get().names
}
