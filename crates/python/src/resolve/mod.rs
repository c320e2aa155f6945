//! `loop.getaddrinfo()`.
//!
//! Role: a coroutine without a frame. What is numeric is answered at once: the resolver would
//! not have to ask anybody, and the way to a thread and back is most of its cost. Names are
//! looked up in the engine's threads, or by `socket.getaddrinfo()` in the program's executor.
//!
//! In debug mode the interpreter's own coroutine logs how long the resolver needs. While a
//! program has put a function of its own in the place of `socket.getaddrinfo`, that one is asked
//! in a thread, whatever the host is.
//!
//! Thread: the loop's.
//!
//! Files: this one is the coroutine; `numeric` answers what is numeric,
//! `names` asks the engine.

mod names;
mod numeric;

use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::coroutine::{Coroutine, Routine, Step};
use crate::event_loop::NativeLoop;
use crate::executor;
use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::{Name, declare_names};
use crate::ffi::native::TypeCell;
use crate::ffi::{Args, Held, Obj, Py, PyResult, Raised, Slot, Visitor};

use numeric::{Hints, is_numeric};

pub use names::{Resolving, deliver};

declare_names! {
    /// Attribute and keyword names.
    struct Names { family, flags, getaddrinfo, host, port, proto, run_in_executor }
}

#[derive(Debug)]
struct Lookups {
    names: Names,
    /// `"type"`, a word of Rust's.
    kind_name: Name,
    /// `BaseEventLoop.getaddrinfo`
    coroutine: Obj,
    /// `socket.getaddrinfo`
    function: Obj,
    /// `socket.gaierror`
    error: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();

/// Gives the class of native loops its method.
pub fn load(class: &Obj) -> PyResult<()> {
    LOOKUPS.set(Lookups {
        names: Names::intern()?,
        kind_name: Name::intern(c"type")?,
        coroutine: Asyncio::get().base_event_loop.attr(c"getaddrinfo")?,
        function: import(c"socket")?.attr(c"getaddrinfo")?,
        error: import(c"socket")?.attr(c"gaierror")?,
    });
    numeric::load()?;
    let method = LOOKUPS.get().coroutine.native_method(getaddrinfo)?;
    class.set_attr(c"getaddrinfo", &method)
}

/// Makes the coroutine's type.
pub fn define() -> PyResult<()> {
    crate::coroutine::define::<Resolve>()
}

/// A `getaddrinfo()`.
#[derive(Debug)]
struct Resolve {
    event_loop: Held<NativeLoop>,
    host: Slot,
    port: Slot,
    /// Family, type, protocol and flags.
    hints: [Slot; 4],
}

static RESOLVE: TypeCell = TypeCell::new();

/// `loop.getaddrinfo(host, port, *, family=0, type=0, proto=0, flags=0)`
fn getaddrinfo(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Obj> {
    let stock = LOOKUPS.get();
    let own = &stock.names;
    let all = [&own.host, &own.port, &own.family, &stock.kind_name, &own.proto, &own.flags];
    let [host, port, hints @ ..] = args.bind("getaddrinfo", 0, all)?;
    let (Some(host), Some(port)) = (host, port) else {
        return args.forward(&stock.coroutine, event_loop.as_obj());
    };
    if event_loop.debug.get() || args.positional().len() > 2 {
        return args.forward(&stock.coroutine, event_loop.as_obj());
    }
    Coroutine::make(Resolve {
        event_loop: Held::from(event_loop),
        host: Slot::from(host.clone()),
        port: Slot::from(port.clone()),
        hints: hints.map(|hint| Slot::from(hint.cloned())),
    })
}

impl Resolve {
    /// What `socket.getaddrinfo` is for asyncio now.
    fn resolver() -> PyResult<Obj> {
        let module = Asyncio::get().base_events.getattr(&crate::asyncio::names().socket)?;
        module.getattr(&LOOKUPS.get().names.getaddrinfo)
    }

    /// An argument that may have been left out.
    fn hint(&self, index: usize) -> PyResult<Obj> {
        match self.hints.get(index).and_then(Slot::get) {
            Some(given) => Ok(given),
            None => Obj::int(0),
        }
    }
}

impl Routine for Resolve {
    const TYPE: &'static CStr = c"batuta._batuta.GetAddrInfo";
    const POOL: usize = 64;

    fn cell() -> &'static TypeCell {
        &RESOLVE
    }

    fn qualname(&self) -> &'static str {
        "BaseEventLoop.getaddrinfo"
    }

    fn begin(&self, _: &Py<Coroutine<Self>>) -> PyResult<Step> {
        let stock = LOOKUPS.get();
        let Some(event_loop) = self.event_loop.get() else { return Err(Raised::gone()) };
        let (host, port) = (self.host.get_or_none(), self.port.get_or_none());
        let hints = [self.hint(0)?, self.hint(1)?, self.hint(2)?, self.hint(3)?];
        let [family, kind, protocol, flags] = &hints;
        let resolver = Self::resolver()?;
        // Nothing is answered after the executor's end, which closing the loop is too:
        // `run_in_executor()` says so below.
        if resolver.is(&stock.function)
            && is_numeric(&host, &port)
            && !executor::is_shut_down(&event_loop)?
        {
            if let Some(answer) = Hints::read(&hints)?
                .map_or(Ok(None), |hints| numeric::answer(&host, &port, hints))?
            {
                return Ok(Step::Done(answer));
            }
            let all = [&host, &port, family, kind, protocol, flags];
            return resolver.call_with(&all).map(Step::Done);
        }
        if resolver.is(&stock.function)
            && let Some(hints) = Hints::read(&hints)?
            && let Some(future) = names::look_up(&event_loop, &host, &port, hints)?
        {
            return Ok(Step::Wait(future));
        }
        let run = event_loop.as_obj().getattr(&stock.names.run_in_executor)?;
        let default = Obj::none();
        run.call_with(&[&default, &resolver, &host, &port, family, kind, protocol, flags])
            .map(Step::Wait)
    }

    fn resume(&self, _: &Py<Coroutine<Self>>, outcome: Result<Obj, Obj>) -> PyResult<Step> {
        outcome.map(Step::Done).map_err(Raised::restore)
    }

    fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(self.event_loop.slot());
        visitor.slot(&self.host);
        visitor.slot(&self.port);
        self.hints.iter().for_each(|hint| visitor.slot(hint));
    }

    fn clear(&self) {
        self.host.set(None);
        self.port.set(None);
        self.hints.iter().for_each(|hint| hint.set(None));
        self.event_loop.release();
    }
}
