//! `DatagramTransport`: UDP and Unix datagram sockets.
//!
//! Role: moves datagrams between a socket and a protocol. A real subclass of
//! `asyncio.DatagramTransport`.
//!
//! The socket is registered once, edge-triggered; for room to write only while
//! something waits for it (`Py::watch_room`). What
//! the edges said is remembered ([`DatagramTransport::readable`], `blocked`). One
//! look at the socket is bounded; what is left over then makes the transport
//! queue itself ([`AGAIN`]), at most once at a time (`queued`).
//!
//! Files: this one makes the transport and answers questions; `read` is the way
//! in, `write` the way out, `send_queue` what waits there, `address` the two
//! forms of addresses.

mod address;
mod read;
mod send_queue;
mod senders;
mod write;

use std::cell::{Cell, RefCell};
use std::ffi::CStr;

use batuta_engine::driver::Readiness;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Slot, Visitor};

use super::AnyTransport;
use super::endpoint::{Endpoint, ROOM, Transport};
use super::face;
use super::flow;
use super::intake::{MostRead, Reading};
use super::report::ReadyMethod;
use super::socket::describe_socket;
use crate::address::KnownAddress;
use address::Family;
use send_queue::SendQueue;
use senders::Senders;

/// At most this many datagrams are received, and sent, at one look.
const BATCH: usize = 32;

/// A method of asyncio's class that its loop calls.
const fn of_asyncio(name: &'static CStr) -> ReadyMethod {
    ReadyMethod { module: c"asyncio.selector_events", class: c"_SelectorDatagramTransport", name }
}

/// What the transport's own entry in the ready queue says: nothing new, go on
/// with what is known. The driver never says this.
const AGAIN: Readiness = Readiness { read: false, write: false, closed: false };

/// Whether the socket is connected to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// No: every datagram needs an address.
    None,
    /// To a peer that has no name, such as the other end of a socket pair.
    Unnamed,
    /// To a peer with a name: all datagrams go there.
    Named,
}

/// A UDP or Unix datagram transport.
#[derive(Debug)]
pub struct DatagramTransport {
    endpoint: Endpoint,
    family: Family,
    link: Link,
    /// The only address that `sendto()` accepts, if there is such a one.
    remote_address: Slot,
    reading: Cell<Reading>,
    /// Of one datagram.
    most: MostRead,
    /// A receive may give something: an edge said so and no receive has said
    /// otherwise.
    readable: Cell<bool>,
    queue: RefCell<SendQueue>,
    /// The socket is full: wait for an edge before the next send.
    blocked: Cell<bool>,
    /// A timer will try to send.
    retrying: Cell<bool>,
    /// The transport stands in the ready queue by its own doing.
    queued: Cell<bool>,
    received_from: Senders,
    sent_to: KnownAddress,
}

static DATAGRAM_TRANSPORT: TypeCell = TypeCell::new();

impl DatagramTransport {
    /// `loop._make_datagram_transport(sock, protocol, address=None, waiter=None,
    /// extra=None)`.
    pub fn make(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Py<Self>> {
        const NAME: &str = "_make_datagram_transport";
        let ([sock, protocol], _) = args.split::<2>(NAME)?;
        let [address, waiter, extra] =
            args.bind(NAME, 2, [&names().address, &names().waiter, &names().extra])?;
        #[cfg(Py_3_12)]
        event_loop.as_obj().attr(c"_ensure_fd_no_transport")?.call1(sock)?;
        let extra = describe_socket(sock, extra)?;
        let link = Link::of(&extra)?;
        let address = match address {
            Some(address) if address.is_true()? => Some(address.clone()),
            _ => None,
        };
        let transport = Py::new(Self {
            endpoint: Endpoint::new(event_loop, sock.into(), protocol, None, extra.into())?,
            family: Family::of(sock)?,
            link,
            remote_address: Slot::from(address),
            reading: Cell::new(Reading::NotStarted),
            most: MostRead::default(),
            readable: Cell::new(false),
            queue: RefCell::default(),
            blocked: Cell::new(false),
            retrying: Cell::new(false),
            queued: Cell::new(false),
            received_from: Senders::default(),
            sent_to: KnownAddress::default(),
        })?;
        transport.endpoint.file.hold()?;
        transport.introduce(Some(&names()._start_reading), waiter)?;
        Ok(transport)
    }

    fn repr(this: &Py<Self>) -> PyResult<Obj> {
        let reading = this.reading.get() == Reading::Active;
        face::describe(this, reading, this.blocked.get(), this.buffered())
    }
}

impl Link {
    /// What the dict of `get_extra_info()` says.
    fn of(extra: &Obj) -> PyResult<Self> {
        Ok(match extra.dict_get(&Obj::str("peername")?)? {
            Some(name) if name.is_true()? => Self::Named,
            Some(name) if !name.is_none() => Self::Unnamed,
            _ => Self::None,
        })
    }
}

impl Py<DatagramTransport> {
    /// The descriptor has become ready, or the transport has queued itself.
    #[inline]
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        if readiness == AGAIN {
            self.queued.set(false);
        }
        if readiness.read {
            self.readable.set(true);
        }
        // Where only a timer knows, each failed send makes an edge of its own.
        if readiness.write
            && !self.retrying.get()
            && !self.blocked.replace(false)
            && readiness == ROOM
        {
            self.leave_room();
        }
        if self.queued.get() {
            return Ok(()); // Its own entry comes later in the queue.
        }
        if let Err(raised) = self.read_ready() {
            self.look_again();
            return Err(raised);
        }
        self.write_ready()
    }

    /// Queues the transport to go on in the next turn, unless it is queued.
    fn look_again(&self) {
        if !self.queued.replace(true) {
            self.endpoint.queue(AGAIN);
        }
    }

    fn close(&self) -> PyResult<()> {
        if self.endpoint.begin_closing() && self.queue.borrow().is_empty() {
            return self.schedule_lost(&Obj::none());
        }
        Ok(())
    }
}

impl Transport for DatagramTransport {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn to_any(this: &Py<Self>) -> AnyTransport {
        AnyTransport::Datagram(this.clone())
    }

    fn buffered(&self) -> usize {
        self.queue.borrow().size()
    }

    fn discard(&self) {
        let dropped = self.queue.take();
        drop(dropped);
    }
}

impl NativeType for DatagramTransport {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.DatagramTransport";
    const DOC: &'static std::ffi::CStr =
        c"UDP and Unix datagram transport. See asyncio.DatagramTransport.";
    const OPEN: bool = true;
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Py::<Self>::abandoned);
    const REPR: Option<fn(&Py<Self>) -> PyResult<Obj>> = Some(Self::repr);

    fn cell() -> &'static TypeCell {
        &DATAGRAM_TRANSPORT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
        visitor.slot(&self.remote_address);
        self.received_from.traverse(visitor);
        self.sent_to.traverse(visitor);
        if let Ok(queue) = self.queue.try_borrow() {
            queue.traverse(visitor);
        }
    }

    fn clear(&self) {
        self.endpoint.clear();
        self.remote_address.set(None);
        self.received_from.forget();
        self.sent_to.forget();
        self.discard();
    }

    fn methods() -> Methods<Self> {
        let methods = flow::methods(face::methods()).noargs(
            c"close",
            c"Close after what waits has been sent; reading stops at once.",
            |this: &Py<Self>| this.close(),
        );
        write::methods(read::methods(methods))
    }

    fn properties() -> Properties<Self> {
        face::properties()
            .get(c"_sock", |this: &Py<Self>| this.endpoint.file.object())
            .get(c"_address", |this: &Py<Self>| Ok(this.remote_address.get()))
            .get(c"_paused", |this: &Py<Self>| Ok(this.reading.get() == Reading::Paused))
            .get(c"_buffer_size", |this: &Py<Self>| Ok(this.buffered()))
            .get_set(
                c"max_size",
                |this: &Py<Self>| Ok(this.most.get()),
                |this: &Py<Self>, most: &Obj| this.most.set_to(most),
            )
    }
}
