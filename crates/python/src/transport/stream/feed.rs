//! From the socket into the buffer of a native stream reader, without a call.
//!
//! What asyncio's `StreamReaderProtocol.data_received()` does, done here: for a protocol
//! and a reader of ours, as long as no program has replaced one of the methods on the way.
//! Whether that holds is asked at each read.
//!
//! What is small goes through the loop's hot buffer. Where much is to come, because a
//! coroutine waits for so much or because the last read was large, the `bytes` is filled that
//! the coroutine gets, or else the reader's own memory.

use crate::ffi::{Py, PyResult};
use crate::streams::{NativeStreamReader, NativeStreamReaderProtocol};

use super::super::intake::{LARGE_READ, NoData};
use super::StreamTransport;

impl Py<StreamTransport> {
    /// The reader into which to receive.
    #[inline]
    pub(super) fn fed_reader(&self) -> PyResult<Option<Py<NativeStreamReader>>> {
        if !self.stream_protocol.get() {
            return Ok(None);
        }
        let Some(protocol) = self.endpoint.protocol() else { return Ok(None) };
        match Py::<NativeStreamReaderProtocol>::from_instance(&protocol) {
            Some(protocol) => protocol.fed_reader(),
            None => Ok(None),
        }
    }

    /// Reads once, into the reader's buffer, and tells the reader.
    #[inline]
    pub(super) fn feed_once(&self, reader: &Py<NativeStreamReader>) -> PyResult<()> {
        let received = self.receive_for(reader);
        let fed = match received {
            Ok(Ok(())) => reader.fed(),
            Ok(Err(no_data)) => return self.received_nothing(no_data),
            Err(raised) => Err(raised),
        };
        fed.or_else(|raised| {
            self.fatal_error(raised, "Fatal error: protocol.data_received() call failed.")
        })
    }

    #[inline]
    fn receive_for(&self, reader: &Py<NativeStreamReader>) -> PyResult<Result<(), NoData>> {
        let Some(event_loop) = self.endpoint.event_loop() else { return Ok(Err(NoData::NotNow)) };
        let fd = match self.endpoint.fd() {
            Ok(fd) => fd,
            Err(errno) => return Ok(Err(NoData::Failed(errno))),
        };
        if let Some(received) = reader.fill_whole(|place| self.intake.receive_whole(fd, place))? {
            return Ok(received);
        }
        if let Some(room) = reader.missing().or_else(|| self.intake.large_room(fd)) {
            if let Some(most) = reader.takes_any().filter(|most| *most >= LARGE_READ) {
                let received = self.intake.receive_large(fd, room.min(most))?;
                return Ok(received.map(|data| reader.put(data)));
            }
            if let Some(received) =
                reader.append_with(room, |data| self.intake.receive_behind(fd, data))
            {
                return Ok(received);
            }
        }
        self.intake.receive_copied(&event_loop, fd, |data| reader.append(data))
    }
}
