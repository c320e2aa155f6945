//! The coroutines of a reader: `read()`, `readexactly()`, `readline()`, `readuntil()` and
//! the steps of `async for`.
//!
//! What is in the buffer is given without a wait. Who has to wait is woken by each piece
//! of data that comes, looks at what is new, and waits again if that is not enough.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;

use crate::coroutine::{Coroutine, Routine, Step};
use crate::ffi::error::stop_async_iteration_class;
use crate::ffi::names::Name;
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Held, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::super::lookups::{Lookups, own_names};
use super::until::{Found, OVERRUN, Separators, TOO_LONG, overrun};
use super::{Hook, NativeStreamReader, note_originals};

static READER_STEPS: TypeCell = TypeCell::new();

/// Gives the class its coroutine methods.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeStreamReader>;
    crate::coroutine::define::<ReaderSteps>()?;
    let stock = &Lookups::get().reader;
    let read = stock.attr(c"read")?.native_method(|this: &This, args: &Args<'_>| {
        let n = argument("StreamReader.read", args, &own_names().n)?;
        ReaderSteps::make(this, Purpose::Read, n)
    })?;
    let exactly = stock.attr(c"readexactly")?.native_method(|this: &This, args: &Args<'_>| {
        const NAME: &str = "StreamReader.readexactly";
        let n = argument(NAME, args, &own_names().n)?;
        let n = n.ok_or_else(|| {
            Raised::type_error(&format!("{NAME}() missing 1 required positional argument: 'n'"))
        })?;
        ReaderSteps::make(this, Purpose::Exactly, Some(n))
    })?;
    let line = stock.attr(c"readline")?.native_method(|this: &This, args: &Args<'_>| {
        args.only_self("StreamReader.readline")?;
        ReaderSteps::make(this, Purpose::Line, None)
    })?;
    let until = stock.attr(c"readuntil")?.native_method(|this: &This, args: &Args<'_>| {
        let separator = argument("StreamReader.readuntil", args, &own_names().separator)?;
        ReaderSteps::make(this, Purpose::Until, separator)
    })?;
    let next = stock.attr(c"__anext__")?.native_method(|this: &This, args: &Args<'_>| {
        args.only_self("StreamReader.__anext__")?;
        ReaderSteps::make(this, Purpose::Next, None)
    })?;
    class.set_attr(c"read", &read)?;
    class.set_attr(c"readexactly", &exactly)?;
    class.set_attr(c"readline", &line)?;
    class.set_attr(c"readuntil", &until)?;
    class.set_attr(c"__anext__", &next)?;
    note_originals(&class)?;
    Ok(class)
}

/// The only argument, if it is given.
#[inline]
fn argument<'a>(function: &str, args: &Args<'a>, name: &Name) -> PyResult<Option<&'a Obj>> {
    if let [only] = args.positional()
        && !args.has_keywords()
    {
        return Ok(Some(only));
    }
    let [only] = args.bind(function, 0, [name])?;
    Ok(only)
}

/// Which method a coroutine is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Exactly,
    Line,
    Until,
    /// `__anext__`
    Next,
}

/// What a coroutine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
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
    purpose: Purpose,
    wait: Cell<Wait>,
    /// What the method was given: a number or separators.
    argument: Slot,
    /// The number; negative for `read()` up to the end.
    count: Cell<i64>,
    separators: OnceCell<Separators>,
    /// The end of the message is not in front of this place.
    offset: Cell<usize>,
    /// What `read()` up to the end has read so far.
    read: RefCell<Vec<u8>>,
    /// The reader's future that it waits with.
    waiter: Slot,
}

impl ReaderSteps {
    #[inline]
    fn make(
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

    /// The method of the reader's that this one calls, if a program has replaced it.
    #[inline]
    fn replaced(&self, reader: &Py<NativeStreamReader>) -> PyResult<Option<Step>> {
        let names = own_names();
        let (hook, called) = match self.purpose {
            Purpose::Next if reader.replaces(Hook::ReadLine) => {
                (Hook::ReadLine, reader.as_obj().call_method0(&names.readline)?)
            }
            Purpose::Line | Purpose::Next if reader.replaces(Hook::ReadUntil) => {
                let newline = Obj::bytes(b"\n")?;
                (Hook::ReadUntil, reader.as_obj().call_method1(&names.readuntil, &newline)?)
            }
            Purpose::Read if self.count.get() < 0 && reader.replaces(Hook::Read) => {
                let limit = reader.limit.get_or_none();
                (Hook::Read, reader.as_obj().call_method1(&names.read, &limit)?)
            }
            _ => return Ok(None),
        };
        self.wait.set(Wait::Replaced(hook));
        Ok(Some(Step::Wait(called)))
    }

    /// What a replaced method has returned or raised.
    #[cold]
    fn replaced_has_ended(
        &self,
        reader: &Py<NativeStreamReader>,
        hook: Hook,
        outcome: Result<Obj, Obj>,
    ) -> PyResult<Step> {
        match (hook, outcome) {
            (Hook::Read, Ok(block)) => {
                if !block.is_true()? {
                    return self.all_read();
                }
                let view = crate::ffi::buffer::Buffer::readable(&block)?;
                self.read.borrow_mut().extend_from_slice(view.as_slice());
                drop(view);
                match self.replaced(reader)? {
                    Some(step) => Ok(step),
                    None => self.attempt(reader, false),
                }
            }
            (_, Ok(line)) => self.line(line),
            (Hook::ReadUntil, Err(exception)) => {
                let lookups = Lookups::get();
                if exception.is_instance(&lookups.incomplete_read)? {
                    return self.line(exception.attr(c"partial")?);
                }
                if exception.is_instance(&lookups.limit_overrun)? {
                    let consumed = exception.attr(c"consumed")?.to_i64()?;
                    let message = exception.to_str()?.to_string_lossy()?;
                    let consumed = usize::try_from(consumed).unwrap_or(usize::MAX);
                    return line_too_long(reader, &message, consumed);
                }
                Err(Raised::restore(exception))
            }
            (_, Err(exception)) => Err(Raised::restore(exception)),
        }
    }

    /// Gives what is there if it is enough, or waits. `read()` takes what is there once it
    /// was `woken`, even if somebody else has left nothing.
    #[inline]
    fn attempt(&self, reader: &Py<NativeStreamReader>, woken: bool) -> PyResult<Step> {
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
            Found::TooLong(start) if raises => Err(overrun(TOO_LONG, start)),
            Found::TooLong(start) => line_too_long(reader, TOO_LONG, start),
            Found::Overrun(searched) if raises => Err(overrun(OVERRUN, searched)),
            Found::Overrun(searched) => line_too_long(reader, OVERRUN, searched),
        }
    }

    /// A line, which may be the empty one that stands for the end.
    fn line(&self, line: Obj) -> PyResult<Step> {
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

    fn all_read(&self) -> PyResult<Step> {
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
        if self.purpose == Purpose::Exactly {
            reader.expected.set(size(self.count.get()));
        }
        self.wait.set(Wait::Data);
        self.waiter.set(Some(future.clone()));
        Ok(Step::Wait(future))
    }
}

#[cold]
fn line_too_long(
    reader: &Py<NativeStreamReader>,
    message: &str,
    consumed: usize,
) -> PyResult<Step> {
    reader.drop_line(consumed)?;
    Err(Raised::value_error(message))
}

/// A count; what is beyond all sizes is as good as the greatest one.
#[inline]
fn whole_number(n: &Obj) -> PyResult<i64> {
    match n.to_i64() {
        Ok(n) => Ok(n),
        Err(raised) if n.is_int() => {
            raised.clear();
            let negative = n.is_at_most(&Obj::int(0)?)?;
            Ok(if negative { -1 } else { i64::MAX })
        }
        Err(raised) => Err(raised),
    }
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
