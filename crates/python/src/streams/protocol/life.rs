//! A connection's life, as its protocol sees it: from `__init__` to `__del__`.
//!
//! Role: what asyncio's class does once for each connection. What comes seldom (an open stream that
//! was garbage before it was connected, a loop that has to be looked for) is left to it, and so is
//! everything where a subclass has class attributes of the names of our fields.

use crate::asyncio::{Asyncio, names};
use crate::coroutine;
use crate::ffi::error::exception_class;
use crate::ffi::function::add_method;
use crate::ffi::gil::Global;
use crate::ffi::{Args, Obj, Py, PyResult, Slot};
use crate::future::Awaited;
use crate::sync::waiter;

use super::super::lookups::own_names;
use super::super::new_future;
use super::NativeStreamReaderProtocol;
use super::served::{self, Served};

/// `batuta.StreamWriter`
static WRITER_CLASS: Global<Obj> = Global::new();

/// Says which class a server's writers are of; once.
pub fn set_writer_class(class: &Obj) {
    WRITER_CLASS.set(class.clone());
}

/// Gives the class its methods.
pub(super) fn prepare(class: &Obj, stock: &Obj) -> PyResult<()> {
    type This = Py<NativeStreamReaderProtocol>;
    let init = stock.attr(c"__init__")?.native_init::<NativeStreamReaderProtocol>()?;
    class.set_attr(c"__init__", &init)?;
    add_method(class, stock, c"connection_made", |this: &This, args| this.connection_made(args))?;
    add_method(class, stock, c"connection_lost", |this: &This, args| this.connection_lost(args))?;
    add_method(class, stock, c"eof_received", |this: &This, args| this.eof_received(args))?;
    add_method(class, stock, c"__del__", |this: &This, args| {
        const NAME: &str = "StreamReaderProtocol.__del__";
        args.only_self(NAME)?;
        this.fits(NAME, args)?;
        this.seen()
    })
}

impl Py<NativeStreamReaderProtocol> {
    pub(super) fn init(&self, args: &Args<'_>) -> PyResult<()> {
        const NAME: &str = "StreamReaderProtocol.__init__";
        let own = own_names();
        let parameters = [&own.stream_reader, &own.client_connected_cb, &Asyncio::get().loop_name];
        let [reader, connected, event_loop] = args.bind(NAME, 0, parameters)?;
        let event_loop = event_loop.and_then(Obj::non_none);
        let (Some(reader), Some(event_loop)) = (reader, event_loop) else {
            return Err(args.unfit(NAME));
        };
        self.fits(NAME, args)?;
        let (reader, connected) = (reader.non_none(), connected.and_then(Obj::non_none));
        self.event_loop.set(Some(event_loop.clone()));
        self.paused.set(false);
        self.drain_waiters.clear();
        self.connection_lost.set(false);
        self.reader.set(reader.map(|reader| reader.weak_reference(None)).transpose()?);
        if let Some(reader) = reader {
            let traceback = reader.getattr(&own._source_traceback)?;
            if !traceback.is_none() {
                self.as_obj().setattr(&own._source_traceback, &traceback)?;
            }
        }
        // A server's reader has nobody else to hold it until there is a connection.
        self.strong_reader.set(connected.and(reader).cloned());
        self.connected.set(connected.cloned());
        self.rejects.set(false);
        self.over_tls.set(false);
        for slot in [&self.writer, &self.task, &self.transport] {
            slot.set(None);
        }
        self.closed.set(Some(new_future(&self.event_loop)?));
        Ok(())
    }

    fn connection_made(&self, args: &Args<'_>) -> PyResult<()> {
        const NAME: &str = "StreamReaderProtocol.connection_made";
        let transport = args.only(NAME, &names().transport)?;
        self.fits(NAME, args)?;
        if self.rejects.get() {
            return Err(args.unfit(NAME));
        }
        let own = own_names();
        self.transport.set(Some(transport.clone()));
        let reader = self.stream_reader()?;
        if let Some(reader) = &reader {
            reader.call_method1(&own.set_transport, transport)?;
        }
        let tls = transport.call_method1(&own.get_extra_info, own.sslcontext.as_obj())?;
        self.over_tls.set(!tls.is_none());
        match self.connected.get() {
            Some(connected) => self.give(&connected, transport, &Slot::from(reader).get_or_none()),
            None => Ok(()),
        }
    }

    /// Gives reader and writer to a server's program. What that raises is an error of the
    /// connection's from Python 3.14 on, and before of whoever has called us.
    fn give(&self, connected: &Obj, transport: &Obj, reader: &Obj) -> PyResult<()> {
        let event_loop = self.event_loop.get_or_none();
        let writer =
            WRITER_CLASS.get().call_with(&[transport, self.as_obj(), reader, &event_loop])?;
        if cfg!(not(Py_3_13)) {
            self.writer.set(Some(writer.clone()));
        }
        match connected.call2(reader, &writer) {
            Ok(result) => {
                if !result.is_none() && coroutine::is_coroutine(&result)? {
                    self.serve(&result, transport)?;
                }
            }
            Err(raised) if cfg!(Py_3_14) && raised.matches(exception_class()) => {
                let exception = raised.take();
                exception.while_handled(|| served::failed(&event_loop, &exception, transport))?;
            }
            Err(raised) => return Err(raised),
        }
        self.strong_reader.set(None);
        Ok(())
    }

    /// Runs what the program does with the connection.
    fn serve(&self, coroutine: &Obj, transport: &Obj) -> PyResult<()> {
        let event_loop = self.event_loop.get_or_none();
        let task = event_loop.call_method1(&names().create_task, coroutine)?;
        self.task.set(Some(task.clone()));
        let served = Py::new(Served::new(&event_loop, transport))?;
        task.call_method1(&names().add_done_callback, served.as_obj()).map(drop)
    }

    fn connection_lost(&self, args: &Args<'_>) -> PyResult<()> {
        const NAME: &str = "StreamReaderProtocol.connection_lost";
        let own = own_names();
        let exception = args.only(NAME, &own.exc)?;
        self.fits(NAME, args)?;
        if let Some(reader) = self.stream_reader()? {
            match exception.non_none() {
                None => reader.call_method0(&own.feed_eof)?,
                Some(exception) => reader.call_method1(&names().set_exception, exception)?,
            };
        }
        if let Some(closed) = self.closed.get() {
            end(&closed, exception)?;
        }
        self.connection_lost.set(true);
        if self.paused.get() {
            self.drain_waiters.visit(|waiter| end(waiter, exception).map(|()| false))?;
        }
        for slot in [&self.reader, &self.writer, &self.task, &self.transport] {
            slot.set(None);
        }
        Ok(())
    }

    fn eof_received(&self, args: &Args<'_>) -> PyResult<Obj> {
        const NAME: &str = "StreamReaderProtocol.eof_received";
        args.only_self(NAME)?;
        self.fits(NAME, args)?;
        if let Some(reader) = self.stream_reader()? {
            reader.call_method0(&own_names().feed_eof)?;
        }
        // TLS warns of what wants to stay half open.
        Ok(Obj::bool(!self.over_tls.get()))
    }

    /// `__del__`: how the connection has ended is no news to anybody who did not wait for it.
    fn seen(&self) -> PyResult<()> {
        let Some(closed) = self.closed.get() else { return Ok(()) };
        match Awaited::from_exact(&closed) {
            Some(native) => native.core().log_seen(),
            None if waiter::is_done(&closed)? && !waiter::is_cancelled(&closed)? => {
                closed.call_method0(&own_names().exception)?;
            }
            None => {}
        }
        Ok(())
    }
}

/// Gives a future the outcome of the connection, if it has none yet.
fn end(future: &Obj, exception: &Obj) -> PyResult<()> {
    if waiter::is_done(future)? {
        return Ok(());
    }
    match exception.non_none() {
        None => waiter::wake(future, exception),
        Some(exception) => waiter::fail(future, exception),
    }
}
