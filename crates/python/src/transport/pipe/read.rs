//! `ReadPipeTransport`: the reading end.
//!
//! Role: moves bytes from a FIFO, socket or character device to a protocol. A
//! real subclass of `asyncio.ReadTransport`.
//!
//! The end of file, or an error, ends the transport: `eof_received()` (its answer
//! does not matter), then `connection_lost()`. An exception of the protocol's
//! `data_received()` is reported and does not end it.

use std::os::fd::RawFd;

use batuta_engine::driver::Readiness;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::error::os_error_class;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{ReprFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};

use super::super::AnyTransport;
use super::super::endpoint::{Endpoint, Transport};
use super::super::intake::{self, Intake, NoData, Reader, Reading};
use super::super::report::{ReadyMethod, report_ready};
use super::super::source::Source;
use super::Kind;

const REFUSAL: &str = "Pipe transport is for pipes/sockets only.";

/// What an exception of `data_received()` goes through in asyncio.
const READ_READY: ReadyMethod = ReadyMethod {
    module: c"asyncio.unix_events",
    class: c"_UnixReadPipeTransport",
    name: c"_read_ready",
};

/// The reading end of a pipe.
#[derive(Debug)]
pub struct ReadPipeTransport {
    endpoint: Endpoint,
    intake: Intake,
    fileno: RawFd,
}

static READ_PIPE_TRANSPORT: TypeCell = TypeCell::new();

impl ReadPipeTransport {
    /// `loop._make_read_pipe_transport(pipe, protocol, waiter=None, extra=None)`.
    pub fn make(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Py<Self>> {
        const NAME: &str = "_make_read_pipe_transport";
        let ([pipe, protocol], _) = args.split::<2>(NAME)?;
        let [waiter, extra] = args.bind(NAME, 2, [&names().waiter, &names().extra])?;
        let (endpoint, kind) = super::open(event_loop, pipe, protocol, extra, REFUSAL)?;
        let fileno = super::number(&endpoint)?;
        event_loop.ensure_no_transport(pipe, fileno)?;
        super::set_nonblocking(&endpoint)?;
        let source = source(&endpoint, kind).map_err(Raised::os_error)?;
        let transport = Py::new(Self { endpoint, intake: Intake::new(source), fileno })?;
        transport.endpoint.file.hold()?;
        transport.introduce(Some(&names()._start_reading), waiter)?;
        Ok(transport)
    }

    fn repr(this: &Py<Self>) -> PyResult<Obj> {
        let polling = this.intake.reading.get() == Reading::Active && !this.endpoint.is_closing();
        super::describe(this, this.fileno, polling, None)
    }
}

/// What a short read will say.
fn source(endpoint: &Endpoint, kind: Kind) -> Result<Source, Errno> {
    Ok(match kind {
        Kind::Socket if socket_type(endpoint.fd()?)? == SocketType::STREAM => Source::Socket,
        Kind::Fifo if !fcntl_getfl(endpoint.fd()?)?.contains(OFlags::DIRECT) => Source::Pipe,
        _ => Source::Other,
    })
}

impl Py<ReadPipeTransport> {
    /// The descriptor has become ready.
    #[inline]
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        self.intake.note(readiness);
        if !self.may_read() {
            return Ok(());
        }
        let result = self.endpoint.in_context(|| self.read_once());
        self.queue_read();
        result
    }

    fn read_once(&self) -> PyResult<()> {
        let (Some(event_loop), Some(protocol)) =
            (self.endpoint.event_loop(), self.endpoint.protocol())
        else {
            return Ok(());
        };
        let received = match self.endpoint.fd() {
            Ok(fd) => match self.intake.receive(&event_loop, fd) {
                Ok(received) => received,
                Err(raised) => {
                    return self.fatal_error(raised, "Fatal read error on pipe transport");
                }
            },
            Err(errno) => Err(NoData::Failed(errno)),
        };
        match received {
            Ok(data) => {
                let called = protocol.call_method1(&names().data_received, &data);
                called.map(drop).or_else(|raised| {
                    report_ready(&self.whose(Some(&event_loop)), raised, READ_READY)
                })
            }
            Err(NoData::Eof) => {
                self.endpoint.info_log(self.as_obj(), "%r was closed by peer")?;
                let told = protocol
                    .getattr(&names().eof_received)
                    .and_then(|eof_received| {
                        NativeLoop::schedule(&event_loop, &eof_received, &[], None)
                    })
                    .map_err(Raised::take);
                let lost = self.schedule_lost(&Obj::none());
                told.map_err(Raised::restore).and(lost)
            }
            Err(NoData::NotNow) => Ok(()),
            Err(NoData::Failed(errno)) => {
                self.fatal_error(Raised::os_error(errno), "Fatal read error on pipe transport")
            }
        }
    }
}

impl Transport for ReadPipeTransport {
    const END_COUNTS: u32 = 0;

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn to_any(this: &Py<Self>) -> AnyTransport {
        AnyTransport::ReadPipe(this.clone())
    }

    fn buffered(&self) -> usize {
        0
    }

    fn discard(&self) {}

    /// `EIO`: the other side of a terminal has gone.
    fn is_expected(exception: &Obj) -> PyResult<bool> {
        if !exception.is_instance(os_error_class())? {
            return Ok(false);
        }
        exception.attr(c"errno")?.equals(&Obj::int(i64::from(Errno::IO.raw_os_error()))?)
    }
}

impl Reader for ReadPipeTransport {
    fn intake(&self) -> &Intake {
        &self.intake
    }
}

impl NativeType for ReadPipeTransport {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.ReadPipeTransport";
    const DOC: &'static std::ffi::CStr = c"Reading end of a pipe. See asyncio.ReadTransport.";
    const OPEN: bool = true;
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Py::<Self>::abandoned);
    const REPR: Option<ReprFn<Self>> = Some(Self::repr);

    fn cell() -> &'static TypeCell {
        &READ_PIPE_TRANSPORT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
    }

    fn clear(&self) {
        self.endpoint.clear();
    }

    fn methods() -> Methods<Self> {
        intake::methods(super::methods()).noargs(
            c"close",
            c"Stop reading and close; connection_lost() comes in the next turn.",
            |this: &Py<Self>| this.force_close(&Obj::none()),
        )
    }

    fn properties() -> Properties<Self> {
        super::properties()
            .get(c"_fileno", |this: &Py<Self>| Obj::int(i64::from(this.fileno)))
            .get(c"_paused", |this: &Py<Self>| Ok(this.intake.reading.get() == Reading::Paused))
            .get_set(
                c"max_size",
                |this: &Py<Self>| Ok(this.intake.most.get()),
                |this: &Py<Self>, most: &Obj| this.intake.most.set_to(most),
            )
    }
}
