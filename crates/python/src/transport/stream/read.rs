//! The way in: from the socket to the protocol.
//!
//! One read per connection and turn, straight into the protocol, connection by
//! connection. Small reads go through the loop's one hot buffer and become a
//! `bytes` of their exact size; after a large read the size is asked for first
//! and the data received into the `bytes` itself. Nothing large is allocated to
//! be shrunk afterwards.

use batuta_engine::driver::Readiness;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::asyncio::names;
use crate::ffi::buffer::{Buffer, bytes_filled};
use crate::ffi::method::Methods;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::endpoint::Phase;
use super::StreamTransport;
use super::write::Cork;

/// At most this much is read at once, in bytes.
pub const MAX_READ: usize = 256 * 1024;

/// From this size on a read is large.
const LARGE_READ: usize = 64 * 1024;

/// Whether data may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// `connection_made()` has not been called yet.
    NotStarted,
    /// Data goes to the protocol as it comes.
    Active,
    /// `pause_reading()` was called.
    Paused,
}

/// What a receive brought.
enum Received {
    Data(Obj),
    /// The protocol's own buffer was filled with so many bytes.
    Filled(usize),
    Eof,
    Nothing,
    Failed(Errno),
}

impl Py<StreamTransport> {
    /// Starts reading, after `connection_made()`.
    fn start_reading(&self) -> PyResult<()> {
        if self.endpoint.is_closing() {
            return Ok(());
        }
        self.register()?;
        if self.reading.get() == Reading::NotStarted {
            self.reading.set(Reading::Active);
        }
        Ok(())
    }

    fn pause_reading(&self) -> PyResult<()> {
        if self.endpoint.is_closing() || self.reading.get() == Reading::Paused {
            return Ok(());
        }
        self.reading.set(Reading::Paused);
        self.endpoint.debug_log(self.as_obj(), "%r pauses reading")
    }

    fn resume_reading(&self) -> PyResult<()> {
        if self.endpoint.is_closing() || self.reading.get() != Reading::Paused {
            return Ok(());
        }
        self.reading.set(Reading::Active);
        self.endpoint.renew_context()?;
        self.register()?;
        if self.readable.get() {
            self.queue_read();
        }
        self.endpoint.debug_log(self.as_obj(), "%r resumes reading")
    }

    fn queue_read(&self) {
        self.endpoint.queue(Readiness { read: true, write: false, closed: false });
    }

    /// Reads once and hands the data over.
    #[inline]
    pub(super) fn read_ready(&self) -> PyResult<()> {
        if self.endpoint.phase() != Phase::Open
            || self.reading.get() != Reading::Active
            || self.eof_received.get()
            || !self.readable.get()
        {
            return Ok(());
        }
        self.endpoint.in_context(|| self.read_once())?;
        if self.readable.get() && self.reading.get() == Reading::Active {
            self.queue_read();
        }
        Ok(())
    }

    fn read_once(&self) -> PyResult<()> {
        let Some(protocol) = self.endpoint.protocol() else { return Ok(()) };
        let received = if self.buffered_protocol.get() {
            match self.receive_into(&protocol) {
                Ok(received) => received,
                Err(raised) => {
                    let message = "Fatal error: protocol.get_buffer() call failed.";
                    return self.fatal_error(raised, message);
                }
            }
        } else {
            self.receive()?
        };
        match received {
            Received::Data(data) => {
                let called =
                    self.corked(|| protocol.call_method1(&names().data_received, &data).map(drop));
                called.or_else(|raised| {
                    self.fatal_error(raised, "Fatal error: protocol.data_received() call failed.")
                })
            }
            Received::Filled(count) => {
                let count = Obj::size(count)?;
                let called = self
                    .corked(|| protocol.call_method1(&names().buffer_updated, &count).map(drop));
                called.or_else(|raised| {
                    self.fatal_error(raised, "Fatal error: protocol.buffer_updated() call failed.")
                })
            }
            Received::Eof => self.on_eof(&protocol),
            Received::Nothing => Ok(()),
            Received::Failed(errno) => {
                self.readable.set(false);
                let raised = Raised::os_error(errno);
                self.fatal_error(raised, "Fatal read error on socket transport")
            }
        }
    }

    /// Runs a call of the protocol that may write; what it wrote behind its first
    /// write leaves together afterwards.
    #[inline]
    fn corked(&self, call: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
        self.cork.set(Cork::Ready);
        let result = call();
        let cork = self.cork.replace(Cork::Off);
        if cork == Cork::Holding {
            let exception = result.map_err(Raised::take);
            let flushed = self.flush_corked();
            return exception.map_err(Raised::restore).and(flushed);
        }
        result
    }

    /// Notes what a receive of at most `room` bytes said of the next one.
    #[inline]
    fn classify(&self, received: Result<usize, Errno>, room: usize) -> Result<usize, Received> {
        match received {
            Ok(0) => {
                self.readable.set(false);
                Err(Received::Eof)
            }
            Ok(count) => {
                // A short read has emptied the socket: the next byte makes an
                // edge. The end of file has made its edge already.
                self.readable.set(count == room || self.peer_closed.get());
                self.large_reads.set(count >= LARGE_READ);
                Ok(count)
            }
            Err(Errno::WOULDBLOCK) => {
                self.readable.set(false);
                Err(Received::Nothing)
            }
            Err(Errno::INTR) => Err(Received::Nothing),
            Err(errno) => Err(Received::Failed(errno)),
        }
    }

    fn receive(&self) -> PyResult<Received> {
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return Ok(Received::Failed(errno)),
        };
        if self.large_reads.get()
            && let Ok(waiting) = rustix::io::ioctl_fionread(fd)
            && let Ok(waiting) = usize::try_from(waiting)
            && waiting >= LARGE_READ
        {
            let room = waiting.min(MAX_READ);
            let filled = bytes_filled(room, |place| {
                let received = recv(fd, place, RecvFlags::empty()).map(|(_, count)| count);
                self.classify(received, room)
            })?;
            return Ok(filled.map_or_else(|other| other, Received::Data));
        }
        let Some(event_loop) = self.endpoint.event_loop() else { return Ok(Received::Nothing) };
        event_loop.with_read_buffer(MAX_READ, |buffer| {
            let received = recv(fd, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count);
            match self.classify(received, buffer.len()) {
                Ok(count) => Obj::bytes(&buffer[..count]).map(Received::Data),
                Err(other) => Ok(other),
            }
        })
    }

    /// Receives into the buffer that a `BufferedProtocol` supplies.
    fn receive_into(&self, protocol: &Obj) -> PyResult<Received> {
        let buffer = protocol.call_method1(&names().get_buffer, &Obj::int(-1)?)?;
        if buffer.len()? == 0 {
            return Err(Raised::runtime_error("get_buffer() returned an empty buffer"));
        }
        let mut view = Buffer::writable(&buffer)?;
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return Ok(Received::Failed(errno)),
        };
        let place = view.as_mut_slice();
        let room = place.len();
        let received = recv(fd, place, RecvFlags::empty()).map(|(count, _)| count);
        Ok(self.classify(received, room).map_or_else(|other| other, Received::Filled))
    }

    fn on_eof(&self, protocol: &Obj) -> PyResult<()> {
        self.endpoint.debug_log(self.as_obj(), "%r received EOF")?;
        let keep_open =
            protocol.call_method0(&names().eof_received).and_then(|answer| answer.is_true());
        match keep_open {
            Ok(true) => {
                self.eof_received.set(true);
                Ok(())
            }
            Ok(false) => self.as_obj().call_method0(&names().close).map(drop),
            Err(raised) => {
                self.fatal_error(raised, "Fatal error: protocol.eof_received() call failed.")
            }
        }
    }
}

pub(super) fn methods(methods: Methods<StreamTransport>) -> Methods<StreamTransport> {
    methods
        .noargs(
            c"is_reading",
            c"Return True if the protocol is given new data.",
            |this: &Py<StreamTransport>| {
                Ok(!this.endpoint.is_closing() && this.reading.get() != Reading::Paused)
            },
        )
        .noargs(
            c"pause_reading",
            c"Give the protocol no data until resume_reading().",
            |this: &Py<StreamTransport>| this.pause_reading(),
        )
        .noargs(
            c"resume_reading",
            c"Give the protocol data again.",
            |this: &Py<StreamTransport>| this.resume_reading(),
        )
        .noargs(
            c"_start_reading",
            c"Start reading, after connection_made().",
            |this: &Py<StreamTransport>| this.start_reading(),
        )
}
