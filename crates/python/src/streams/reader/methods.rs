//! What the class of readers has, and which of it a program may have replaced.
//!
//! Arguments that are of another kind than those which programs give are the business of asyncio's
//! own methods, which work on our readers as on any.

use crate::asyncio::names;
use crate::ffi::function::add_method;
use crate::ffi::gil::Global;
use crate::ffi::names::Name;
use crate::ffi::{Args, Obj, Py, PyResult};
use crate::sync::hooks::Originals;

use super::super::lookups::{Lookups, own_names};
use super::NativeStreamReader;
use super::steps::{Purpose, ReaderSteps};
use super::until::Separators;

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
    /// The first of our properties: [`fields`].
    Field,
}

/// The properties that a class attribute of a program's would hide.
fn fields() -> [&'static Name; 8] {
    let own = own_names();
    [
        &own._buffer,
        &own._eof,
        &own._exception,
        &own._limit,
        &own._paused,
        &own._transport,
        &own._waiter,
        &names()._loop,
    ]
}

/// The class's own methods.
pub(super) fn originals() -> &'static Originals {
    ORIGINALS.get()
}

impl Py<NativeStreamReader> {
    /// Whether a program has put something else in the place of a method.
    #[inline]
    pub fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }

    /// Where a subclass has class attributes of the names of our fields, asyncio's own methods are
    /// called that write to them: those that run once for each connection.
    #[inline]
    pub(super) fn fits(&self, function: &str, args: &Args<'_>) -> PyResult<()> {
        let hidden =
            self.hooks.replaced_in_class(self.as_obj(), ORIGINALS.get(), Hook::Field as usize);
        if hidden { Err(args.unfit(function)) } else { Ok(()) }
    }
}

/// Gives the class its methods, and notes which they are.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    type This = Py<NativeStreamReader>;
    crate::coroutine::define::<ReaderSteps>()?;
    let stock = &Lookups::get().reader;
    let init = stock.attr(c"__init__")?.native_init::<NativeStreamReader>()?;
    class.set_attr(c"__init__", &init)?;
    add_method(&class, stock, c"set_transport", |this: &This, args| {
        const NAME: &str = "StreamReader.set_transport";
        this.fits(NAME, args)?;
        this.set_transport(args.only(NAME, &names().transport)?)
    })?;
    add_method(&class, stock, c"set_exception", |this: &This, args| {
        const NAME: &str = "StreamReader.set_exception";
        this.fits(NAME, args)?;
        this.set_exception(args.only(NAME, &own_names().exc)?)
    })?;
    add_method(&class, stock, c"feed_eof", |this: &This, args| {
        const NAME: &str = "StreamReader.feed_eof";
        args.only_self(NAME)?;
        this.fits(NAME, args)?;
        this.feed_eof()
    })?;
    add_method(&class, stock, c"feed_data", |this: &This, args| {
        this.feed_data(args.only("StreamReader.feed_data", &names().data)?)
    })?;
    add_method(&class, stock, c"exception", |this: &This, args| {
        args.only_self("StreamReader.exception")?;
        Ok(this.exception.get())
    })?;
    add_method(&class, stock, c"at_eof", |this: &This, args| {
        args.only_self("StreamReader.at_eof")?;
        Ok(this.eof.get() && this.buffer.is_empty())
    })?;
    add_method(&class, stock, c"read", |this: &This, args| {
        let n = argument("StreamReader.read", args, &own_names().n, Obj::is_int)?;
        ReaderSteps::make(this, Purpose::Read, n)
    })?;
    add_method(&class, stock, c"readexactly", |this: &This, args| {
        const NAME: &str = "StreamReader.readexactly";
        let n = argument(NAME, args, &own_names().n, Obj::is_int)?;
        let n = n.ok_or_else(|| args.missing(NAME, "n"))?;
        ReaderSteps::make(this, Purpose::Exactly, Some(n))
    })?;
    add_method(&class, stock, c"readline", |this: &This, args| {
        args.only_self("StreamReader.readline")?;
        ReaderSteps::make(this, Purpose::Line, None)
    })?;
    add_method(&class, stock, c"readuntil", |this: &This, args| {
        let fits = Separators::are_plain;
        let separator = argument("StreamReader.readuntil", args, &own_names().separator, fits)?;
        ReaderSteps::make(this, Purpose::Until, separator)
    })?;
    add_method(&class, stock, c"__anext__", |this: &This, args| {
        args.only_self("StreamReader.__anext__")?;
        ReaderSteps::make(this, Purpose::Next, None)
    })?;
    let names = own_names();
    let ours = [&names.feed_data, &names.exception, &names.readuntil, &names.readline, &names.read];
    let originals = Originals::note(&class, &ours)?
        .and(stock, &names._wakeup_waiter)?
        .and(stock, &names._wait_for_data)?
        .and(stock, &names._maybe_resume_transport)?;
    ORIGINALS.set(fields().into_iter().try_fold(originals, |noted, name| noted.and(&class, name))?);
    Ok(class)
}

/// The only argument, if it is given, and of the kind that `fits`.
#[inline]
fn argument<'a>(
    function: &str,
    args: &Args<'a>,
    name: &Name,
    fits: impl Fn(&Obj) -> bool,
) -> PyResult<Option<&'a Obj>> {
    let given = match args.positional() {
        [only] if !args.has_keywords() => Some(only),
        _ => {
            let [given] = args.bind(function, 0, [name])?;
            given
        }
    };
    match given {
        Some(argument) if !fits(argument) => Err(args.unfit(function)),
        _ => Ok(given),
    }
}
