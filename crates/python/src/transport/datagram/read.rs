//! The way in: from the socket to the protocol.
//!
//! asyncio hands over one datagram a turn, so that whatever the protocol schedules, such as a task
//! that waits for it, runs before the next one. One look at the socket receives several only while
//! that makes no difference: as long as nothing else is queued, and no longer than timers and other
//! files may wait for a poll. What is left waits for the next turn behind the other entries of the
//! queue. A datagram goes through the loop's
//! one hot buffer and becomes a `bytes` of its exact size. The socket is empty when it says so, not
//! before.

use batuta_engine::clock::Instant;
use batuta_engine::turn::MAX_NANOS;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, recvfrom};

use crate::asyncio::names;
use crate::ffi::method::Methods;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::endpoint::Phase;
use super::super::intake::{MAX_READ, Reading};
use super::super::report::{ReadyMethod, report_ready};
use super::address::Family;
use super::{BATCH, DatagramTransport, of_asyncio};

/// What an exception of `datagram_received()` goes through in asyncio.
const READ_READY: ReadyMethod = of_asyncio(c"_read_ready");

const READ_FAILED: &str = "Fatal read error on datagram transport";

/// What a receive brought.
enum Received {
    /// Data, and the address of the sender.
    Datagram(Obj, Obj),
    /// The socket is empty.
    Nothing,
    /// An `OSError`: about one datagram, usually one that was sent.
    Failed(Obj),
}

impl Py<DatagramTransport> {
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
            self.look_again();
        }
        self.endpoint.debug_log(self.as_obj(), "%r resumes reading")
    }

    fn may_read(&self) -> bool {
        self.readable.get()
            && self.reading.get() == Reading::Active
            && self.endpoint.phase() == Phase::Open
    }

    /// Receives a batch and hands it over.
    pub(super) fn read_ready(&self) -> PyResult<()> {
        if !self.may_read() {
            return Ok(());
        }
        let result = self.endpoint.in_context(|| self.read_batch());
        if self.may_read() {
            self.look_again();
        }
        result
    }

    fn read_batch(&self) -> PyResult<()> {
        // In debug mode each call of the protocol is timed on its own.
        let most = if self.endpoint.debug() { 1 } else { BATCH };
        let begin = Instant::now();
        for number in 0..most {
            if !self.may_read() || (number > 0 && !self.alone(begin)) {
                break;
            }
            let received = match self.receive() {
                Ok(received) => received,
                Err(raised) => return self.fatal_error(raised, READ_FAILED),
            };
            match received {
                Received::Datagram(data, sender) => self.deliver(&data, &sender)?,
                Received::Nothing => self.readable.set(false),
                Received::Failed(exception) => self.report_error(&exception, READ_READY)?,
            }
        }
        Ok(())
    }

    /// Whether the loop has nothing to run before the next datagram, in a batch that was begun at
    /// that time.
    #[inline]
    fn alone(&self, begin: Instant) -> bool {
        self.endpoint.event_loop().is_some_and(|event_loop| event_loop.has_nothing_else_to_do())
            && Instant::now().nanos_since(begin) < MAX_NANOS
    }

    #[inline]
    fn deliver(&self, data: &Obj, sender: &Obj) -> PyResult<()> {
        let Some(protocol) = self.endpoint.protocol() else { return Ok(()) };
        match protocol.call_method2(&names().datagram_received, data, sender) {
            Ok(_) => Ok(()),
            Err(raised) => self.protocol_failed(raised, READ_READY),
        }
    }

    /// Tells the protocol of an error; what it raises itself is its caller's. asyncio does so where
    /// it handles the error.
    pub(super) fn error_received(&self, exception: &Obj) -> PyResult<()> {
        let Some(protocol) = self.endpoint.protocol() else { return Ok(()) };
        let tell = || protocol.call_method1(&names().error_received, exception);
        exception.while_handled(tell).map(drop)
    }

    /// Tells the protocol of an error; what it raises itself is reported, as from `method`.
    pub(super) fn report_error(&self, exception: &Obj, method: ReadyMethod) -> PyResult<()> {
        self.error_received(exception).or_else(|raised| self.protocol_failed(raised, method))
    }

    /// Reports an exception of the protocol's, which does not end the transport.
    #[cold]
    fn protocol_failed(&self, raised: Raised, method: ReadyMethod) -> PyResult<()> {
        let event_loop = self.endpoint.event_loop();
        report_ready(&self.whose(event_loop.as_ref()), raised, method)
    }

    #[inline]
    fn receive(&self) -> PyResult<Received> {
        if self.family == Family::Foreign {
            return self.receive_by_python();
        }
        let Some(event_loop) = self.endpoint.event_loop() else { return Ok(Received::Nothing) };
        event_loop.with_read_buffer(MAX_READ, |buffer| {
            let buffer = self.most.of(buffer);
            let received = self
                .endpoint
                .fd()
                .and_then(|fd| retry_on_intr(|| recvfrom(fd, &mut *buffer, RecvFlags::DONTWAIT)));
            match received {
                Ok((count, _, sender)) => {
                    let data = Obj::bytes(buffer.get(..count).unwrap_or_default())?;
                    Ok(Received::Datagram(data, self.received_from.object_of(sender)?))
                }
                Err(Errno::WOULDBLOCK) => Ok(Received::Nothing),
                Err(errno) => Ok(Received::Failed(Raised::os_error(errno).take())),
            }
        })
    }

    #[cold]
    fn receive_by_python(&self) -> PyResult<Received> {
        let Some(sock) = self.endpoint.file.object()? else { return Ok(Received::Nothing) };
        match sock.call_method1(&names().recvfrom, &Obj::size(self.most.get())?) {
            Ok(pair) => match pair.collect()?.as_slice() {
                [data, sender] => Ok(Received::Datagram(data.clone(), sender.clone())),
                _ => Err(Raised::type_error("recvfrom() did not return a pair")),
            },
            Err(raised) if raised.is_put_off() => {
                raised.clear();
                Ok(Received::Nothing)
            }
            Err(raised) => raised.take_os_error().map(Received::Failed),
        }
    }
}

pub(super) fn methods(methods: Methods<DatagramTransport>) -> Methods<DatagramTransport> {
    methods
        .noargs(
            c"is_reading",
            c"Return True if the protocol is given new datagrams.",
            |this: &Py<DatagramTransport>| {
                Ok(!this.endpoint.is_closing() && this.reading.get() != Reading::Paused)
            },
        )
        .noargs(
            c"pause_reading",
            c"Give the protocol no datagrams until resume_reading().",
            |this: &Py<DatagramTransport>| this.pause_reading(),
        )
        .noargs(
            c"resume_reading",
            c"Give the protocol datagrams again.",
            |this: &Py<DatagramTransport>| this.resume_reading(),
        )
        .noargs(
            c"_start_reading",
            c"Start reading, after connection_made().",
            |this: &Py<DatagramTransport>| this.start_reading(),
        )
}
