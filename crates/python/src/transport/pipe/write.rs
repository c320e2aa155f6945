//! `WritePipeTransport`: the writing end.
//!
//! Role: moves bytes from a protocol to a FIFO, socket or character device. A
//! real subclass of `asyncio.WriteTransport`.
//!
//! A write goes out at once. What the pipe does not take waits in the buffer for
//! an edge. That the reader has gone is learnt from the descriptor, too, as soon
//! as it happens: a writing end on which "a read would not block" has nobody to
//! write to. Devices do not tell; they are watched for room only, and only while
//! something waits (some, like `/dev/null`, cannot be watched at all).
//!
//! A device is written through a descriptor of the transport's own: programs open
//! a terminal once and make a transport for each direction of the same number.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use batuta_engine::driver::{Interest, Readiness};
use rustix::io::{Errno, fcntl_dupfd_cloexec, write, writev};

use crate::asyncio::names;
use crate::event_loop::NativeLoop;
use crate::ffi::buffer::Buffer;
use crate::ffi::error::broken_pipe_class;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{ReprFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};

use super::super::AnyTransport;
use super::super::endpoint::{Endpoint, Phase, ROOM, Transport};
use super::super::flow;
use super::super::write_buffer::{Drained, WriteBuffer, pieces};
use super::Kind;

const REFUSAL: &str = "Pipe transport is only for pipes, sockets and character devices";
const WRITE_FAILED: &str = "Fatal write error on pipe transport";
const LATE_WRITE: &str = "pipe closed by peer or os.write(pipe, data) raised exception.";

/// The writing end of a pipe.
#[derive(Debug)]
pub struct WritePipeTransport {
    endpoint: Endpoint,
    kind: Kind,
    fileno: RawFd,
    /// The transport's own descriptor of a device.
    own: RefCell<Option<OwnedFd>>,
    buffer: RefCell<WriteBuffer>,
    /// The pipe is full: wait for an edge before the next write.
    blocked: Cell<bool>,
}

static WRITE_PIPE_TRANSPORT: TypeCell = TypeCell::new();

impl WritePipeTransport {
    /// `loop._make_write_pipe_transport(pipe, protocol, waiter=None, extra=None)`.
    pub fn make(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Py<Self>> {
        const NAME: &str = "_make_write_pipe_transport";
        let ([pipe, protocol], _) = args.split::<2>(NAME)?;
        let [waiter, extra] = args.bind(NAME, 2, [&names().waiter, &names().extra])?;
        let (endpoint, kind) = super::open(event_loop, pipe, protocol, extra, REFUSAL)?;
        let fileno = super::number(&endpoint)?;
        let own = if kind == Kind::Device {
            let own = endpoint.fd().and_then(|fd| fcntl_dupfd_cloexec(fd, 0));
            let own = own.map_err(Raised::os_error)?;
            endpoint.use_fd(own.as_raw_fd());
            Some(own)
        } else {
            event_loop.ensure_no_transport(pipe, fileno)?;
            None
        };
        super::set_nonblocking(&endpoint)?;
        let transport = Py::new(Self {
            endpoint,
            kind,
            fileno,
            own: RefCell::new(own),
            buffer: RefCell::default(),
            blocked: Cell::new(false),
        })?;
        transport.endpoint.file.hold()?;
        let watch = (kind != Kind::Device).then_some(&names()._watch_reader);
        transport.introduce(watch, waiter)?;
        Ok(transport)
    }

    /// What the descriptor is watched for.
    pub fn interest(&self) -> Interest {
        match self.kind {
            Kind::Device => Interest { read: false, write: true },
            Kind::Fifo | Kind::Socket => self.endpoint.interest(),
        }
    }

    fn repr(this: &Py<Self>) -> PyResult<Obj> {
        super::describe(this, this.fileno, this.blocked.get(), Some(this.buffered()))
    }
}

impl Py<WritePipeTransport> {
    /// The descriptor has become ready.
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        if readiness.read && self.kind != Kind::Device {
            return self.endpoint.in_context(|| self.reader_gone());
        }
        if readiness.write && self.blocked.get() {
            return self.endpoint.in_writers_context(|| {
                self.flush_or_wait()?;
                self.flushed()
            });
        }
        if readiness == ROOM && self.kind != Kind::Device {
            self.leave_room();
        }
        Ok(())
    }

    fn reader_gone(&self) -> PyResult<()> {
        self.endpoint.info_log(self.as_obj(), "%r was closed by peer")?;
        let nothing_lost = self.buffered() == 0;
        let reason = if nothing_lost { Obj::none() } else { broken_pipe_class().call0()? };
        self.force_close(&reason)
    }

    /// Starts to watch for the reader's going, after `connection_made()`.
    fn watch_reader(&self) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost { Ok(()) } else { self.register() }
    }

    fn write(&self, data: &Obj) -> PyResult<()> {
        if data.is_exact_bytes() {
            return self.write_content(data, data.bytes_content());
        }
        if !data.is_bytes_like() {
            // asyncio has an assertion there.
            return Err(Raised::assertion_error(&data.repr_lossy()));
        }
        let view = Buffer::readable(data)?;
        self.write_content(data, view.as_slice())
    }

    fn write_content(&self, data: &Obj, content: &[u8]) -> PyResult<()> {
        if content.is_empty() {
            return Ok(());
        }
        if self.endpoint.is_closing() {
            return self.late_write(LATE_WRITE);
        }
        if self.buffered() > 0 {
            self.buffer.borrow_mut().push(data, content, 0);
            return self.buffer_grew();
        }
        let sent = match self.endpoint.fd().and_then(|fd| write(fd, content)) {
            Ok(count) if count == content.len() => return Ok(()),
            Ok(count) => count,
            Err(Errno::WOULDBLOCK | Errno::INTR) => 0,
            Err(errno) => return self.write_failed(errno),
        };
        self.buffer.borrow_mut().push(data, content, sent);
        self.flush_or_wait()?;
        self.buffer_grew()
    }

    fn writelines(&self, lines: &Obj) -> PyResult<()> {
        let pieces = pieces(lines.collect()?)?;
        if pieces.iter().all(|(_, content)| content.as_slice().is_empty()) {
            return Ok(());
        }
        if self.endpoint.is_closing() {
            return self.late_write(LATE_WRITE);
        }
        for (data, content) in &pieces {
            self.buffer.borrow_mut().push(data, content.as_slice(), 0);
        }
        if !self.blocked.get() {
            self.flush_or_wait()?;
        }
        self.buffer_grew()
    }

    /// Writes what waits until the buffer is empty or the pipe is full; then an
    /// edge will tell.
    fn flush_or_wait(&self) -> PyResult<()> {
        let drained = self
            .endpoint
            .fd()
            .and_then(|fd| self.buffer.borrow_mut().drain(|slices| writev(fd, slices)));
        match drained {
            // A device such as /dev/null cannot be waited for, and takes all.
            Ok(Drained::Enough) if self.kind == Kind::Device => self.flush_or_wait(),
            Ok(drained) => {
                self.blocked.set(drained != Drained::Empty);
                self.endpoint.writer_waits(drained != Drained::Empty)?;
                self.await_room(drained)
            }
            Err(errno) => {
                self.blocked.set(false);
                self.write_failed(errno)
            }
        }
    }

    #[cold]
    fn write_failed(&self, errno: Errno) -> PyResult<()> {
        self.endpoint.count_lost_write();
        self.fatal_error(Raised::os_error(errno), WRITE_FAILED)
    }

    /// After a flush: the protocol may write again, and what waited for an empty
    /// buffer happens.
    fn flushed(&self) -> PyResult<()> {
        if self.endpoint.phase() >= Phase::Lost {
            return Ok(());
        }
        self.buffer_shrank()?;
        if self.endpoint.phase() == Phase::Closing && self.buffered() == 0 {
            return self.lose(&Obj::none());
        }
        Ok(())
    }

    /// `close()` and `write_eof()`: the end of a pipe is told by closing it.
    fn close(&self) -> PyResult<()> {
        if self.endpoint.begin_closing() && self.buffered() == 0 {
            return self.schedule_lost(&Obj::none());
        }
        Ok(())
    }
}

impl Transport for WritePipeTransport {
    const END_COUNTS: u32 = 0;

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn to_any(this: &Py<Self>) -> AnyTransport {
        AnyTransport::WritePipe(this.clone())
    }

    fn buffered(&self) -> usize {
        self.buffer.borrow().len()
    }

    fn discard(&self) {
        self.buffer.borrow_mut().clear();
        self.blocked.set(false);
    }

    fn ended(this: &Py<Self>) -> PyResult<()> {
        let own = this.own.borrow_mut().take();
        drop(own);
        Ok(())
    }
}

impl NativeType for WritePipeTransport {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.WritePipeTransport";
    const DOC: &'static std::ffi::CStr = c"Writing end of a pipe. See asyncio.WriteTransport.";
    const OPEN: bool = true;
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Py::<Self>::abandoned);
    const REPR: Option<ReprFn<Self>> = Some(Self::repr);

    fn cell() -> &'static TypeCell {
        &WRITE_PIPE_TRANSPORT
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.endpoint.traverse(visitor);
    }

    fn clear(&self) {
        self.endpoint.clear();
    }

    fn methods() -> Methods<Self> {
        flow::methods(super::methods())
            .named(
                c"write",
                c"write($self, data)\n--\n\n\
                  Write data, at once if possible; it is not copied if it is bytes.",
                || ("write", &names().data),
                |this: &Py<Self>, data: &Obj| this.write(data),
            )
            .named(
                c"writelines",
                c"writelines($self, list_of_data)\n--\n\n\
                  Write several pieces of data in one system call.",
                || ("writelines", &names().list_of_data),
                |this: &Py<Self>, lines: &Obj| this.writelines(lines),
            )
            .noargs(c"close", c"Close after what waits has been written.", |this: &Py<Self>| {
                this.close()
            })
            .noargs(c"write_eof", c"Close after what waits has been written.", |this: &Py<Self>| {
                this.close()
            })
            .noargs(c"can_write_eof", c"Return True.", |_: &Py<Self>| Ok(true))
            .noargs(
                c"_watch_reader",
                c"Watch for the reader's going, after connection_made().",
                |this: &Py<Self>| this.watch_reader(),
            )
    }

    fn properties() -> Properties<Self> {
        super::properties().get(c"_fileno", |this: &Py<Self>| Obj::int(i64::from(this.fileno)))
    }
}
