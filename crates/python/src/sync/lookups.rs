//! What this folder needs to know of the interpreter, looked up once at import.

use crate::ffi::gil::Global;
use crate::ffi::module::import;
use crate::ffi::names::declare_names;
use crate::ffi::{Obj, PyResult};

declare_names! {
    /// Attribute and keyword names.
    pub struct Names {
        _batuta_event, _batuta_order, _get, _init, _put, _wake_up_first, _wake_up_next, _wakeup_next, acquire, append, cancelled, clear,
        empty, full, get_nowait, item, locked, maxlen, maxsize, n, notify, pop, popleft, put_nowait, qsize, release,
        predicate, remove, set, value, wait,
    }
}

/// The interpreter's modules.
#[derive(Debug)]
pub struct Lookups {
    /// Interned names.
    pub names: Names,
    /// `asyncio.locks`.
    pub locks: Obj,
    /// `asyncio.queues`.
    pub queues: Obj,
    /// `collections.deque`.
    pub deque: Obj,
    /// `heapq.heappush`.
    pub heappush: Obj,
    /// `heapq.heappop`.
    pub heappop: Obj,
}

static LOOKUPS: Global<Lookups> = Global::new();

impl Lookups {
    /// Looks everything up.
    pub fn load() -> PyResult<()> {
        let heapq = import(c"heapq")?;
        LOOKUPS.set(Self {
            names: Names::intern()?,
            locks: import(c"asyncio.locks")?,
            queues: import(c"asyncio.queues")?,
            deque: import(c"collections")?.attr(c"deque")?,
            heappush: heapq.attr(c"heappush")?,
            heappop: heapq.attr(c"heappop")?,
        });
        Ok(())
    }

    /// The interpreter's modules.
    #[inline]
    pub fn get() -> &'static Self {
        LOOKUPS.get()
    }
}

/// The interned names.
#[inline]
pub fn own_names() -> &'static Names {
    &Lookups::get().names
}
