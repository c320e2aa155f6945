//! `NativeSSLProtocol`: the fields of a TLS connection, under the names that asyncio's
//! `SSLProtocol` gives them, and the methods that it takes over.

use std::cell::Cell;
use std::ffi::CStr;

use crate::event_loop::NativeLoop;
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, TypeCell};
use crate::ffi::window::{Spare, Window};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};
use crate::streams::NativeStreamReaderProtocol;
use crate::sync::hooks::{Hooks, Originals};

use crate::asyncio::Asyncio;

use super::flow::Marks;
use super::lookups::{Lookups, own_names};
use super::state::State;

/// How much is received, and decrypted, at once, in bytes: asyncio's `max_size`.
pub const MAX_SIZE: usize = 256 * 1024;

/// What the program's protocol takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Taker {
    /// `data_received(data)`.
    #[default]
    Bytes,
    /// A `BufferedProtocol` supplies the memory.
    Buffer,
    /// A native `StreamReaderProtocol`: its reader's buffer may be filled.
    Reader,
}

/// A TLS connection.
#[derive(Debug, Default)]
pub struct NativeSSLProtocol {
    pub(super) event_loop: Slot,
    /// The transport below.
    pub(super) transport: Slot,
    /// The program's protocol.
    pub(super) app_protocol: Slot,
    pub(super) taker: Cell<Taker>,
    /// The transport that the program writes to.
    pub(super) app_transport: Slot,
    pub(super) incoming: Slot,
    pub(super) outgoing: Slot,
    /// An `ssl.SSLObject`.
    ssl_object: Slot,
    /// The `_ssl._SSLSocket` behind it, if the object adds nothing to that.
    pub(super) ssl_socket: Slot,
    pub(super) state: Cell<State>,
    /// The last read gave as much as there was room for: `_ssl` may have more.
    pub(super) cut_short: Cell<bool>,
    /// The last read found the beginning of a record.
    pub(super) broken_off: Cell<bool>,
    /// What is written before it can be encrypted: a `collections.deque`.
    pub(super) backlog: Slot,
    pub(super) backlog_size: Cell<usize>,
    pub(super) incoming_marks: Marks,
    pub(super) outgoing_marks: Marks,
    /// The transport below has been told to pause reading.
    pub(super) ssl_reading_paused: Cell<bool>,
    /// The transport below has told us to pause writing.
    pub(super) ssl_writing_paused: Cell<bool>,
    /// The program has paused reading.
    pub(super) app_reading_paused: Cell<bool>,
    /// The program was told to pause writing.
    pub(super) app_writing_paused: Cell<bool>,
    /// For transports that are not native: where they receive.
    lent: Spare,
    hooks: Hooks,
}

static PROTOCOL: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// Notes the class's own methods that a transport goes past.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    ORIGINALS.set(Originals::note(&class, &[&own_names().buffer_updated])?);
    Ok(class)
}

type This = Py<NativeSSLProtocol>;

impl Py<NativeSSLProtocol> {
    /// Whether a native transport may hand over what it has received without calling
    /// `get_buffer()` and `buffer_updated()`.
    #[inline]
    pub fn may_be_fed(&self) -> bool {
        !self.hooks.replaces(self.as_obj(), ORIGINALS.get(), 0)
    }

    /// The loop, if it is a native one, as it is wherever such a protocol is made.
    #[inline]
    pub(super) fn native_loop(&self) -> Option<Py<NativeLoop>> {
        self.event_loop.get().and_then(Py::take_instance)
    }

    fn set_app_protocol(&self, protocol: &Obj) -> PyResult<()> {
        self.app_protocol.set(protocol.non_none().cloned());
        let taker = if protocol.is_instance(&Asyncio::get().buffered_protocol)? {
            Taker::Buffer
        } else if Py::<NativeStreamReaderProtocol>::from_instance(protocol).is_some() {
            Taker::Reader
        } else {
            Taker::Bytes
        };
        self.taker.set(taker);
        Ok(())
    }

    fn set_ssl_object(&self, object: &Obj) -> PyResult<()> {
        let lookups = Lookups::get();
        let mut socket = None;
        if lookups.is_plain_ssl_object(object) {
            let inner = object.getattr(&own_names()._sslobj)?;
            socket = inner.is_exactly(&lookups.ssl_socket).then_some(inner);
        }
        self.ssl_socket.set(socket);
        self.ssl_object.set(Some(object.clone()));
        Ok(())
    }

    /// `get_buffer(n)`, for a transport that is not native.
    fn get_buffer(&self) -> PyResult<Obj> {
        let window = match self.lent.take() {
            Some(window) => window,
            None => Window::new(MAX_SIZE)?,
        };
        let view = window.showing(0, MAX_SIZE).memoryview();
        self.lent.put(window);
        view
    }

    /// `buffer_updated(nbytes)`: so many bytes have come into that buffer.
    fn buffer_updated(&self, count: &Obj) -> PyResult<()> {
        let count = usize::try_from(count.to_i64()?).unwrap_or(0);
        if let Some(window) = self.lent.take() {
            let given = self.give(&window, count);
            self.lent.put(window);
            given?;
        }
        self.received()
    }
}

impl NativeType for NativeSSLProtocol {
    const NAME: &'static CStr = c"batuta._batuta.NativeSSLProtocol";
    const DOC: &'static CStr = c"The native base of batuta.tls.SSLProtocol.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &PROTOCOL
    }

    fn traverse(&self, visitor: &mut Visitor) {
        for slot in [
            &self.event_loop,
            &self.transport,
            &self.app_protocol,
            &self.app_transport,
            &self.incoming,
            &self.outgoing,
            &self.ssl_object,
            &self.ssl_socket,
            &self.backlog,
        ] {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        for slot in [
            &self.event_loop,
            &self.transport,
            &self.app_protocol,
            &self.app_transport,
            &self.ssl_object,
            &self.ssl_socket,
            &self.backlog,
        ] {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        Methods::new()
            .args(
                c"get_buffer",
                c"get_buffer($self, n)\n--\n\nReturn the memory to receive into.",
                |this: &This, args: &Args<'_>| {
                    args.only("get_buffer", &own_names().n)?;
                    this.get_buffer()
                },
            )
            .args(
                c"buffer_updated",
                c"buffer_updated($self, nbytes)\n--\n\nTake so many bytes that have come.",
                |this: &This, args: &Args<'_>| {
                    this.buffer_updated(args.only("buffer_updated", &own_names().nbytes)?)
                },
            )
            .one(
                c"_set_app_protocol",
                c"_set_app_protocol($self, protocol, /)\n--\n\nHand data to another protocol.",
                |this: &This, protocol: &Obj| this.set_app_protocol(protocol),
            )
            .noargs(c"_do_read", c"Decrypt what has come and hand it over.", |this: &This| {
                this.do_read()
            })
            .noargs(c"_do_write", c"Encrypt what waits, and send it.", |this: &This| {
                this.do_write()
            })
            .one(
                c"_write_appdata",
                c"Encrypt and send several pieces of data.",
                |this: &This, pieces: &Obj| this.write_all(pieces),
            )
            .noargs(c"_process_outgoing", c"Send what is encrypted.", |this: &This| {
                this.process_outgoing()
            })
            .noargs(
                c"_control_app_writing",
                c"Tell the protocol to pause or resume writing.",
                |this: &This| this.control_app_writing(),
            )
            .noargs(
                c"_control_ssl_reading",
                c"Pause or resume the transport below.",
                |this: &This| this.control_ssl_reading(),
            )
            .noargs(
                c"_get_write_buffer_size",
                c"Return how many bytes wait to be sent.",
                |this: &This| this.write_buffer_size(),
            )
            .noargs(
                c"_get_read_buffer_size",
                c"Return how many received bytes wait to be decrypted.",
                |this: &This| this.read_buffer_size(),
            )
    }

    fn properties() -> Properties<Self> {
        let properties = Properties::new()
            .get_set(
                c"_state",
                |this: &This| Ok(this.state.get().member()),
                |this: &This, member: &Obj| {
                    this.state.set(State::from_member(member)?);
                    Ok(())
                },
            )
            .get_set(
                c"_app_protocol",
                |this: &This| Ok(this.app_protocol.get()),
                |this: &This, protocol: &Obj| this.set_app_protocol(protocol),
            )
            .get(c"_app_protocol_is_buffer", |this: &This| Ok(this.taker.get() == Taker::Buffer))
            .get_set(
                c"_sslobj",
                |this: &This| Ok(this.ssl_object.get()),
                |this: &This, object: &Obj| this.set_ssl_object(object),
            )
            .get_set(
                c"_write_buffer_size",
                |this: &This| Ok(this.backlog_size.get()),
                |this: &This, size: &Obj| {
                    this.backlog_size.set(usize::try_from(size.to_i64()?).unwrap_or(0));
                    Ok(())
                },
            )
            // asyncio makes a buffer of this size for each connection; ours are the loop's.
            .get(c"max_size", |this: &This| {
                Ok(if this.ssl_object.is_some() { MAX_SIZE } else { 0 })
            });
        super::flow::properties(slots(properties))
    }
}

/// The properties that are an object or nothing.
fn slots(properties: Properties<NativeSSLProtocol>) -> Properties<NativeSSLProtocol> {
    macro_rules! slot {
        ($properties:expr, $($name:literal => $field:ident),* $(,)?) => {
            $properties$(.get_set(
                $name,
                |this: &This| Ok(this.$field.get()),
                |this: &This, value: &Obj| {
                    this.$field.set(value.non_none().cloned());
                    Ok(())
                },
            ))*
        };
    }
    slot!(
        properties,
        c"_loop" => event_loop,
        c"_transport" => transport,
        c"_app_transport" => app_transport,
        c"_incoming" => incoming,
        c"_outgoing" => outgoing,
        c"_write_backlog" => backlog,
    )
}
