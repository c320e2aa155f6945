//! `batuta.StreamWriter`'s native base.
//!
//! Role: hands data to the transport, and waits in `drain()` while that has enough.
//! `wait_closed`, `start_tls`, `repr` and the warning of a writer that nobody has closed
//! are asyncio's own and work through our properties.

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::{Asyncio, names};
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::NativeLoop;
use crate::ffi::error::assertion_error_class;
use crate::ffi::function::add_method;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::names::Name;
use crate::ffi::native::{InitFn, TypeCell};
use crate::ffi::{Args, Held, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::transport::StreamTransport;

use super::lookups::{Lookups, own_names};
use super::protocol::{NativeStreamReaderProtocol, Room, connection_lost};
use super::reader::{Hook, NativeStreamReader};

/// A stream's sending end.
#[derive(Debug, Default)]
pub struct NativeStreamWriter {
    transport: Slot,
    protocol: Slot,
    reader: Slot,
    event_loop: Slot,
}

static WRITER: TypeCell = TypeCell::new();
static DRAIN: TypeCell = TypeCell::new();

/// Gives the class its methods.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeStreamWriter>;
    crate::coroutine::define::<Drain>()?;
    let stock = &Lookups::get().writer;
    class.set_attr(c"__init__", &stock.attr(c"__init__")?.native_init::<NativeStreamWriter>()?)?;
    add_method(&class, stock, c"write", |this: &This, args| {
        let data = args.only("StreamWriter.write", &names().data)?;
        StreamTransport::write_through(&this.transport.get_or_none(), data)
    })?;
    add_method(&class, stock, c"writelines", |this: &This, args| {
        let data = args.only("StreamWriter.writelines", &names().data)?;
        this.transport.get_or_none().call_method1(&own_names().writelines, data).map(drop)
    })?;
    add_method(&class, stock, c"write_eof", |this: &This, args| {
        args.only_self("StreamWriter.write_eof")?;
        this.ask(&own_names().write_eof)
    })?;
    add_method(&class, stock, c"can_write_eof", |this: &This, args| {
        args.only_self("StreamWriter.can_write_eof")?;
        this.ask(&own_names().can_write_eof)
    })?;
    add_method(&class, stock, c"close", |this: &This, args| {
        args.only_self("StreamWriter.close")?;
        this.ask(&names().close)
    })?;
    add_method(&class, stock, c"is_closing", |this: &This, args| {
        args.only_self("StreamWriter.is_closing")?;
        this.ask(&names().is_closing)
    })?;
    add_method(&class, stock, c"get_extra_info", |this: &This, args| this.get_extra_info(args))?;
    add_method(&class, stock, c"__del__", |this: &This, args| {
        const NAME: &str = "StreamWriter.__del__";
        args.only_self(NAME)?;
        match this.transport.get() {
            Some(transport) if StreamTransport::is_closing_for_drain(&transport)? => Ok(()),
            _ => Err(args.unfit(NAME)), // It warns, and closes.
        }
    })?;
    add_method(&class, stock, c"drain", |this: &This, args| {
        args.only_self("StreamWriter.drain")?;
        Coroutine::make(Drain {
            writer: Held::from(this),
            wait: Cell::new(Wait::Helper),
            waiter: Slot::default(),
        })
    })?;
    Ok(class)
}

impl NativeStreamWriter {
    fn init(&self, args: &Args<'_>) -> PyResult<()> {
        const NAME: &str = "StreamWriter.__init__";
        let names = names();
        let event_loop = &Asyncio::get().loop_name;
        let parameters = [&names.transport, &names.protocol, &own_names().reader, event_loop];
        let given = args.bind(NAME, 0, parameters)?;
        let [Some(transport), Some(protocol), Some(reader), Some(event_loop)] = given else {
            return Err(args.unfit(NAME));
        };
        self.transport.set(Some(transport.clone()));
        self.protocol.set(Some(protocol.clone()));
        if !reader.is_none() && !reader.is_instance(&Lookups::get().reader)? {
            // As a bare `assert` says it.
            return Err(Raised::raise(&assertion_error_class().call0()?));
        }
        self.reader.set(reader.non_none().cloned());
        self.event_loop.set(Some(event_loop.clone()));
        if Py::<NativeLoop>::from_instance(event_loop).is_none() {
            // asyncio makes a future here: what is no loop is noticed.
            event_loop.getattr(&names.create_future)?;
        }
        Ok(())
    }

    /// `self._transport.name()`
    #[inline]
    fn ask(&self, name: &Name) -> PyResult<Obj> {
        self.transport.get_or_none().call_method0(name)
    }

    fn get_extra_info(&self, args: &Args<'_>) -> PyResult<Obj> {
        const NAME: &str = "StreamWriter.get_extra_info";
        let names = own_names();
        let [name, default] = args.bind(NAME, 0, [&names.name, &names.default])?;
        let name = name.ok_or_else(|| args.missing(NAME, "name"))?;
        let none = Obj::none();
        let transport = self.transport.get_or_none();
        transport.call_method2(&names.get_extra_info, name, default.unwrap_or(&none))
    }
}

impl NativeType for NativeStreamWriter {
    const NAME: &'static CStr = c"batuta._batuta.NativeStreamWriter";
    const DOC: &'static CStr = c"The native base of batuta.StreamWriter.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(|this, args| this.init(args));

    fn cell() -> &'static TypeCell {
        &WRITER
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.transport, &self.protocol, &self.reader, &self.event_loop] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [&self.transport, &self.protocol, &self.reader, &self.event_loop] {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        type This = Py<NativeStreamWriter>;
        Properties::new()
            .get(c"transport", |this: &This| Ok(this.transport.get()))
            .slot(c"_transport", |this: &This| &this.transport)
            .slot(c"_protocol", |this: &This| &this.protocol)
            .slot(c"_reader", |this: &This| &this.reader)
            .slot(c"_loop", |this: &This| &this.event_loop)
    }
}

/// What `drain()` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// One turn, in which a closing transport may tell that the connection is lost.
    Turn,
    /// Room, with its own future.
    Room,
    /// The protocol's `_drain_helper()`.
    Helper,
}

/// `StreamWriter.drain()`
#[derive(Debug)]
pub struct Drain {
    writer: Held<NativeStreamWriter>,
    wait: Cell<Wait>,
    /// The protocol's future that it waits with.
    waiter: Slot,
}

impl Drain {
    #[inline]
    fn wait_for_room(&self, writer: &NativeStreamWriter) -> PyResult<Step> {
        let protocol = writer.protocol.get_or_none();
        if let Some(native) = Py::<NativeStreamReaderProtocol>::from_instance(&protocol)
            && let Some(room) = native.room()
        {
            return match room {
                Room::Free => Ok(Step::Done(Obj::none())),
                Room::Lost => Err(connection_lost()),
                Room::Full => {
                    let future = native.wait_for_room()?;
                    self.wait.set(Wait::Room);
                    self.waiter.set(Some(future.clone()));
                    Ok(Step::Wait(future))
                }
            };
        }
        self.wait.set(Wait::Helper);
        protocol.call_method0(&own_names()._drain_helper).map(Step::Wait)
    }
}

/// What the reader was told to raise.
#[inline]
fn reader_exception(reader: &Obj) -> PyResult<Option<Obj>> {
    match Py::<NativeStreamReader>::from_instance(reader) {
        Some(native) if !native.replaces(Hook::Exception) => Ok(native.exception()),
        _ => Ok(reader.call_method0(&own_names().exception)?.non_none().cloned()),
    }
}

impl Routine for Drain {
    const TYPE: &'static CStr = c"batuta._batuta.StreamWriterDrain";

    fn cell() -> &'static TypeCell {
        &DRAIN
    }

    fn qualname(&self) -> &'static str {
        "StreamWriter.drain"
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(writer) = self.writer.get() else { return Err(Raised::gone()) };
        if let Some(reader) = writer.reader.get()
            && let Some(exception) = reader_exception(&reader)?
        {
            return Err(Raised::thrown(&exception, None, None));
        }
        if StreamTransport::is_closing_for_drain(&writer.transport.get_or_none())? {
            self.wait.set(Wait::Turn);
            return Ok(Step::Pass);
        }
        self.wait_for_room(&writer)
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let Some(writer) = self.writer.get() else { return Err(Raised::gone()) };
        if let Some(future) = self.waiter.take()
            && let Some(native) =
                Py::<NativeStreamReaderProtocol>::from_instance(&writer.protocol.get_or_none())
        {
            native.waited_for_room(&future)?;
        }
        match outcome {
            Ok(_) if self.wait.get() == Wait::Turn => self.wait_for_room(&writer),
            Ok(_) => Ok(Step::Done(Obj::none())),
            Err(exception) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.writer.slot());
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.waiter.set(None);
        self.writer.release();
    }
}
