//! The way in: from the socket to the protocol.
//!
//! One read per turn (`intake`), straight into the protocol, or into the buffer
//! that a `BufferedProtocol` supplies.

use crate::asyncio::names;
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::intake::NoData;
use super::super::tls::NativeSSLProtocol;
use super::StreamTransport;

const GET_BUFFER_FAILED: &str = "Fatal error: protocol.get_buffer() call failed.";
const READ_FAILED: &str = "Fatal read error on socket transport";

/// Data that a read has brought.
enum Input {
    /// A `bytes` object.
    Bytes(Obj),
    /// The protocol's own buffer was filled with so many bytes.
    Filled(usize),
}

impl Py<StreamTransport> {
    /// Reads once and hands the data over.
    #[inline]
    pub(super) fn read_ready(&self) -> PyResult<()> {
        if self.eof_received.get() || !self.may_read() {
            return Ok(());
        }
        let result = match self.fed_reader() {
            Ok(Some(reader)) => self.endpoint.in_context(|| self.feed_once(&reader)),
            Ok(None) => self.endpoint.in_context(|| self.read_once()),
            Err(raised) => Err(raised),
        };
        self.queue_read();
        result
    }

    fn read_once(&self) -> PyResult<()> {
        let Some(protocol) = self.endpoint.protocol() else { return Ok(()) };
        if self.tls_protocol.get()
            && let Some(tls) = Py::<NativeSSLProtocol>::from_instance(&protocol)
            && tls.may_be_fed()
        {
            return self.feed_tls(tls);
        }
        let received = if self.buffered_protocol.get() {
            match get_buffer(&protocol) {
                Ok(buffer) => self.receive_into(&buffer),
                Err(raised) => return self.fatal_error(raised, GET_BUFFER_FAILED),
            }
        } else {
            self.receive()
        };
        let received = match received {
            Ok(received) => received,
            Err(raised) => return self.fatal_error(raised, READ_FAILED),
        };
        match received {
            Ok(Input::Bytes(data)) => {
                let called =
                    self.corked(|| protocol.call_method1(&names().data_received, &data).map(drop));
                called.or_else(|raised| {
                    self.fatal_error(raised, "Fatal error: protocol.data_received() call failed.")
                })
            }
            Ok(Input::Filled(count)) => {
                let count = Obj::size(count)?;
                let called = self
                    .corked(|| protocol.call_method1(&names().buffer_updated, &count).map(drop));
                called.or_else(|raised| {
                    self.fatal_error(raised, "Fatal error: protocol.buffer_updated() call failed.")
                })
            }
            Err(no_data) => self.received_nothing(no_data),
        }
    }

    /// Reads once, into the memory that TLS decrypts from, and has it decrypted.
    fn feed_tls(&self, tls: &Py<NativeSSLProtocol>) -> PyResult<()> {
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return self.received_nothing(NoData::Failed(errno)),
        };
        let called = match tls.receive(|place| self.intake.receive_into(fd, place)) {
            Ok(Ok(())) => self.corked(|| tls.received()),
            Ok(Err(no_data)) => return self.received_nothing(no_data),
            Err(raised) => Err(raised),
        };
        called.or_else(|raised| {
            self.fatal_error(raised, "Fatal error: protocol.buffer_updated() call failed.")
        })
    }

    /// A read has brought no data.
    pub(super) fn received_nothing(&self, no_data: NoData) -> PyResult<()> {
        match no_data {
            NoData::Eof => match self.endpoint.protocol() {
                Some(protocol) => self.on_eof(&protocol),
                None => Ok(()),
            },
            NoData::NotNow => Ok(()),
            NoData::Failed(errno) => {
                let raised = Raised::os_error(errno);
                self.fatal_error(raised, READ_FAILED)
            }
        }
    }

    fn receive(&self) -> PyResult<Result<Input, NoData>> {
        let Some(event_loop) = self.endpoint.event_loop() else { return Ok(Err(NoData::NotNow)) };
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(NoData::Failed(errno))),
        };
        Ok(self.intake.receive(&event_loop, fd)?.map(Input::Bytes))
    }

    /// Receives into the buffer that a `BufferedProtocol` has supplied.
    fn receive_into(&self, buffer: &Obj) -> PyResult<Result<Input, NoData>> {
        let mut view = Buffer::writable(buffer).map_err(|raised| {
            raised.clear();
            Raised::type_error(&format!(
                "recv_into() argument 1 must be read-write bytes-like object, not {}",
                buffer.type_name()
            ))
        })?;
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(NoData::Failed(errno))),
        };
        Ok(self.intake.receive_lent(fd, view.as_mut_slice()).map(Input::Filled))
    }

    /// The loop lets go of a connection that has nothing to read any more while nothing waits to be
    /// written: where the program has forgotten it, the collector closes it.
    pub(super) fn rest(&self) {
        if self.eof_received.get() && !self.blocked.get() {
            self.unregister();
        }
    }

    fn on_eof(&self, protocol: &Obj) -> PyResult<()> {
        self.endpoint.debug_log(self.as_obj(), "%r received EOF")?;
        let keep_open =
            protocol.call_method0(&names().eof_received).and_then(|answer| answer.is_true());
        match keep_open {
            Ok(true) => {
                self.eof_received.set(true);
                self.rest();
                Ok(())
            }
            Ok(false) => self.as_obj().call_method0(&names().close).map(drop),
            Err(raised) => {
                let ended =
                    self.fatal_error(raised, "Fatal error: protocol.eof_received() call failed.");
                if ended.is_err() {
                    // Something that ends the loop (Ctrl-C, say): told again when that goes on.
                    self.intake.readable.set(true);
                }
                ended
            }
        }
    }
}

/// Asks a `BufferedProtocol` for its buffer.
fn get_buffer(protocol: &Obj) -> PyResult<Obj> {
    let buffer = protocol.call_method1(&names().get_buffer, &Obj::int(-1)?)?;
    if buffer.len()? == 0 {
        return Err(Raised::runtime_error("get_buffer() returned an empty buffer"));
    }
    Ok(buffer)
}
