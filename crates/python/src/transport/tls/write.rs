//! The way out: from the program's `write()` to the transport below.
//!
//! Encrypted at once, and sent at once unless the transport below has asked to wait; then
//! what is encrypted waits in the `MemoryBIO`. What is written before the end of the
//! handshake, or cannot be encrypted for another reason, waits in the backlog, a copy of it
//! if it is not `bytes`.

use crate::asyncio::names;
use crate::ffi::buffer::Buffer;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::super::stream::StreamTransport;
use super::lookups::{Lookups, own_names, pending};
use super::protocol::NativeSSLProtocol;
use super::state::State;

/// How much is encrypted at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Raises in asyncio's words what is not bytes-like; says how many bytes it has.
pub fn size_of_data(data: &Obj) -> PyResult<usize> {
    if data.is_exact_bytes() {
        return Ok(data.bytes_content().len());
    }
    if data.is_bytes_like() {
        return Ok(Buffer::readable(data)?.as_slice().len());
    }
    let given = data.type_name();
    Err(Raised::type_error(&format!("data: expecting a bytes-like instance, got {given}")))
}

/// `bytes(data)[sent:]`, the same object if it is all of a `bytes`.
fn rest_of(data: &Obj, sent: usize) -> PyResult<Obj> {
    if data.is_exact_bytes() {
        if sent == 0 {
            return Ok(data.clone());
        }
        return Obj::bytes(data.bytes_content().get(sent..).unwrap_or_default());
    }
    Obj::bytes(Buffer::readable(data)?.as_slice().get(sent..).unwrap_or_default())
}

impl Py<NativeSSLProtocol> {
    /// Whether something waits to be encrypted.
    #[inline]
    pub(super) fn has_backlog(&self) -> PyResult<bool> {
        match self.backlog.get() {
            Some(backlog) => Ok(backlog.len()? > 0),
            None => Ok(false),
        }
    }

    /// Writes one piece, of `size` bytes.
    #[inline]
    pub(super) fn write(&self, data: &Obj, size: usize) -> PyResult<()> {
        let state = self.state.get();
        if state.drops_writes() {
            return self.write_too_late(data);
        }
        if state == State::Wrapped && !self.has_backlog()? {
            let written = self.write_now(data, size);
            return written.or_else(|raised| self.fail(raised));
        }
        self.wait_with(data, 0)?;
        if state == State::Wrapped {
            return self.do_write().or_else(|raised| self.fail(raised));
        }
        Ok(())
    }

    /// asyncio's `_write_appdata(list_of_data)`.
    pub(super) fn write_all(&self, pieces: &Obj) -> PyResult<()> {
        let pieces = pieces.collect()?;
        let mut sizes = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            sizes.push(size_of_data(piece)?);
        }
        if self.state.get().drops_writes() {
            return self.write_too_late(&Obj::tuple(&[])?);
        }
        for (piece, size) in pieces.iter().zip(sizes) {
            if size > 0 {
                self.wait_with(piece, 0)?;
            }
        }
        if self.state.get() == State::Wrapped {
            return self.do_write().or_else(|raised| self.fail(raised));
        }
        Ok(())
    }

    /// asyncio counts it, and warns when there are too many.
    #[cold]
    fn write_too_late(&self, data: &Obj) -> PyResult<()> {
        let stock = Lookups::get().protocol.getattr(&own_names()._write_appdata)?;
        stock.call2(self.as_obj(), &Obj::tuple(std::slice::from_ref(data))?).map(drop)
    }

    /// Much is encrypted and sent piece by piece: the `MemoryBIO` keeps for ever what memory it
    /// ever had, and what is copied is still in the processor's caches.
    fn write_in_pieces(&self, data: &Obj, size: usize) -> PyResult<()> {
        let view = data.memoryview()?;
        // As it was when the write began: all of one write is sent, or waits.
        let paused = self.ssl_writing_paused.get();
        let mut start = 0;
        while start < size {
            let piece = view.slice(start, (start + PIECE).min(size))?;
            let wanted = PIECE.min(size - start);
            let count = self.encrypt(&piece)?;
            start += count.min(wanted);
            if count < wanted {
                self.wait_with(data, start)?;
                break;
            }
            if !paused && let Some(outgoing) = self.outgoing.get() {
                self.send_encrypted(&outgoing)?;
                if self.is_lost_below() {
                    return Ok(());
                }
            }
        }
        self.process_outgoing()
    }

    /// Whether the transport below is known to drop what is written.
    fn is_lost_below(&self) -> bool {
        let transport = self.transport.get_or_none();
        Py::<StreamTransport>::from_exact(&transport).is_some_and(|native| native.is_lost())
    }

    fn write_now(&self, data: &Obj, size: usize) -> PyResult<()> {
        // (A view of larger items cannot be cut at every byte.)
        if size > PIECE + PIECE / 2 && data.len()? == size {
            return self.write_in_pieces(data, size);
        }
        let count = self.encrypt(data)?;
        if count < size {
            self.wait_with(data, count)?;
            return self.process_outgoing();
        }
        if self.ssl_writing_paused.get() {
            return self.control_app_writing();
        }
        if let Some(outgoing) = self.outgoing.get() {
            self.send_encrypted(&outgoing)?;
        }
        self.control_writing_of(self.backlog_size.get())
    }

    /// Encrypts as much as `_ssl` takes now; says how much.
    #[inline]
    fn encrypt(&self, data: &Obj) -> PyResult<usize> {
        let lookups = Lookups::get();
        let result = if let Some(socket) = self.ssl_socket.get() {
            lookups.encrypt.call2(&socket, data)
        } else {
            let object = self.as_obj().getattr(&own_names()._sslobj)?;
            object.call_method1(&names().write, data)
        };
        match result {
            Ok(count) => Ok(usize::try_from(count.to_i64()?).unwrap_or(0)),
            Err(raised) if lookups.says_again(&raised) => {
                raised.clear();
                Ok(0)
            }
            Err(raised) => Err(raised),
        }
    }

    /// Puts what follows the first `sent` bytes at the end of the backlog.
    fn wait_with(&self, data: &Obj, sent: usize) -> PyResult<()> {
        let Some(backlog) = self.backlog.get() else { return Ok(()) };
        let rest = rest_of(data, sent)?;
        let size = rest.len()?;
        backlog.call_method1(&own_names().append, &rest)?;
        self.backlog_size.set(self.backlog_size.get() + size);
        Ok(())
    }

    /// asyncio's `_do_write()`: encrypts the backlog.
    pub(super) fn do_write(&self) -> PyResult<()> {
        let Some(backlog) = self.backlog.get() else { return self.process_outgoing() };
        while backlog.len()? > 0 {
            let data = backlog.call_method0(&own_names().popleft)?;
            let size = data.len()?;
            let count = match self.encrypt(&data) {
                Ok(count) => count.min(size),
                Err(raised) => {
                    let exception = raised.take();
                    backlog.call_method1(&own_names().appendleft, &data)?;
                    return Err(Raised::restore(exception));
                }
            };
            self.backlog_size.set(self.backlog_size.get().saturating_sub(count));
            if count < size {
                let rest = rest_of(&data, count)?;
                backlog.call_method1(&own_names().appendleft, &rest)?;
                if count == 0 {
                    break;
                }
            }
        }
        self.process_outgoing()
    }

    /// asyncio's `_process_outgoing()`: sends what is encrypted.
    #[inline]
    pub(super) fn process_outgoing(&self) -> PyResult<()> {
        if self.ssl_writing_paused.get() {
            return self.control_app_writing();
        }
        if let Some(outgoing) = self.outgoing.get()
            && pending(&outgoing)? > 0
        {
            self.send_encrypted(&outgoing)?;
        }
        // Sending may have told us to pause, but has taken all there was.
        self.control_writing_of(self.backlog_size.get())
    }

    fn send_encrypted(&self, outgoing: &Obj) -> PyResult<()> {
        let lookups = Lookups::get();
        let data = if outgoing.is_exactly(&lookups.memory_bio) {
            lookups.take.call1(outgoing)?
        } else {
            outgoing.call_method0(&own_names().read)?
        };
        self.send(&data)
    }

    #[inline]
    fn send(&self, data: &Obj) -> PyResult<()> {
        let Some(transport) = self.transport.get() else { return Ok(()) };
        StreamTransport::write_through(&transport, data)
    }
}
