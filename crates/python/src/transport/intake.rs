//! The way in of a transport: from its descriptor to a `bytes` object.
//!
//! Role: what is known of the descriptor ([`Intake`]), where a read goes, and the methods
//! that pause and resume reading. The read itself is [`Source`]'s; what becomes of the data
//! is the transport's.
//!
//! One read per transport and turn, depth first. Small reads go through the
//! loop's one hot buffer and become a `bytes` of their exact size; after a large
//! read the size is asked for first and the data read into the `bytes` itself,
//! which has room for one byte more: a read that leaves it free has left nothing
//! behind. Nothing large is allocated to be shrunk by more than that byte.
//!
//! The descriptor is registered edge-triggered: what the edges said is remembered
//! ([`Intake::readable`]), so pausing and resuming costs no system call, and a
//! transport asks to be called again as long as more may be there.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use batuta_engine::boundary::Received;
use batuta_engine::driver::Readiness;
use batuta_engine::heap::expect_large_blocks;
use rustix::io::{Errno, ioctl_fionread};

use crate::event_loop::NativeLoop;
use crate::ffi::buffer::bytes_filled;
use crate::ffi::method::Methods;
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::endpoint::{Phase, Transport};
use super::source::Source;

/// At most this much is read at once, in bytes.
pub const MAX_READ: usize = 256 * 1024;

/// From this size on a read is large, in bytes: to ask for the size costs less than to copy so much.
pub const LARGE_READ: usize = 32 * 1024;

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

/// Why a read brought no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoData {
    /// The end of file.
    Eof,
    /// There is none at the moment.
    NotNow,
    /// An error.
    Failed(Errno),
}

/// How many bytes are read at once: `max_size` of asyncio's transports, which programs set.
#[derive(Debug)]
pub struct MostRead(Cell<usize>);

impl Default for MostRead {
    fn default() -> Self {
        Self(Cell::new(MAX_READ))
    }
}

impl MostRead {
    /// What was set.
    #[inline]
    pub fn get(&self) -> usize {
        self.0.get()
    }

    /// A program sets it; never are more read than [`MAX_READ`].
    pub fn set_to(&self, most: &Obj) -> PyResult<()> {
        match usize::try_from(most.to_i64()?) {
            Ok(most @ 1..) => {
                self.0.set(most);
                Ok(())
            }
            _ => Err(Raised::value_error("max_size must be at least 1")),
        }
    }

    /// So much of a buffer.
    #[inline]
    pub fn of<'a>(&self, buffer: &'a mut [u8]) -> &'a mut [u8] {
        let most = self.0.get().min(buffer.len());
        buffer.split_at_mut(most).0
    }
}

/// What a transport knows of what it reads from.
#[derive(Debug)]
pub struct Intake {
    source: Source,
    /// Whether data may be read.
    pub reading: Cell<Reading>,
    /// A read may give something: an edge said so and no read has said otherwise.
    pub readable: Cell<bool>,
    /// The peer has finished or broken the connection: read on until that shows.
    peer_closed: Cell<bool>,
    /// The last read was large: ask for the size before the next.
    large_reads: Cell<bool>,
    pub most: MostRead,
    /// The turns in which it last read, and last asked to be called again: once
    /// each, whatever else happens in a turn.
    read_in: Cell<u64>,
    queued_in: Cell<u64>,
}

impl Intake {
    /// Of a transport whose reading has not started.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            reading: Cell::new(Reading::NotStarted),
            readable: Cell::new(false),
            peer_closed: Cell::new(false),
            large_reads: Cell::new(false),
            most: MostRead::default(),
            read_in: Cell::new(u64::MAX),
            queued_in: Cell::new(u64::MAX),
        }
    }

    /// Notes what an edge said.
    #[inline]
    pub fn note(&self, readiness: Readiness) {
        if readiness.closed {
            self.peer_closed.set(true);
        }
        if readiness.read {
            self.readable.set(true);
        }
    }

    /// Notes whether anything may be `left` after a read. Where nothing is, the next byte makes an
    /// edge; the end of file has made its edge already.
    #[inline]
    fn note_left(&self, left: bool) {
        self.readable.set(left || self.peer_closed.get());
    }

    /// Notes what a read of at most `room` bytes said of the next one.
    #[inline]
    fn classify(
        &self,
        fd: BorrowedFd<'_>,
        result: Result<Received, Errno>,
        room: usize,
    ) -> Result<usize, NoData> {
        match result {
            Ok(Received { bytes: 0, .. }) => {
                self.readable.set(false);
                Err(NoData::Eof)
            }
            Ok(Received { bytes: count, is_all }) => {
                self.note_left(count == room || !self.source.is_emptied(fd, is_all));
                self.large_reads.set(count >= LARGE_READ);
                Ok(count)
            }
            Err(Errno::WOULDBLOCK) => {
                self.readable.set(false);
                Err(NoData::NotNow)
            }
            Err(Errno::INTR) => Err(NoData::NotNow),
            Err(errno) => {
                self.readable.set(false);
                Err(NoData::Failed(errno))
            }
        }
    }

    /// After a large read: how much to receive at once, if that is much again; a byte more than
    /// there is.
    #[inline]
    pub fn large_room(&self, fd: BorrowedFd<'_>) -> Option<usize> {
        if !self.large_reads.get() {
            return None;
        }
        expect_large_blocks();
        let waiting = usize::try_from(ioctl_fionread(fd).ok()?).ok()?;
        (waiting >= LARGE_READ).then(|| (waiting + 1).min(MAX_READ).min(self.most.get()))
    }

    /// Reads once, into a new `bytes` object.
    pub fn receive(
        &self,
        event_loop: &NativeLoop,
        fd: BorrowedFd<'_>,
    ) -> PyResult<Result<Obj, NoData>> {
        if let Some(room) = self.large_room(fd) {
            return self.receive_large(fd, room);
        }
        event_loop.with_read_buffer(MAX_READ, |buffer| {
            let buffer = self.most.of(buffer);
            let result = self.source.read(fd, buffer);
            match self.classify(fd, result, buffer.len()) {
                Ok(count) => Obj::bytes(buffer.get(..count).unwrap_or_default()).map(Ok),
                Err(no_data) => Ok(Err(no_data)),
            }
        })
    }

    /// Reads once, at most `room` bytes, which should be there, into a new `bytes` object.
    pub fn receive_large(&self, fd: BorrowedFd<'_>, room: usize) -> PyResult<Result<Obj, NoData>> {
        bytes_filled(room, |place| self.receive_uninit(fd, place))
    }

    /// Reads once and lends what came to `take`, which runs no Python code.
    #[inline]
    pub fn receive_copied(
        &self,
        event_loop: &NativeLoop,
        fd: BorrowedFd<'_>,
        take: impl FnOnce(&[u8]) -> PyResult<()>,
    ) -> PyResult<Result<(), NoData>> {
        event_loop.with_read_buffer(MAX_READ, |buffer| {
            let buffer = self.most.of(buffer);
            let result = self.source.read(fd, buffer);
            match self.classify(fd, result, buffer.len()) {
                Ok(count) => take(buffer.get(..count).unwrap_or_default()).map(Ok),
                Err(no_data) => Ok(Err(no_data)),
            }
        })
    }

    /// Reads once, behind what a vector holds, as much as it has room for.
    pub fn receive_behind(&self, fd: BorrowedFd<'_>, data: &mut Vec<u8>) -> Result<(), NoData> {
        let room = data.capacity() - data.len();
        self.classify(fd, self.source.read_behind(fd, data), room).map(drop)
    }

    /// Reads once, into the front of memory that is not initialised; says how much.
    pub fn receive_uninit(
        &self,
        fd: BorrowedFd<'_>,
        place: &mut [MaybeUninit<u8>],
    ) -> Result<usize, NoData> {
        let room = place.len().min(MAX_READ);
        let place = place.get_mut(..room).unwrap_or_default();
        self.classify(fd, self.source.read_uninit(fd, place), room)
    }

    /// The same for just what somebody waits for, after which there often is nothing: to ask costs
    /// less than a turn to find out.
    pub fn receive_whole(
        &self,
        fd: BorrowedFd<'_>,
        place: &mut [MaybeUninit<u8>],
    ) -> Result<usize, NoData> {
        let count = self.receive_uninit(fd, place)?;
        if count == place.len() {
            self.note_left(!self.source.is_empty(fd));
        }
        Ok(count)
    }

    /// Reads once, into a place that somebody else supplies; says how much.
    pub fn receive_into(&self, fd: BorrowedFd<'_>, place: &mut [u8]) -> Result<usize, NoData> {
        let room = place.len();
        self.classify(fd, self.source.read(fd, place), room)
    }

    /// The same into a buffer that a protocol has lent. It need not have another for what is not
    /// there, so a full one is no reason to ask it: the socket is.
    pub fn receive_lent(&self, fd: BorrowedFd<'_>, place: &mut [u8]) -> Result<usize, NoData> {
        let room = place.len();
        let count = self.receive_into(fd, place)?;
        if count == room {
            self.note_left(!self.source.is_empty(fd));
        }
        Ok(count)
    }
}

/// A transport that reads.
pub trait Reader: Transport {
    /// What it knows of what it reads from.
    fn intake(&self) -> &Intake;

    /// Reading was resumed: has the socket looked at again where it is done with.
    fn look_anew(&self) {}
}

impl<T: Reader> Py<T> {
    /// Starts reading, after `connection_made()`.
    fn start_reading(&self) -> PyResult<()> {
        if self.endpoint().is_closing() {
            return Ok(());
        }
        self.register()?;
        if self.intake().reading.get() == Reading::NotStarted {
            self.intake().reading.set(Reading::Active);
        }
        Ok(())
    }

    fn is_reading(&self) -> bool {
        !self.endpoint().is_closing() && self.intake().reading.get() != Reading::Paused
    }

    fn pause_reading(&self) -> PyResult<()> {
        if !self.is_reading() {
            return Ok(());
        }
        self.intake().reading.set(Reading::Paused);
        self.endpoint().debug_log(self.as_obj(), "%r pauses reading")
    }

    fn resume_reading(&self) -> PyResult<()> {
        let (endpoint, intake) = (self.endpoint(), self.intake());
        if endpoint.is_closing() || intake.reading.get() != Reading::Paused {
            return Ok(());
        }
        intake.reading.set(Reading::Active);
        endpoint.renew_context()?;
        self.register()?;
        self.look_anew();
        self.queue_read();
        endpoint.debug_log(self.as_obj(), "%r resumes reading")
    }

    /// Whether to read now: something may be there, the protocol wants it, and
    /// this turn's read has not been. One that has to wait comes in the next turn.
    #[inline]
    pub fn may_read(&self) -> bool {
        let intake = self.intake();
        if self.endpoint().phase() != Phase::Open
            || intake.reading.get() != Reading::Active
            || !intake.readable.get()
        {
            return false;
        }
        let turn = self.endpoint().turn();
        if intake.read_in.replace(turn) == turn {
            self.queue_read();
            return false;
        }
        true
    }

    /// Asks to be called in the next turn if a read may give something.
    #[inline]
    pub fn queue_read(&self) {
        let intake = self.intake();
        let wanted = intake.readable.get() && intake.reading.get() == Reading::Active;
        let turn = self.endpoint().turn();
        if wanted && intake.queued_in.replace(turn) != turn {
            self.endpoint().queue(Readiness { read: true, write: false, closed: false });
        }
    }
}

/// The methods of transports that read.
pub fn methods<T: Reader>(methods: Methods<T>) -> Methods<T> {
    methods
        .noargs(c"is_reading", c"Return True if the protocol is given new data.", |this: &Py<T>| {
            Ok(this.is_reading())
        })
        .noargs(
            c"pause_reading",
            c"Give the protocol no data until resume_reading().",
            |this: &Py<T>| this.pause_reading(),
        )
        .noargs(c"resume_reading", c"Give the protocol data again.", |this: &Py<T>| {
            this.resume_reading()
        })
        .noargs(c"_start_reading", c"Start reading, after connection_made().", |this: &Py<T>| {
            this.start_reading()
        })
}
