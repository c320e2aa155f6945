//! `batuta.StreamReaderProtocol`'s native base.
//!
//! Role: knows the reader that a native transport puts data into without a call, and
//! whether writers have to wait. What is left to asyncio's own class works through our
//! properties.
//!
//! Files: this one is the type, and what runs for each message; `life` is what runs once for each
//! connection, `served` looks after what a server's program does with one.
//!
//! Ownership: the reader is held by a weak reference, as asyncio does it: a reader that
//! nobody else holds any more is not kept alive by its connection. A server's is held until the
//! program has been given it.

mod life;
mod served;

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::event_loop::NativeLoop;
use crate::ffi::function::add_method;
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::names::Name;
use crate::ffi::native::{AssignedFn, InitFn, TypeCell, define};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::sync::Deque;
use crate::sync::hooks::{Hooks, Originals};
use crate::sync::waiter;

use super::lookups::{Lookups, own_names};
use super::new_future;
use super::reader::NativeStreamReader;
use served::Served;

pub use life::set_writer_class;

/// A protocol that feeds a reader.
#[derive(Debug, Default)]
pub struct NativeStreamReaderProtocol {
    event_loop: Slot,
    /// A weak reference to the reader, or nothing.
    reader: Slot,
    /// The transport has told the writers to wait.
    paused: Cell<bool>,
    connection_lost: Cell<bool>,
    drain_waiters: Deque,
    transport: Slot,
    over_tls: Cell<bool>,
    /// What a server calls with reader and writer.
    connected: Slot,
    /// The reader, until the program has it.
    strong_reader: Slot,
    /// The writer; before 3.13 only, as in asyncio's class.
    writer: Slot,
    /// The task that a server's coroutine runs in.
    task: Slot,
    /// The future of `wait_closed()`.
    closed: Slot,
    /// The reader has died before there was a connection.
    rejects: Cell<bool>,
    hooks: Hooks,
}

static PROTOCOL: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// What a program may have replaced; in the order of its noting.
#[derive(Clone, Copy, Debug)]
enum Hook {
    DataReceived,
    /// The property that says which reader it is.
    StreamReader,
    DrainHelper,
    /// The first of our properties: [`fields`].
    Field,
}

/// The properties that a class attribute of a program's would hide from asyncio's methods, and not
/// from ours.
fn fields() -> [&'static Name; 13] {
    let names = own_names();
    [
        &names._client_connected_cb,
        &names._closed,
        &names._over_ssl,
        &names._reject_connection,
        &names._stream_writer,
        &names._strong_reader,
        &names._task,
        &names._transport,
        &names._stream_reader_wr,
        &names._paused,
        &names._connection_lost,
        &names._drain_waiters,
        &Asyncio::get().names._loop,
    ]
}

/// Gives the class its methods, and notes which they are.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeStreamReaderProtocol>;
    let (own, stock) = (own_names(), &Lookups::get().protocol);
    define::<Served>(None)?;
    life::prepare(&class, stock)?;
    add_method(&class, stock, c"data_received", |this: &This, args| {
        const NAME: &str = "StreamReaderProtocol.data_received";
        this.fits(NAME, args)?;
        this.data_received(args.only(NAME, &names().data)?)
    })?;
    add_method(&class, stock, c"pause_writing", |this: &This, args| {
        const NAME: &str = "FlowControlMixin.pause_writing";
        args.only_self(NAME)?;
        this.fits(NAME, args)?;
        this.pause_writing()
    })?;
    add_method(&class, stock, c"resume_writing", |this: &This, args| {
        const NAME: &str = "FlowControlMixin.resume_writing";
        args.only_self(NAME)?;
        this.fits(NAME, args)?;
        this.resume_writing()
    })?;
    let originals = Originals::note(&class, &[&own.data_received])?
        .and(stock, &own._stream_reader)?
        .and(stock, &own._drain_helper)?;
    ORIGINALS.set(fields().into_iter().try_fold(originals, |noted, name| noted.and(&class, name))?);
    Ok(class)
}

/// How a writer stands.
#[derive(Debug)]
pub enum Room {
    /// It may write on.
    Free,
    /// Nobody reads any more.
    Lost,
    /// It has to wait.
    Full,
}

impl NativeStreamReaderProtocol {
    fn slots(&self) -> [&Slot; 8] {
        [
            &self.event_loop,
            &self.reader,
            &self.transport,
            &self.connected,
            &self.strong_reader,
            &self.writer,
            &self.task,
            &self.closed,
        ]
    }
}

impl Py<NativeStreamReaderProtocol> {
    #[inline]
    fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

    /// The reader that a transport may put data into itself: nobody has replaced a
    /// method on the way to it.
    #[inline]
    pub fn fed_reader(&self) -> PyResult<Option<Py<NativeStreamReader>>> {
        if self.replaces(Hook::DataReceived)
            || self.replaces(Hook::StreamReader)
            || self.has_hidden_fields()
        {
            return Ok(None);
        }
        let Some(reference) = self.reader.get() else { return Ok(None) };
        let Some(reader) = reference.weakly_held()? else { return Ok(None) };
        Ok(Py::<NativeStreamReader>::from_instance(&reader)
            .filter(|reader| reader.may_be_fed())
            .cloned())
    }

    /// Whether a subclass has class attributes of the names of our fields: then asyncio's methods
    /// write to others than ours would.
    #[inline]
    fn has_hidden_fields(&self) -> bool {
        self.hooks.replaced_in_class(self.as_obj(), ORIGINALS.get(), Hook::Field as usize)
    }

    /// What does not find its fields is asyncio's method's business.
    #[inline]
    fn fits(&self, function: &str, args: &Args<'_>) -> PyResult<()> {
        if self.has_hidden_fields() { Err(args.unfit(function)) } else { Ok(()) }
    }

    /// `self._stream_reader`
    fn stream_reader(&self) -> PyResult<Option<Obj>> {
        if self.replaces(Hook::StreamReader) {
            return Ok(self.as_obj().getattr(&own_names()._stream_reader)?.non_none().cloned());
        }
        match self.reader.get() {
            Some(reference) => reference.weakly_held(),
            None => Ok(None),
        }
    }

    fn data_received(&self, data: &Obj) -> PyResult<()> {
        match self.stream_reader()? {
            Some(reader) => reader.call_method1(&own_names().feed_data, data).map(drop),
            None => Ok(()),
        }
    }

    /// Whether a writer has to wait, unless a program has replaced `_drain_helper()`,
    /// which is to be asked then.
    #[inline]
    pub fn room(&self) -> Option<Room> {
        if self.replaces(Hook::DrainHelper) || self.has_hidden_fields() {
            return None;
        }
        Some(if self.connection_lost.get() {
            Room::Lost
        } else if self.paused.get() {
            Room::Full
        } else {
            Room::Free
        })
    }

    /// A future that is done when a writer may go on.
    pub fn wait_for_room(&self) -> PyResult<Obj> {
        let future = new_future(&self.event_loop)?;
        self.drain_waiters.push(&future)?;
        Ok(future)
    }

    /// Waiting with this future has ended.
    pub fn waited_for_room(&self, future: &Obj) -> PyResult<()> {
        self.drain_waiters.remove(future).map(drop)
    }

    /// Whether asyncio's own method has something to say: in debug mode it logs, and a
    /// call out of order is an error.
    fn is_out_of_the_ordinary(&self, paused: bool) -> PyResult<bool> {
        let event_loop = self.event_loop.get_or_none();
        let debug = match Py::<NativeLoop>::from_instance(&event_loop) {
            Some(native) => native.debug.get(),
            None => event_loop.call_method0(&names().get_debug)?.is_true()?,
        };
        Ok(debug || self.paused.get() != paused)
    }

    fn pause_writing(&self) -> PyResult<()> {
        if self.is_out_of_the_ordinary(false)? {
            let stock = Lookups::get().protocol.attr(c"pause_writing")?;
            return stock.call1(self.as_obj()).map(drop);
        }
        self.paused.set(true);
        Ok(())
    }

    fn resume_writing(&self) -> PyResult<()> {
        if self.is_out_of_the_ordinary(true)? {
            let stock = Lookups::get().protocol.attr(c"resume_writing")?;
            return stock.call1(self.as_obj()).map(drop);
        }
        self.paused.set(false);
        self.drain_waiters.visit(|future| {
            if !waiter::is_done(future)? {
                waiter::wake(future, &Obj::none())?;
            }
            Ok(false)
        })
    }
}

/// `raise ConnectionResetError('Connection lost')`
#[cold]
pub fn connection_lost() -> Raised {
    Raised::with_message(crate::ffi::error::connection_reset_class(), "Connection lost")
}

impl NativeType for NativeStreamReaderProtocol {
    const NAME: &'static CStr = c"batuta._batuta.NativeStreamReaderProtocol";
    const DOC: &'static CStr = c"The native base of batuta.StreamReaderProtocol.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(Py::init);
    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &PROTOCOL
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.slots().into_iter().for_each(|slot| visitor.slot(slot));
        self.drain_waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.slots().into_iter().for_each(|slot| slot.set(None));
        self.drain_waiters.clear();
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        type This = Py<NativeStreamReaderProtocol>;
        Properties::new()
            .slot(c"_loop", |this: &This| &this.event_loop)
            .slot(c"_stream_reader_wr", |this: &This| &this.reader)
            .slot(c"_client_connected_cb", |this: &This| &this.connected)
            .slot(c"_closed", |this: &This| &this.closed)
            .slot(c"_stream_writer", |this: &This| &this.writer)
            .slot(c"_strong_reader", |this: &This| &this.strong_reader)
            .slot(c"_task", |this: &This| &this.task)
            .slot(c"_transport", |this: &This| &this.transport)
            .flag(c"_over_ssl", |this: &This| &this.over_tls)
            .flag(c"_reject_connection", |this: &This| &this.rejects)
            .flag(c"_paused", |this: &This| &this.paused)
            .flag(c"_connection_lost", |this: &This| &this.connection_lost)
            .get_set(
                c"_drain_waiters",
                |this: &This| this.drain_waiters.show(),
                |this: &This, waiters: &Obj| {
                    this.drain_waiters.replace(waiters);
                    Ok(())
                },
            )
    }
}
