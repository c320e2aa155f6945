//! The way in: from the transport below to the program's protocol.
//!
//! `_ssl` says by an exception that it has no whole record, and an exception costs more than
//! a small record. So it is not asked when it cannot have one: `_SSLSocket.read` gives at
//! most one record, and OpenSSL takes from its `MemoryBIO` no more than the record it works
//! on. Once the `MemoryBIO` is empty and the last read was not cut short, nothing is left.

use std::ops::Range;

use crate::asyncio::names;
use crate::ffi::buffer::bytes_filled;
use crate::ffi::error::exception_class;
use crate::ffi::window::Window;
use crate::ffi::{Obj, Py, PyResult, Raised};
use crate::streams::{NativeStreamReader, NativeStreamReaderProtocol};

use super::lookups::{Lookups, own_names};
use super::protocol::{MAX_SIZE, NativeSSLProtocol, Taker};
use super::state::State;

/// How many received bytes are decrypted straight into a `bytes`, whose size is then cut down.
/// Fewer are copied faster.
const STRAIGHT: Range<usize> = 1024..MAX_SIZE;

/// How much is received at once, in bytes. `MemoryBIO`s keep for ever the memory that they ever
/// needed, so this is also what a connection holds.
const RECEIVED: usize = 128 * 1024;

/// What a record has beside its data, at most as a rule, in bytes. As long as more than that is
/// left it is not asked how much is left; one that has more costs an exception, no more.
const OVERHEAD: usize = 64;

/// What one call of `_SSLSocket.read` has brought.
enum Read {
    /// So many bytes.
    Data(usize),
    /// No whole record is there.
    Again,
    /// The peer has said that no more will come.
    Farewell,
}

/// Why reading has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing more is there.
    Drained,
    /// The memory is full.
    Full,
    /// The peer's farewell.
    Farewell,
}

impl Py<NativeSSLProtocol> {
    /// Receives by `fill` and takes what came; `received` is to be called then.
    #[inline]
    pub fn receive<E>(
        &self,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> PyResult<Result<(), E>> {
        let Some(event_loop) = self.native_loop() else {
            return Err(Raised::runtime_error("the loop of a TLS connection is gone"));
        };
        event_loop.tls.received.with(RECEIVED, |window| match window.fill(RECEIVED, fill)? {
            Ok(count) => self.give(window, count).map(Ok),
            Err(error) => Ok(Err(error)),
        })
    }

    /// Gives the first `count` bytes of a window to `_ssl`.
    pub(super) fn give(&self, window: &Window, count: usize) -> PyResult<()> {
        let Some(incoming) = self.incoming.get() else { return Ok(()) };
        let lookups = Lookups::get();
        let shown = window.showing(0, count);
        if incoming.is_exactly(&lookups.memory_bio) {
            return lookups.give.call2(&incoming, shown).map(drop);
        }
        let data = window.look(count, Obj::bytes)?;
        incoming.call_method1(&names().write, &data).map(drop)
    }

    /// Something has come: goes on with whatever is under way.
    #[inline]
    pub fn received(&self) -> PyResult<()> {
        let next = match self.state.get() {
            State::Wrapped => return self.do_read(),
            State::DoHandshake => &own_names()._do_handshake,
            State::Flushing => &own_names()._do_flush,
            State::Shutdown => &own_names()._do_shutdown,
            State::Unwrapped => return Ok(()),
        };
        self.as_obj().call_method0(next).map(drop)
    }

    /// asyncio's `_do_read()`.
    pub(super) fn do_read(&self) -> PyResult<()> {
        if !self.state.get().reads() {
            return Ok(());
        }
        self.read_and_answer().or_else(|raised| self.fail(raised))
    }

    /// An exception of `_ssl`'s or of the program's ends the connection.
    #[cold]
    pub(super) fn fail(&self, raised: Raised) -> PyResult<()> {
        if !raised.matches(exception_class()) {
            return Err(raised);
        }
        let exception = raised.take();
        let message = Obj::str("Fatal error on SSL protocol")?;
        self.as_obj().call_method2(&own_names()._fatal_error, &exception, &message).map(drop)
    }

    fn read_and_answer(&self) -> PyResult<()> {
        if !self.app_reading_paused.get() {
            match self.taker.get() {
                Taker::Buffer => self.read_into_buffer()?,
                Taker::Bytes | Taker::Reader => self.read_copied()?,
            }
            if self.has_backlog()? {
                self.do_write()?;
            } else {
                self.process_outgoing()?;
            }
        }
        self.control_ssl_reading()
    }

    /// Whether `_ssl` need not be asked for more, when so many bytes wait in its `MemoryBIO`.
    #[inline]
    fn has_drained(&self, waiting: usize) -> bool {
        waiting == 0 && self.ssl_socket.is_some() && !self.cut_short.get()
    }

    #[inline]
    fn is_drained(&self) -> PyResult<bool> {
        Ok(self.has_drained(self.read_buffer_size()?))
    }

    /// One record at most, by `socket` or what stands in its place, into `place`, which has
    /// `room`: not more, or as much as `most` says.
    #[inline]
    fn decrypt(
        &self,
        socket: Option<&Obj>,
        place: &Obj,
        room: usize,
        most: &Obj,
    ) -> PyResult<Read> {
        let lookups = Lookups::get();
        let result = if let Some(socket) = socket {
            lookups.decrypt.call3(socket, most, place)
        } else {
            let object = self.as_obj().getattr(&own_names()._sslobj)?;
            object.call_method2(&own_names().read, &Obj::size(room)?, place)
        };
        self.cut_short.set(false);
        match result {
            Ok(count) => match usize::try_from(count.to_i64()?) {
                Ok(0) | Err(_) => Ok(Read::Farewell),
                Ok(count) => {
                    self.cut_short.set(count >= room);
                    Ok(Read::Data(count))
                }
            },
            Err(raised) if lookups.says_again(&raised) => {
                raised.clear();
                Ok(Read::Again)
            }
            Err(raised) => Err(raised),
        }
    }

    /// Fills a window of `size` bytes from `waiting` received ones; says with how much, and why
    /// no more. It is one `_ssl` object that does so, even if the program replaces it meanwhile:
    /// another might keep what it was shown.
    fn fill(&self, window: &Window, size: usize, waiting: usize) -> PyResult<(usize, End)> {
        let socket = self.ssl_socket.get();
        let (mut filled, mut likely_taken) = (0, 0);
        self.broken_off.set(false);
        loop {
            let room = size - filled;
            let whole = &Lookups::get().whole;
            let place = window.showing(filled, size);
            match self.decrypt(socket.as_ref(), place, room, whole)? {
                Read::Data(count) => {
                    filled += count.min(room);
                    likely_taken += count + OVERHEAD;
                }
                Read::Again => {
                    self.broken_off.set(true);
                    return Ok((filled, End::Drained));
                }
                Read::Farewell => return Ok((filled, End::Farewell)),
            }
            if filled == size {
                return Ok((filled, End::Full));
            }
            if likely_taken >= waiting && self.is_drained()? {
                return Ok((filled, End::Drained));
            }
        }
    }

    /// Hands over all there is, once, as `bytes` or into the buffer of a native reader.
    fn read_copied(&self) -> PyResult<()> {
        let waiting = self.read_buffer_size()?;
        if self.has_drained(waiting) {
            return Ok(());
        }
        let (Some(event_loop), Some(protocol)) = (self.native_loop(), self.app_protocol.get())
        else {
            return Ok(());
        };
        let plain = &event_loop.tls.plain;
        let end = if let Some(reader) = self.fed_reader(&protocol)? {
            let mut all = 0;
            let end = plain.with(MAX_SIZE, |window| {
                self.fill_again_and_again(window, waiting, |data| {
                    all += data.len();
                    reader.append(data)
                })
            })?;
            if all > 0 {
                reader.fed()?;
            }
            end
        } else {
            let (data, end) = plain.with(MAX_SIZE, |window| self.decrypted(window, waiting))?;
            if let Some(data) = data {
                protocol.call_method1(&names().data_received, &data)?;
            }
            end
        };
        if end == End::Farewell { self.farewell() } else { Ok(()) }
    }

    /// Fills a window as often as there is more than it holds; each time `take` takes what is in
    /// it. No code of the program runs in between.
    fn fill_again_and_again(
        &self,
        window: &Window,
        mut waiting: usize,
        mut take: impl FnMut(&[u8]) -> PyResult<()>,
    ) -> PyResult<End> {
        loop {
            let (filled, end) = self.fill(window, MAX_SIZE, waiting)?;
            window.look(filled, &mut take)?;
            if end != End::Full {
                return Ok(end);
            }
            waiting = self.read_buffer_size()?;
        }
    }

    /// What the `waiting` received bytes say, as `bytes`.
    ///
    /// It cannot be more than these, unless the beginning of a record has come before. So it
    /// may go straight into a `bytes` of that size, of which little is cut off then.
    #[inline]
    fn decrypted(&self, window: &Window, waiting: usize) -> PyResult<(Option<Obj>, End)> {
        let fits = STRAIGHT.contains(&waiting) && !self.broken_off.get();
        let (data, end) = if fits && self.ssl_socket.is_some() && !self.cut_short.get() {
            let mut end = End::Drained;
            let filled = bytes_filled(waiting, |place| {
                let (filled, why) =
                    window.over(place, |window| self.fill(window, waiting, waiting))?;
                end = why;
                Ok(filled)
            })?;
            (filled?, end)
        } else {
            let (filled, end) = self.fill(window, MAX_SIZE, waiting)?;
            (window.look(filled, Obj::bytes)?, end)
        };
        if end != End::Full {
            return Ok(((data.len()? > 0).then_some(data), end));
        }
        let mut all = data.bytes_content().to_vec();
        let waiting = self.read_buffer_size()?;
        let end = self.fill_again_and_again(window, waiting, |data| {
            all.extend_from_slice(data);
            Ok(())
        })?;
        Ok((Some(Obj::bytes(&all)?), end))
    }

    /// The reader of the program's protocol, if data may go straight there.
    #[inline]
    fn fed_reader(&self, protocol: &Obj) -> PyResult<Option<Py<NativeStreamReader>>> {
        if self.taker.get() != Taker::Reader {
            return Ok(None);
        }
        match Py::<NativeStreamReaderProtocol>::from_instance(protocol) {
            Some(protocol) => protocol.fed_reader(),
            None => Ok(None),
        }
    }

    /// Fills the buffer that a `BufferedProtocol` supplies, once.
    fn read_into_buffer(&self) -> PyResult<()> {
        if self.is_drained()? {
            return Ok(());
        }
        let Some(protocol) = self.app_protocol.get() else { return Ok(()) };
        let hint = Obj::size(self.read_buffer_size()?)?;
        let buffer = protocol.call_method1(&names().get_buffer, &hint)?;
        let room = buffer.len()?;
        let (mut filled, mut farewell) = (0, false);
        let mut rest = buffer;
        loop {
            // (Its items may be larger than a byte.)
            let socket = self.ssl_socket.get();
            let most = Obj::size(room - filled)?;
            match self.decrypt(socket.as_ref(), &rest, room - filled, &most)? {
                Read::Data(count) => filled += count.min(room - filled),
                Read::Again => break,
                Read::Farewell => {
                    farewell = true;
                    break;
                }
            }
            if filled >= room {
                if !self.is_drained()? {
                    let again = self.as_obj().getattr(&own_names()._do_read)?;
                    self.event_loop
                        .get_or_none()
                        .call_method1(&names().call_soon, &again)
                        .map(drop)?;
                }
                break;
            }
            if self.is_drained()? {
                break;
            }
            // A view: a slice of a bytearray would be a copy.
            rest = rest.memoryview()?.slice_from(rest.len()? - (room - filled))?;
        }
        if filled > 0 {
            protocol.call_method1(&names().buffer_updated, &Obj::size(filled)?)?;
        }
        if farewell { self.farewell() } else { Ok(()) }
    }

    /// The peer closes: so do we.
    #[cold]
    fn farewell(&self) -> PyResult<()> {
        self.as_obj().call_method0(&own_names()._call_eof_received)?;
        self.as_obj().call_method0(&own_names()._start_shutdown).map(drop)
    }
}
