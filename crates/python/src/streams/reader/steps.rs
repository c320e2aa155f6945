//! The coroutines of a reader: `read()`, `readexactly()`, `readline()`, `readuntil()` and
//! the steps of `async for`.
//!
//! What is in the buffer is given without a wait. Who has to wait is woken by each piece
//! of data that comes, looks at what is new, and waits again if that is not enough.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;

use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::error::stop_async_iteration_class;
use crate::ffi::native::TypeCell;
use crate::ffi::{Held, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::super::lookups::own_names;
use super::replaced::line_too_long;
use super::until::{Found, OVERRUN, Separators, TOO_LONG, overrun};
use super::{Hook, NativeStreamReader};

static READER_STEPS: TypeCell = TypeCell::new();

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Exactly,
    Line,
    Until,
    /// `__anext__`
    Next,
}

/// What a coroutine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Data, with its own future.
    Data,
    /// The same, by a `_wait_for_data()` that a program has replaced.
    Notice,
    /// A method that a program has replaced: `read()`, `readuntil()` or `readline()`.
    Replaced(Hook),
}

/// A coroutine of a reader.
#[derive(Debug)]
pub struct ReaderSteps {
    reader: Held<NativeStreamReader>,
    pub(super) purpose: Purpose,
    pub(super) wait: Cell<Wait>,
    /// What the method was given: a number or separators.
    argument: Slot,
    /// The number; negative for `read()` up to the end.
    pub(super) count: Cell<i64>,
    separators: OnceCell<Separators>,
    /// The end of the message is not in front of this place.
    offset: Cell<usize>,
    /// What `read()` up to the end has read so far.
    pub(super) read: RefCell<Vec<u8>>,
    /// The reader's future that it waits with.
    waiter: Slot,
}

impl ReaderSteps {
    #[inline]
    pub(super) fn make(
        reader: &Py<NativeStreamReader>,
        purpose: Purpose,
        argument: Option<&Obj>,
    ) -> PyResult<Obj> {
        Coroutine::make(Self {
            reader: Held::from(reader),
            purpose,
            wait: Cell::new(Wait::Data),
            argument: Slot::from(argument.cloned()),
            count: Cell::new(-1),
            separators: OnceCell::new(),
            offset: Cell::new(0),
            read: RefCell::default(),
            waiter: Slot::default(),
        })
    }

    /// Looks at the arguments; gives the result of a read of nothing.
    #[inline]
    fn check_arguments(&self, reader: &Py<NativeStreamReader>) -> PyResult<Option<Obj>> {
        match self.purpose {
            Purpose::Read => {
                reader.check_exception()?;
                if let Some(n) = self.argument.get() {
                    self.count.set(whole_number(&n)?);
                }
                if self.count.get() == 0 { Obj::bytes(b"").map(Some) } else { Ok(None) }
            }
            Purpose::Exactly => {
                self.count.set(whole_number(&self.argument.get_or_none())?);
                if self.count.get() < 0 {
                    let message = "readexactly size can not be less than zero";
                    return Err(Raised::value_error(message));
                }
                reader.check_exception()?;
                if self.count.get() == 0 { Obj::bytes(b"").map(Some) } else { Ok(None) }
            }
            Purpose::Line | Purpose::Until | Purpose::Next => {
                let separators = match self.argument.get() {
                    Some(separator) => Separators::from_python(&separator)?,
                    None => Separators::Newline,
                };
                // Set once, here.
                let _first = self.separators.set(separators);
                reader.check_exception()?;
                Ok(None)
            }
        }
    }

    /// Gives what is there if it is enough, or waits. `read()` takes what is there once it
    /// was `woken`, even if somebody else has left nothing.
    #[inline]
    pub(super) fn attempt(&self, reader: &Py<NativeStreamReader>, woken: bool) -> PyResult<Step> {
        match self.purpose {
            Purpose::Read if self.count.get() < 0 => self.attempt_all(reader, woken),
            Purpose::Read => {
                if reader.buffer.is_empty() && !reader.eof.get() && !woken {
                    return self.wait(reader, "read");
                }
                reader.take(size(self.count.get())).map(Step::Done)
            }
            Purpose::Exactly => {
                let count = size(self.count.get());
                if reader.buffer.len() >= count {
                    return reader.take(count).map(Step::Done);
                }
                if reader.eof.get() {
                    return Err(reader.incomplete(&self.argument.get_or_none()));
                }
                self.wait(reader, "readexactly")
            }
            Purpose::Until | Purpose::Line | Purpose::Next => self.attempt_until(reader),
        }
    }

    #[inline]
    fn attempt_until(&self, reader: &Py<NativeStreamReader>) -> PyResult<Step> {
        let separators = self.separators.get().unwrap_or(&Separators::Newline);
        let raises = self.purpose == Purpose::Until;
        match reader.look(separators, &self.offset) {
            Found::End(end) => reader.take(end).map(Step::Done),
            Found::NotYet(_) if !reader.eof.get() => self.wait(reader, "readuntil"),
            Found::NotYet(_) if raises => Err(reader.incomplete(&Obj::none())),
            Found::NotYet(_) => self.line(reader.buffer.take_all()?),
            Found::TooLong(start) => self.too_long(reader, TOO_LONG, start),
            Found::Overrun(searched) => self.too_long(reader, OVERRUN, searched),
        }
    }

    /// The message is longer than the limit.
    #[cold]
    fn too_long(
        &self,
        reader: &Py<NativeStreamReader>,
        message: &str,
        consumed: usize,
    ) -> PyResult<Step> {
        let raised = overrun(message, consumed);
        if self.purpose == Purpose::Until {
            return Err(raised);
        }
        line_too_long(reader, &raised.take())
    }

    /// A line, which may be the empty one that stands for the end.
    pub(super) fn line(&self, line: Obj) -> PyResult<Step> {
        if self.purpose == Purpose::Next && line.equals(&Obj::bytes(b"")?)? {
            return Err(match stop_async_iteration_class().call0() {
                Ok(exception) => Raised::raise(&exception),
                Err(raised) => raised,
            });
        }
        Ok(Step::Done(line))
    }

    /// `read()` up to the end.
    fn attempt_all(&self, reader: &Py<NativeStreamReader>, woken: bool) -> PyResult<Step> {
        if reader.buffer.is_empty() && woken {
            reader.maybe_resume_transport()?;
            return self.all_read();
        }
        loop {
            if reader.buffer.is_empty() {
                if reader.eof.get() {
                    reader.maybe_resume_transport()?;
                    return self.all_read();
                }
                return self.wait(reader, "read");
            }
            // One block of asyncio's: an exception that was set leaves the rest.
            let block = reader.most.get().max(1);
            reader.buffer.with(|bytes| {
                let block = bytes.get(..block).unwrap_or(bytes);
                self.read.borrow_mut().extend_from_slice(block);
            });
            reader.buffer.consume(block)?;
            reader.maybe_resume_transport()?;
            reader.check_exception()?;
        }
    }

    pub(super) fn all_read(&self) -> PyResult<Step> {
        Obj::bytes(&self.read.take()).map(Step::Done)
    }

    /// Waits for data; `reading` is the method that asyncio names if it cannot.
    #[inline]
    fn wait(&self, reader: &Py<NativeStreamReader>, reading: &str) -> PyResult<Step> {
        if reader.replaces(Hook::WaitForData) {
            let waiting =
                reader.as_obj().call_method1(&own_names()._wait_for_data, &Obj::str(reading)?)?;
            self.wait.set(Wait::Notice);
            return Ok(Step::Wait(waiting));
        }
        let future = reader.wait_for_data(reading)?;
        match self.purpose {
            Purpose::Exactly => {
                let count = size(self.count.get());
                reader.expected.set(count);
                reader.accepted.set(count);
            }
            Purpose::Read => reader.accepted.set(usize::try_from(self.count.get()).unwrap_or(0)),
            Purpose::Line | Purpose::Until | Purpose::Next => {}
        }
        self.wait.set(Wait::Data);
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }
}

/// A count; what is beyond all sizes is as good as the greatest one.
#[inline]
fn whole_number(n: &Obj) -> PyResult<i64> {
    n.to_i64().or_else(|raised| {
        raised.clear();
        let negative = n.is_at_most(&Obj::int(0)?)?;
        Ok(if negative { -1 } else { i64::MAX })
    })
}

/// A count that is not negative.
#[inline]
fn size(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl Routine for ReaderSteps {
    const TYPE: &'static CStr = c"batuta._batuta.StreamReaderSteps";

    fn cell() -> &'static TypeCell {
        &READER_STEPS
    }

    fn qualname(&self) -> &'static str {
        match self.purpose {
            Purpose::Read => "StreamReader.read",
            Purpose::Exactly => "StreamReader.readexactly",
            Purpose::Line => "StreamReader.readline",
            Purpose::Until => "StreamReader.readuntil",
            Purpose::Next => "StreamReader.__anext__",
        }
    }

    #[inline]
    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let Some(reader) = self.reader.get() else { return Err(Raised::gone()) };
        if matches!(self.purpose, Purpose::Line | Purpose::Next)
            && let Some(step) = self.replaced(&reader)?
        {
            return Ok(step);
        }
        if let Some(nothing) = self.check_arguments(&reader)? {
            return Ok(Step::Done(nothing));
        }
        if self.purpose == Purpose::Read
            && let Some(step) = self.replaced(&reader)?
        {
            return Ok(step);
        }
        self.attempt(&reader, false)
    }

    #[inline]
    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        let Some(reader) = self.reader.get() else { return Err(Raised::gone()) };
        if self.waiter.take().is_some() {
            reader.waited();
        }
        match (self.wait.replace(Wait::Data), outcome) {
            (Wait::Replaced(hook), outcome) => self.replaced_has_ended(&reader, hook, outcome),
            (_, Ok(_)) => self.attempt(&reader, true),
            (_, Err(exception)) => Err(Raised::restore(exception)),
        }
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.reader.slot());
        visitor.slot(&self.argument);
        visitor.slot(&self.waiter);
    }

    #[inline]
    fn clear(&self) {
        self.argument.set(None);
        self.waiter.set(None);
        self.reader.release();
    }
}
