//! The way into a reader: data that comes, its end, who is woken by it, and when the transport pauses.

use std::mem::MaybeUninit;

use crate::ffi::buffer::Buffer as View;
use crate::ffi::error::{assertion_error_class, not_implemented_class};
use crate::ffi::{Obj, Py, PyResult, Raised};
use crate::sync::waiter;
use crate::transport::MAX_READ;

use super::super::lookups::{Lookups, own_names};
use super::super::{new_future, raise2};
use super::{Hook, NativeStreamReader};

/// So many bytes, that are still to come, are worth a read into the reader's own memory.
const MUCH: usize = 32 * 1024;

/// At most so many bytes have their `bytes` object before they have come: who announces more, and
/// sends nothing, should not make us take the memory.
const MOST_AHEAD: usize = 1024 * 1024;

impl Py<NativeStreamReader> {
    /// Whether a transport may put data into the buffer itself.
    #[inline]
    pub fn may_be_fed(&self) -> bool {
        !self.eof.get() && !self.replaces(Hook::FeedData)
    }

    /// How many bytes the coroutine that waits lacks, at most as many as are read at once;
    /// nothing if that is little.
    #[inline]
    pub fn missing(&self) -> Option<usize> {
        let missing = self.expected.get().saturating_sub(self.buffer.len());
        (missing >= MUCH).then_some(missing.min(MAX_READ))
    }

    /// Whether so many bytes are what the coroutine takes that waits.
    #[inline]
    fn takes_whole(&self, count: usize) -> bool {
        count > 0
            && (self.expected.get()..=self.accepted.get()).contains(&count)
            && self.buffer.is_vacant()
    }

    /// Has a transport receive into the object that a coroutine gets which waits for just so many
    /// bytes, in `readexactly(n)`, if that is worth it: see `Buffer::fill_whole`.
    #[inline]
    pub fn fill_whole<E>(
        &self,
        receive: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<usize, E>,
    ) -> PyResult<Option<Result<(), E>>> {
        let expected = self.expected.get();
        if !(MUCH..=MOST_AHEAD).contains(&expected) || self.accepted.get() != expected {
            return Ok(None);
        }
        self.buffer.fill_whole(expected, receive)
    }

    /// How many bytes at most the coroutine takes as they come that waits, in `read(n)`.
    pub fn takes_any(&self) -> Option<usize> {
        let most = self.accepted.get();
        (self.expected.get() == 0 && most > 0 && self.buffer.is_vacant()).then_some(most)
    }

    /// Gives what a transport has received to the coroutine that [takes any](Self::takes_any).
    pub fn put(&self, data: Obj) {
        self.buffer.put(data);
    }

    /// Adds what a transport has received; `fed` tells those who wait.
    #[inline]
    pub fn append(&self, data: &[u8]) -> PyResult<()> {
        if self.takes_whole(data.len()) {
            self.buffer.put(Obj::bytes(data)?);
            return Ok(());
        }
        self.buffer.reserve(self.expected.get());
        self.buffer.append(data)
    }

    /// Has a transport receive straight into the buffer: see [`Buffer::append_with`].
    pub fn append_with<R>(&self, room: usize, fill: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        self.buffer.reserve(self.expected.get());
        self.buffer.append_with(room, fill)
    }

    /// Data has come: wakes who waits for it, and pauses the transport if it is too much.
    #[inline]
    pub fn fed(&self) -> PyResult<()> {
        self.wake()?;
        if self.buffer.len() > self.most.get().saturating_mul(2) && !self.paused.get() {
            return self.pause();
        }
        Ok(())
    }

    #[inline]
    fn wake(&self) -> PyResult<()> {
        if self.replaces(Hook::WakeupWaiter) {
            return self.as_obj().call_method0(&own_names()._wakeup_waiter).map(drop);
        }
        let Some(waiter) = self.waiter.take() else { return Ok(()) };
        if waiter::is_cancelled(&waiter)? {
            return Ok(());
        }
        waiter::wake(&waiter, &Obj::none())
    }

    #[cold]
    fn pause(&self) -> PyResult<()> {
        let Some(transport) = self.transport.get() else { return Ok(()) };
        match transport.call_method0(&own_names().pause_reading) {
            Ok(_) => self.paused.set(true),
            Err(raised) => {
                raised.catch(not_implemented_class())?;
                // It cannot be paused, and need not be asked again.
                self.transport.set(None);
            }
        }
        Ok(())
    }

    #[cold]
    fn resume_transport(&self) -> PyResult<()> {
        self.paused.set(false);
        self.transport.get_or_none().call_method0(&own_names().resume_reading).map(drop)
    }

    /// After something was read: has the transport go on if there is room.
    #[inline]
    pub(super) fn maybe_resume_transport(&self) -> PyResult<()> {
        if self.replaces(Hook::MaybeResumeTransport) {
            return self.as_obj().call_method0(&own_names()._maybe_resume_transport).map(drop);
        }
        if self.paused.get() && self.buffer.len() <= self.most.get() {
            return self.resume_transport();
        }
        Ok(())
    }

    /// A future that is done once there is data, the end or an exception; `reading` is
    /// the method that waits.
    pub(super) fn wait_for_data(&self, reading: &str) -> PyResult<Obj> {
        if self.waiter.is_some() {
            return Err(Raised::runtime_error(&format!(
                "{reading}() called while another coroutine is already waiting for incoming data"
            )));
        }
        if self.eof.get() {
            return Err(assertion("_wait_for_data after EOF"));
        }
        // Nothing would come: a read of more than the limit waits for ever.
        if self.paused.get() {
            self.resume_transport()?;
        }
        let future = new_future(&self.event_loop)?;
        self.waiter.set(Some(future.clone()));
        Ok(future)
    }

    /// Waiting has ended. If somebody else has begun to wait meanwhile, nobody wakes him,
    /// as with asyncio's class: only one coroutine may read.
    #[inline]
    pub(super) fn waited(&self) {
        self.expected.set(0);
        self.accepted.set(0);
        self.waiter.set(None);
    }

    pub(super) fn feed_data(&self, data: &Obj) -> PyResult<()> {
        if self.eof.get() {
            return Err(assertion("feed_data after feed_eof"));
        }
        if data.is_exact_bytes() {
            let content = data.bytes_content();
            if content.is_empty() {
                return Ok(());
            }
            if self.takes_whole(content.len()) {
                self.buffer.put(data.clone());
            } else {
                self.buffer.append(content)?;
            }
            return self.fed();
        }
        if !data.is_true()? {
            return Ok(());
        }
        if !data.is_bytes_like() || self.buffer.is_shown() {
            // It may be the bytearray itself, which no view of it may see grow.
            self.buffer.show()?.call_method1(&own_names().extend, data)?;
            return self.fed();
        }
        match View::readable(data) {
            Ok(view) => {
                self.buffer.append(view.as_slice())?;
                // The view ends here, before anybody is woken.
                drop(view);
            }
            Err(raised) => {
                // A bytearray says what is wrong with it.
                raised.clear();
                self.buffer.show()?.call_method1(&own_names().extend, data)?;
            }
        }
        self.fed()
    }

    /// Nothing more comes.
    pub(super) fn feed_eof(&self) -> PyResult<()> {
        self.eof.set(true);
        self.wake()
    }

    /// What reading raises from now on; who waits is told.
    pub(super) fn set_exception(&self, exception: &Obj) -> PyResult<()> {
        self.exception.set(exception.non_none().cloned());
        let Some(waiter) = self.waiter.take() else { return Ok(()) };
        if waiter::is_cancelled(&waiter)? {
            return Ok(());
        }
        waiter::fail(&waiter, exception)
    }

    /// What is told to pause when too much has come.
    pub(super) fn set_transport(&self, transport: &Obj) -> PyResult<()> {
        if self.transport.is_some() {
            return Err(assertion("Transport already set"));
        }
        self.transport.set(transport.non_none().cloned());
        Ok(())
    }

    /// Takes bytes from the front of the buffer.
    #[inline]
    pub(super) fn take(&self, count: usize) -> PyResult<Obj> {
        let data = self.buffer.take(count)?;
        self.maybe_resume_transport()?;
        Ok(data)
    }

    /// Raises what `set_exception` was given.
    #[inline]
    pub(super) fn check_exception(&self) -> PyResult<()> {
        match self.exception.get() {
            None => Ok(()),
            Some(exception) => Err(Raised::thrown(&exception, None, None)),
        }
    }

    /// `raise IncompleteReadError(what there is, expected)`; nothing is there any more.
    #[cold]
    pub(super) fn incomplete(&self, expected: &Obj) -> Raised {
        match self.buffer.take_all() {
            Ok(partial) => raise2(&Lookups::get().incomplete_read, &partial, expected),
            Err(raised) => raised,
        }
    }
}

/// `raise AssertionError(message)`
#[cold]
fn assertion(message: &str) -> Raised {
    Raised::with_message(assertion_error_class(), message)
}
