//! `batuta.StreamReaderProtocol`'s native base.
//!
//! Role: knows the reader that a native transport puts data into without a call, and
//! whether writers have to wait. The rest is asyncio's own and works through our
//! properties.
//!
//! Ownership: the reader is held by a weak reference, as asyncio does it: a reader that
//! nobody else holds any more is not kept alive by its connection.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::function::add_method;
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, TypeCell};
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::sync::Deque;
use crate::sync::hooks::{Hooks, Originals};
use crate::sync::waiter;

use super::lookups::{Lookups, own_names};
use super::new_future;
use super::reader::NativeStreamReader;

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
}

/// Gives the class its methods, and notes which they are.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeStreamReaderProtocol>;
    let (own, stock) = (own_names(), &Lookups::get().protocol);
    add_method(&class, stock, c"data_received", |this: &This, args| {
        const NAME: &str = "StreamReaderProtocol.data_received";
        this.data_received(args.only(NAME, &names().data)?)
    })?;
    add_method(&class, stock, c"pause_writing", |this: &This, args| {
        args.only_self("FlowControlMixin.pause_writing")?;
        this.pause_writing()
    })?;
    add_method(&class, stock, c"resume_writing", |this: &This, args| {
        args.only_self("FlowControlMixin.resume_writing")?;
        this.resume_writing()
    })?;
    let originals = Originals::note(&class, &[&own.data_received])?
        .and(stock, &own._stream_reader)?
        .and(stock, &own._drain_helper)?;
    ORIGINALS.set(originals);
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

impl Py<NativeStreamReaderProtocol> {
    #[inline]
    fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

    /// The reader that a transport may put data into itself: nobody has replaced a
    /// method on the way to it.
    #[inline]
    pub fn fed_reader(&self) -> PyResult<Option<Py<NativeStreamReader>>> {
        if self.replaces(Hook::DataReceived) || self.replaces(Hook::StreamReader) {
            return Ok(None);
        }
        let Some(reference) = self.reader.get() else { return Ok(None) };
        let Some(reader) = reference.weakly_held()? else { return Ok(None) };
        Ok(Py::<NativeStreamReader>::from_instance(&reader)
            .filter(|reader| reader.may_be_fed())
            .cloned())
    }

    fn data_received(&self, data: &Obj) -> PyResult<()> {
        let reader = if self.replaces(Hook::StreamReader) {
            self.as_obj().getattr(&own_names()._stream_reader)?.non_none().cloned()
        } else {
            match self.reader.get() {
                Some(reference) => reference.weakly_held()?,
                None => None,
            }
        };
        match reader {
            Some(reader) => reader.call_method1(&own_names().feed_data, data).map(drop),
            None => Ok(()),
        }
    }

    /// Whether a writer has to wait, unless a program has replaced `_drain_helper()`,
    /// which is to be asked then.
    #[inline]
    pub fn room(&self) -> Option<Room> {
        if self.replaces(Hook::DrainHelper) {
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
    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &PROTOCOL
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.event_loop);
        visitor.slot(&self.reader);
        self.drain_waiters.traverse(visitor);
    }

    fn clear(&self) {
        self.event_loop.set(None);
        self.reader.set(None);
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
