//! Flow control: water marks, and telling the protocol about them.

use std::cell::{Cell, RefCell};

use batuta_engine::driver::Readiness;

use crate::asyncio::names;
use crate::ffi::method::Methods;
use crate::ffi::module::import;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};

use super::endpoint::Transport;
use super::report::Whose;
use super::write_buffer::Drained;

const DEFAULT_HIGH: usize = 64 * 1024;

/// The water marks of a transport's write buffer.
#[derive(Debug)]
pub struct Flow {
    high: Cell<usize>,
    low: Cell<usize>,
    /// Low and high as they were given, where they are no sizes.
    odd: RefCell<Option<Box<[Obj; 2]>>>,
    paused: Cell<bool>,
}

/// The high and the low mark of the limits that were given; nothing for what is no int of a usual
/// size, or makes no sense.
fn marks(high: Option<&Obj>, low: Option<&Obj>) -> Option<(usize, usize)> {
    let number = |given: &Obj| {
        if given.is_int() { given.to_i64().map_err(Raised::clear).ok() } else { None }
    };
    let high = match (high, low) {
        (Some(high), _) => number(high)?,
        (None, Some(low)) => number(low)?.checked_mul(4)?,
        (None, None) => i64::try_from(DEFAULT_HIGH).ok()?,
    };
    let low = match low {
        Some(low) => number(low)?,
        None => high.div_euclid(4),
    };
    let marks = (usize::try_from(high).ok()?, usize::try_from(low).ok()?);
    (high >= low).then_some(marks)
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            high: Cell::new(DEFAULT_HIGH),
            low: Cell::new(DEFAULT_HIGH / 4),
            odd: RefCell::default(),
            paused: Cell::new(false),
        }
    }
}

impl Flow {
    /// The high-water mark, in bytes.
    pub fn high(&self) -> usize {
        self.high.get()
    }

    /// The low-water mark, in bytes.
    pub fn low(&self) -> usize {
        self.low.get()
    }

    /// Whether the protocol was told to pause writing.
    pub fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// `set_write_buffer_limits(high=None, low=None)`.
    pub fn set_limits(&self, args: &Args<'_>) -> PyResult<()> {
        let [high, low] = args.bind("set_write_buffer_limits", 0, [&names().high, &names().low])?;
        let (high, low) = (high.and_then(Obj::non_none), low.and_then(Obj::non_none));
        let Some((high_mark, low_mark)) = marks(high, low) else {
            return self.set_odd_limits(high, low);
        };
        self.high.set(high_mark);
        self.low.set(low_mark);
        self.odd.take();
        Ok(())
    }

    /// The same with numbers that are no sizes, or limits that make no sense: asyncio's own method
    /// says what becomes of them.
    #[cold]
    fn set_odd_limits(&self, high: Option<&Obj>, low: Option<&Obj>) -> PyResult<()> {
        let mixin = import(c"asyncio.transports")?.attr(c"_FlowControlMixin")?;
        let set = mixin.attr(c"_set_write_buffer_limits")?;
        let marks = import(c"types")?.attr(c"SimpleNamespace")?.call0()?;
        let or_none = |given: Option<&Obj>| given.cloned().unwrap_or_else(Obj::none);
        set.call3(&marks, &or_none(high), &or_none(low))?;
        let (high, low) = (marks.attr(c"_high_water")?, marks.attr(c"_low_water")?);
        self.high.set(high.whole_size());
        self.low.set(low.whole_size());
        self.odd.replace(Some(Box::new([low, high])));
        Ok(())
    }

    /// `get_write_buffer_limits()`.
    pub fn limits(&self) -> PyResult<Obj> {
        match &*self.odd.borrow() {
            Some(limits) => Obj::tuple(&**limits),
            None => Obj::tuple(&[Obj::size(self.low.get())?, Obj::size(self.high.get())?]),
        }
    }

    /// Tells the protocol to pause once the buffer is above the high-water mark.
    #[inline]
    pub fn grown(&self, size: usize, whose: &Whose<'_>) -> PyResult<()> {
        if size > self.high.get() && !self.paused.get() {
            self.paused.set(true);
            return whose.tell(&names().pause_writing, "protocol.pause_writing() failed");
        }
        Ok(())
    }

    /// Tells the protocol to resume once the buffer is down to the low-water mark.
    #[inline]
    pub fn shrunk(&self, size: usize, whose: &Whose<'_>) -> PyResult<()> {
        if self.paused.get() && size <= self.low.get() {
            self.paused.set(false);
            return whose.tell(&names().resume_writing, "protocol.resume_writing() failed");
        }
        Ok(())
    }
}

impl<T: Transport> Py<T> {
    /// The write buffer has grown: tells the protocol if that is too much.
    #[inline]
    pub fn buffer_grew(&self) -> PyResult<()> {
        let (size, endpoint) = (self.buffered(), self.endpoint());
        if size <= endpoint.flow.high() {
            return Ok(());
        }
        let event_loop = endpoint.event_loop();
        endpoint.flow.grown(size, &self.whose(event_loop.as_ref()))
    }

    /// The write buffer has shrunk: tells the protocol if it may write again.
    #[inline]
    pub fn buffer_shrank(&self) -> PyResult<()> {
        let endpoint = self.endpoint();
        if !endpoint.flow.is_paused() {
            return Ok(());
        }
        let event_loop = endpoint.event_loop();
        endpoint.flow.shrunk(self.buffered(), &self.whose(event_loop.as_ref()))
    }

    /// Sees to it that the transport is called when it can send the rest of its
    /// buffer.
    pub fn await_room(&self, drained: Drained) -> PyResult<()> {
        if drained == Drained::Empty {
            return Ok(());
        }
        self.watch_room()?;
        if drained == Drained::Enough {
            self.endpoint().queue(Readiness { read: false, write: true, closed: false });
        }
        Ok(())
    }
}

/// The methods of transports with flow control.
pub fn methods<T: Transport>(methods: Methods<T>) -> Methods<T> {
    methods
        .noargs(
            c"get_write_buffer_size",
            c"Return how many bytes wait to be sent.",
            |this: &Py<T>| {
                T::send_held_back(this)?;
                Ok(this.buffered())
            },
        )
        .noargs(
            c"get_write_buffer_limits",
            c"Return the low and the high water mark, in bytes.",
            |this: &Py<T>| this.endpoint().flow.limits(),
        )
        .args(
            c"set_write_buffer_limits",
            c"set_write_buffer_limits($self, high=None, low=None)\n--\n\n\
              Set the water marks, in bytes. See asyncio.WriteTransport.",
            |this: &Py<T>, args: &Args<'_>| {
                T::send_held_back(this)?;
                let endpoint = this.endpoint();
                endpoint.flow.set_limits(args)?;
                let event_loop = endpoint.event_loop();
                endpoint.flow.grown(this.buffered(), &this.whose(event_loop.as_ref()))
            },
        )
}
