//! `StreamTransport`: TCP and Unix stream sockets.
//!
//! Role: moves bytes between a connected socket and a protocol. A real subclass
//! of `asyncio.Transport`.
//!
//! The socket is registered once, edge-triggered; for room to write only while
//! something waits for it (`Py::watch_room`). What
//! the edges said is remembered (`intake`, `blocked`), so pausing and resuming
//! costs no system call.
//!
//! Files: this one makes the transport and answers questions; `accept` is where
//! servers get theirs, `read` the way in, `feed` the same for native stream readers,
//! `write` the way out, `hold` what is kept for a moment on it, `direct` what native code does
//! with a transport without calling it by name.

mod accept;
mod direct;
mod feed;
mod hold;
mod read;
mod write;

use std::cell::{Cell, RefCell};

use batuta_engine::driver::Readiness;

use crate::asyncio::{Asyncio, names};
use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{ReprFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor, context};
use crate::streams::NativeStreamReaderProtocol;

use super::AnyTransport;
use super::endpoint::{Endpoint, Phase, ROOM, Transport};
use super::extra::Extra;
use super::face;
use super::file::File;
use super::flow;
use super::intake::{self, Intake, Reader, Reading};
use super::server;
use super::socket::{End, address_of, describe_socket, set_nodelay, stream_source};
use super::tls::NativeSSLProtocol;
use super::write_buffer::WriteBuffer;
use hold::Cork;
use write::HalfClose;

pub use accept::accept_ready;

/// A TCP or Unix stream transport.
#[derive(Debug)]
pub struct StreamTransport {
    endpoint: Endpoint,
    intake: Intake,
    /// The protocol is a `BufferedProtocol`.
    buffered_protocol: Cell<bool>,
    /// The protocol is a native `StreamReaderProtocol`.
    stream_protocol: Cell<bool>,
    /// The protocol is the native one of a TLS connection.
    tls_protocol: Cell<bool>,
    /// The protocol has been told of the end of file and keeps the transport open.
    eof_received: Cell<bool>,
    buffer: RefCell<WriteBuffer>,
    /// The socket is full: wait for an edge before the next send.
    blocked: Cell<bool>,
    cork: Cell<Cork>,
    half_close: Cell<HalfClose>,
    empty_waiter: Slot,
}

/// What whoever makes a transport knows of the connection.
enum Known<'a> {
    /// This dict, if any.
    Dict(Option<&'a Obj>),
    /// The addresses of both ends.
    Addresses { near: Obj, far: Obj },
}

/// What a transport may be made with.
struct Made<'a> {
    /// A future to be done once `connection_made()` has been called.
    waiter: Option<&'a Obj>,
    /// For `get_extra_info()`.
    extra: Known<'a>,
    /// The server that has accepted the connection.
    server: Option<&'a Obj>,
    /// Where its callbacks run.
    context: Option<&'a Obj>,
}

static STREAM_TRANSPORT: TypeCell = TypeCell::new();

impl StreamTransport {
    /// `loop._make_socket_transport(sock, protocol, waiter=None, *, extra=None,
    /// server=None)`.
    pub fn make(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Py<Self>> {
        const NAME: &str = "_make_socket_transport";
        let ([sock, protocol], _) = args.split::<2>(NAME)?;
        let keywords = [&names().waiter, &names().extra, &names().server, &names().context];
        let [waiter, extra, server, context] = args.bind(NAME, 2, keywords)?;
        let extra = Known::Dict(extra);
        #[cfg(Py_3_12)]
        event_loop.ensure_no_transport_of(sock)?;
        Self::build(event_loop, sock.into(), protocol, Made { waiter, extra, server, context })
    }

    /// The transport of a client's connection; `waiter` is done once `connection_made()` has
    /// been called.
    pub fn connected(
        event_loop: &Py<NativeLoop>,
        sock: &Obj,
        protocol: &Obj,
        waiter: &Obj,
    ) -> PyResult<Py<Self>> {
        #[cfg(Py_3_12)]
        event_loop.ensure_no_transport_of(sock)?;
        // From 3.15 on everything of the connection runs in one context.
        let context = if cfg!(Py_3_15) { Some(context::copy_current()?) } else { None };
        let (waiter, context) = (Some(waiter), context.as_ref());
        let made = Made { waiter, extra: Known::Dict(None), server: None, context };
        Self::build(event_loop, sock.into(), protocol, made)
    }

    /// Makes a transport for a connected socket and schedules its beginning.
    fn build(
        event_loop: &Py<NativeLoop>,
        file: File,
        protocol: &Obj,
        Made { waiter, extra, server, context }: Made<'_>,
    ) -> PyResult<Py<Self>> {
        let extra = match extra {
            Known::Addresses { near, far } => Extra::of_connection(near, far),
            Known::Dict(Some(dict)) if !dict.is_none() => {
                describe_socket(&file.socket()?, Some(dict))?.into()
            }
            Known::Dict(_) => {
                let sock = file.socket()?;
                Extra::of_connection(address_of(&sock, End::Near)?, address_of(&sock, End::Far)?)
            }
        };
        let source = stream_source(&file)?;
        let transport = Py::new(Self {
            endpoint: Endpoint::new(event_loop, file, protocol, server, extra)?,
            intake: Intake::new(source),
            buffered_protocol: Cell::new(false),
            stream_protocol: Cell::new(false),
            tls_protocol: Cell::new(false),
            eof_received: Cell::new(false),
            buffer: RefCell::default(),
            blocked: Cell::new(false),
            cork: Cell::new(Cork::Off),
            half_close: Cell::new(HalfClose::No),
            empty_waiter: Slot::default(),
        })?;
        transport.endpoint.use_context(context);
        transport.endpoint.file.hold()?;
        Self::use_protocol(&transport, protocol)?;
        if let Some(server) = server.and_then(Obj::non_none)
            && let Err(raised) = server::attach(server, transport.as_obj())
        {
            transport.endpoint.server.set(None); // It has nothing to be detached from.
            return Err(raised);
        }
        let fd = transport.endpoint.fd().map_err(Raised::os_error)?;
        set_nodelay(&transport.endpoint.file, fd)?;
        transport.introduce(Some(&names()._start_reading), waiter)?;
        Ok(transport)
    }

    fn repr(this: &Py<Self>) -> PyResult<Obj> {
        let reading = this.intake.reading.get() == Reading::Active && !this.eof_received.get();
        face::describe(this, reading, this.blocked.get(), this.buffered())
    }
}

impl Py<StreamTransport> {
    /// The descriptor has become ready.
    #[inline]
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        self.intake.note(readiness);
        let writable = readiness.write && self.blocked.get();
        if readiness.read
            && let Err(raised) = self.read_ready()
        {
            if writable {
                // An edge comes once: Ctrl-C in the reading half must not lose it.
                self.endpoint.queue(Readiness { read: false, write: true, closed: false });
            }
            return Err(raised);
        }
        if writable {
            return self.write_ready();
        }
        if readiness == ROOM {
            self.leave_room();
        }
        Ok(())
    }

    fn close(&self) -> PyResult<()> {
        self.uncork()?;
        if self.endpoint.begin_closing() && self.buffer.borrow().is_empty() {
            return self.schedule_lost(&Obj::none());
        }
        Ok(())
    }

    /// Gives the descriptor to somebody who writes to it directly (sendfile);
    /// `reclaim` ends that.
    fn lend(&self) {
        self.unregister();
        self.endpoint.lent.set(true);
    }

    fn reclaim(&self) -> PyResult<()> {
        self.endpoint.lent.set(false);
        if self.endpoint.phase() < Phase::Closed {
            self.register()?;
            self.rest();
        }
        Ok(())
    }
}

impl StreamTransport {
    /// Whether what is written is dropped, because the connection has ended.
    pub fn is_lost(&self) -> bool {
        self.endpoint.phase() >= Phase::Lost
    }
}

impl Transport for StreamTransport {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn to_any(this: &Py<Self>) -> AnyTransport {
        AnyTransport::Stream(this.clone())
    }

    fn use_protocol(this: &Py<Self>, protocol: &Obj) -> PyResult<()> {
        let buffered = protocol.is_instance(&Asyncio::get().buffered_protocol)?;
        let native = Py::<NativeStreamReaderProtocol>::from_instance(protocol).is_some();
        let tls = Py::<NativeSSLProtocol>::from_instance(protocol).is_some();
        this.tls_protocol.set(tls && buffered);
        this.buffered_protocol.set(buffered);
        this.stream_protocol.set(native && !buffered);
        this.endpoint.set_protocol(protocol);
        Ok(())
    }

    fn buffered(&self) -> usize {
        self.buffer.borrow().len()
    }

    fn send_held_back(this: &Py<Self>) -> PyResult<()> {
        this.uncork()
    }

    fn send_held_for_turn(this: &Py<Self>) -> PyResult<()> {
        if this.cork.get() == Cork::Turn { this.uncork() } else { Ok(()) }
    }

    fn discard(&self) {
        self.buffer.borrow_mut().clear();
    }

    fn ended(this: &Py<Self>) -> PyResult<()> {
        this.fail_empty_waiter()
    }
}

impl Reader for StreamTransport {
    fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The protocol, which may be another by now, is told again of an end that has been read.
    fn look_anew(&self) {
        if self.eof_received.replace(false) {
            self.intake.readable.set(true);
        }
    }
}

impl NativeType for StreamTransport {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.StreamTransport";
    const DOC: &'static std::ffi::CStr = c"TCP and Unix stream transport. See asyncio.Transport.";
    const OPEN: bool = true;
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Py::<Self>::abandoned);
    const REPR: Option<ReprFn<Self>> = Some(Self::repr);

    fn cell() -> &'static TypeCell {
        &STREAM_TRANSPORT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
        visitor.slot(&self.empty_waiter);
    }

    fn clear(&self) {
        self.endpoint.clear();
        self.empty_waiter.set(None);
    }

    fn methods() -> Methods<Self> {
        let methods = flow::methods(face::methods())
            .noargs(
                c"close",
                c"Close after what waits has been sent; reading stops at once.",
                |this: &Py<Self>| this.close(),
            )
            .noargs(c"_lend_fd", c"Leave the descriptor to sendfile.", |this: &Py<Self>| {
                this.lend();
                Ok(())
            })
            .noargs(c"_reclaim_fd", c"Take the descriptor back.", |this: &Py<Self>| this.reclaim());
        write::methods(intake::methods(methods))
    }

    fn properties() -> Properties<Self> {
        face::properties()
            .get_set(
                c"_sock",
                |this: &Py<Self>| this.endpoint.file.object(),
                |this: &Py<Self>, wrapper: &Obj| this.endpoint.wrap_file(wrapper),
            )
            .get(c"_read_ready_cb", |this: &Py<Self>| {
                let open = !this.endpoint.is_closing();
                open.then(|| this.as_obj().attr(c"_start_reading")).transpose()
            })
            .get(c"_paused", |this: &Py<Self>| Ok(this.intake.reading.get() == Reading::Paused))
            .get(c"_eof", |this: &Py<Self>| Ok(this.half_close.get() != HalfClose::No))
            .get(c"_empty_waiter", |this: &Py<Self>| Ok(this.empty_waiter.get()))
            .get(c"_start_tls_compatible", |_: &Py<Self>| Ok(true))
            .get(c"_sendfile_compatible", |_: &Py<Self>| {
                Ok(Asyncio::get().sendfile_try_native.clone())
            })
            .get_set(
                c"max_size",
                |this: &Py<Self>| Ok(this.intake.most.get()),
                |this: &Py<Self>, most: &Obj| this.intake.most.set_to(most),
            )
    }
}
