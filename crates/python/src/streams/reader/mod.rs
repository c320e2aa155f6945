//! `batuta.StreamReader`'s native base.
//!
//! Role: what a connection has received and a coroutine reads. What asyncio's class
//! does seldom (`feed_eof`, `set_exception`, `set_transport`, `repr`, …) is inherited
//! and works through our properties, which have the names of its attributes.
//!
//! Methods that asyncio's class calls on itself are called where a program has replaced
//! them (`sync/hooks.rs`), and gone past where not.
//!
//! Files: this one is the type and the way in; `steps` are the coroutines, `until` is
//! how they find the end of a message.

mod steps;
mod until;

use std::cell::Cell;
use std::ffi::CStr;

use crate::asyncio::names;
use crate::event_loop::{NativeLoop, Past};
use crate::ffi::buffer::Buffer as View;
use crate::ffi::error::{assertion_error_class, not_implemented_class};
use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, TypeCell};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};
use crate::sync::hooks::{Hooks, Originals};
use crate::sync::waiter;
use crate::transport::MAX_READ;

use super::buffer::Buffer;
use super::lookups::{Lookups, own_names};
use super::one_argument;

pub(super) use steps::prepare;

/// So many bytes, that are still to come, are worth a read into the reader's own memory.
const MUCH: usize = 32 * 1024;

/// A stream's receiving end.
#[derive(Debug, Default)]
pub struct NativeStreamReader {
    event_loop: Slot,
    buffer: Buffer,
    /// What Python code sees of the limit.
    limit: Slot,
    /// The same in bytes.
    most: Cell<usize>,
    /// How many bytes the coroutine waits for that waits; 0 if it does not know.
    expected: Cell<usize>,
    eof: Cell<bool>,
    /// The future that a coroutine waits with.
    waiter: Slot,
    exception: Slot,
    transport: Slot,
    /// The transport was told to pause.
    paused: Cell<bool>,
    hooks: Hooks,
}

static READER: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// A method that asyncio's classes call on a reader; in the order of their noting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    FeedData,
    Exception,
    ReadUntil,
    ReadLine,
    Read,
    WakeupWaiter,
    WaitForData,
    MaybeResumeTransport,
}

/// Notes the class's own methods.
fn note_originals(class: &Obj) -> PyResult<()> {
    let names = own_names();
    let ours = [&names.feed_data, &names.exception, &names.readuntil, &names.readline, &names.read];
    let stock = &Lookups::get().reader;
    let originals = Originals::note(class, &ours)?
        .and(stock, &names._wakeup_waiter)?
        .and(stock, &names._wait_for_data)?
        .and(stock, &names._maybe_resume_transport)?;
    ORIGINALS.set(originals);
    Ok(())
}

impl Py<NativeStreamReader> {
    /// Whether a program has put something else in the place of a method.
    #[inline]
    pub fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

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

    /// Adds what a transport has received; `fed` tells those who wait.
    #[inline]
    pub fn append(&self, data: &[u8]) -> PyResult<()> {
        self.buffer.expect(self.expected.get());
        self.buffer.append(data)
    }

    /// Has a transport receive straight into the buffer: see [`Buffer::append_with`].
    pub fn append_with<R>(&self, room: usize, fill: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
        self.buffer.expect(self.expected.get());
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
    fn maybe_resume_transport(&self) -> PyResult<()> {
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
    fn wait_for_data(&self, reading: &str) -> PyResult<Obj> {
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
        let event_loop = self.event_loop.get_or_none();
        let future = match Py::<NativeLoop>::from_instance(&event_loop) {
            Some(native) if NativeLoop::may_go_past(native, Past::CreateFuture) => {
                NativeLoop::create_future(native)?
            }
            _ => event_loop.call_method0(&names().create_future)?,
        };
        self.waiter.set(Some(future.clone()));
        Ok(future)
    }

    /// Waiting has ended. If somebody else has begun to wait meanwhile, nobody wakes him,
    /// as with asyncio's class: only one coroutine may read.
    #[inline]
    fn waited(&self) {
        self.expected.set(0);
        self.waiter.set(None);
    }

    fn feed_data(&self, data: &Obj) -> PyResult<()> {
        if self.eof.get() {
            return Err(assertion("feed_data after feed_eof"));
        }
        if data.is_exact_bytes() {
            let content = data.bytes_content();
            if content.is_empty() {
                return Ok(());
            }
            self.buffer.append(content)?;
            return self.fed();
        }
        if !data.is_true()? {
            return Ok(());
        }
        if data.is_bytes_like() {
            // The view ends here, before anybody is woken.
            self.buffer.append(View::readable(data)?.as_slice())?;
        } else {
            self.buffer.show()?.call_method1(&own_names().extend, data)?;
        }
        self.fed()
    }

    /// Takes bytes from the front of the buffer.
    #[inline]
    fn take(&self, count: usize) -> PyResult<Obj> {
        let data = self.buffer.take(count)?;
        self.maybe_resume_transport()?;
        Ok(data)
    }

    /// Raises what `set_exception` was given.
    #[inline]
    fn check_exception(&self) -> PyResult<()> {
        match self.exception.get() {
            None => Ok(()),
            Some(exception) => Err(Raised::thrown(&exception, None, None)),
        }
    }

    /// `raise IncompleteReadError(what there is, expected)`; nothing is there any more.
    #[cold]
    fn incomplete(&self, expected: &Obj) -> Raised {
        match self.buffer.take_all() {
            Ok(partial) => {
                super::lookups::raise2(&Lookups::get().incomplete_read, &partial, expected)
            }
            Err(raised) => raised,
        }
    }
}

impl NativeStreamReader {
    /// `exception()`
    #[inline]
    pub fn exception(&self) -> Option<Obj> {
        self.exception.get()
    }

    fn set_limit(&self, limit: &Obj) {
        let most = if limit.is_int() { whole_limit(limit) } else { fractional_limit(limit) };
        self.most.set(most);
        self.limit.set(Some(limit.clone()));
    }
}

/// The limit that an int says; what is beyond all sizes is none.
fn whole_limit(limit: &Obj) -> usize {
    match limit.to_i64() {
        Ok(limit) => usize::try_from(limit).unwrap_or(0),
        Err(raised) => {
            raised.clear();
            usize::MAX
        }
    }
}

/// The limit that any other number says: sizes are more than it where they are more than its
/// whole part. What is no number raises where it is used.
#[cold]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates"
)]
fn fractional_limit(limit: &Obj) -> usize {
    match limit.to_f64() {
        Ok(limit) => limit as usize,
        Err(raised) => {
            raised.clear();
            usize::MAX
        }
    }
}

/// `raise AssertionError(message)`
#[cold]
fn assertion(message: &str) -> Raised {
    Raised::with_message(assertion_error_class(), message)
}

impl NativeType for NativeStreamReader {
    const NAME: &'static CStr = c"batuta._batuta.NativeStreamReader";
    const DOC: &'static CStr = c"The native base of batuta.StreamReader.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &READER
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.buffer.traverse(visitor);
        for slot in [&self.event_loop, &self.limit, &self.waiter, &self.exception, &self.transport]
        {
            visitor.slot(slot);
        }
    }

    fn clear(&self) {
        self.buffer.clear();
        for slot in [&self.event_loop, &self.limit, &self.waiter, &self.exception, &self.transport]
        {
            slot.set(None);
        }
    }

    fn methods() -> Methods<Self> {
        type This = Py<NativeStreamReader>;
        Methods::new()
            .args(
                c"feed_data",
                c"feed_data($self, data)\n--\n\nAdd data that was received.",
                |this: &This, args: &Args<'_>| {
                    this.feed_data(one_argument("StreamReader.feed_data", args, &names().data)?)
                },
            )
            .noargs(
                c"exception",
                c"exception($self, /)\n--\n\nReturn what set_exception() was given.",
                |this: &This| Ok(this.exception.get()),
            )
            .noargs(
                c"at_eof",
                c"at_eof($self, /)\n--\n\n\
                  Return True if feed_eof() was called and there is nothing left to read.",
                |this: &This| Ok(this.eof.get() && this.buffer.is_empty()),
            )
    }

    fn properties() -> Properties<Self> {
        type This = Py<NativeStreamReader>;
        Properties::new()
            .get_set(
                c"_buffer",
                |this: &This| this.buffer.show(),
                |this: &This, array: &Obj| this.buffer.replace(array),
            )
            .get_set(
                c"_limit",
                |this: &This| Ok(this.limit.get()),
                |this: &This, limit: &Obj| {
                    this.set_limit(limit);
                    Ok(())
                },
            )
            .get_set(
                c"_eof",
                |this: &This| Ok(this.eof.get()),
                |this: &This, eof: &Obj| {
                    this.eof.set(eof.is_true()?);
                    Ok(())
                },
            )
            .get_set(
                c"_paused",
                |this: &This| Ok(this.paused.get()),
                |this: &This, paused: &Obj| {
                    this.paused.set(paused.is_true()?);
                    Ok(())
                },
            )
            .get_set(
                c"_loop",
                |this: &This| Ok(this.event_loop.get()),
                |this: &This, event_loop: &Obj| {
                    this.event_loop.set(event_loop.non_none().cloned());
                    Ok(())
                },
            )
            .get_set(
                c"_waiter",
                |this: &This| Ok(this.waiter.get()),
                |this: &This, waiter: &Obj| {
                    this.waiter.set(waiter.non_none().cloned());
                    Ok(())
                },
            )
            .get_set(
                c"_exception",
                |this: &This| Ok(this.exception.get()),
                |this: &This, exception: &Obj| {
                    this.exception.set(exception.non_none().cloned());
                    Ok(())
                },
            )
            .get_set(
                c"_transport",
                |this: &This| Ok(this.transport.get()),
                |this: &This, transport: &Obj| {
                    this.transport.set(transport.non_none().cloned());
                    Ok(())
                },
            )
    }
}
