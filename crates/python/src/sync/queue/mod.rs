//! `batuta.Queue`'s native base, and that of `LifoQueue` and `PriorityQueue`, which
//! say in what order items leave by a class attribute.
//!
//! Role: `put`, `get` and their kin without Python code in between, as long as no
//! subclass has replaced a hook (`_put`, `_get`, `qsize`, …); a replaced one is
//! called wherever asyncio's class calls it. `repr`, `shutdown` and the like are
//! asyncio's own and work through our properties.
//!
//! Files: this one is the type and its properties; `methods` what it does for Python;
//! `items` is where the items lie; `steps` are the coroutines.

mod finished;
mod items;
mod methods;
mod steps;

use std::cell::Cell;
use std::ffi::CStr;

use crate::ffi::gil::Global;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::{AssignedFn, InitFn, TypeCell};
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::binding::{self, Binding, Bound};
use super::deque::Deque;
use super::hooks::{Hooks, Originals};
use super::lookups::{Lookups, own_names};
use super::number::Number;

use finished::Finished;
use items::Items;

pub(super) use methods::prepare;

/// Items on their way from producers to consumers.
#[derive(Debug)]
pub struct NativeQueue {
    binding: Binding,
    items: Items,
    maxsize: Slot,
    /// `maxsize` as a number, unless it is none.
    limit: Cell<Option<Number>>,
    getters: Deque,
    putters: Deque,
    unfinished: Cell<i64>,
    finished: Finished,
    is_shutdown: Cell<bool>,
    hooks: Hooks,
}

static QUEUE: TypeCell = TypeCell::new();
static ORIGINALS: Global<Originals> = Global::new();

/// A method that asyncio's class calls on `self`; in the order of their noting.
#[derive(Clone, Copy, Debug)]
enum Hook {
    Init,
    Put,
    Get,
    Qsize,
    Empty,
    Full,
    PutNowait,
    GetNowait,
    WakeupNext,
}

/// Notes the class's own methods.
fn note_originals(class: &Obj) -> PyResult<()> {
    let names = own_names();
    let ours = [
        &names._init,
        &names._put,
        &names._get,
        &names.qsize,
        &names.empty,
        &names.full,
        &names.put_nowait,
        &names.get_nowait,
    ];
    let stock = Lookups::get().queues.attr(c"Queue")?;
    ORIGINALS.set(Originals::note(class, &ours)?.and(&stock, &names._wakeup_next)?);
    Ok(())
}

impl Py<NativeQueue> {
    #[inline]
    fn replaces(&self, hook: Hook) -> bool {
        self.hooks.replaces(self.as_obj(), ORIGINALS.get(), hook as usize)
    }
}

impl NativeQueue {
    fn new() -> Self {
        Self {
            binding: Binding::default(),
            items: Items::default(),
            maxsize: Slot::default(),
            limit: Cell::new(Some(Number::Int(0))),
            getters: Deque::new(),
            putters: Deque::new(),
            unfinished: Cell::new(0),
            finished: Finished::default(),
            is_shutdown: Cell::new(false),
            hooks: Hooks::default(),
        }
    }

    fn set_maxsize(&self, maxsize: &Obj) {
        let limit = Number::from_python(maxsize).map_err(Raised::clear).ok();
        self.limit.set(limit);
        self.maxsize.set(Some(maxsize.clone()));
    }

    /// `_maxsize`, which is an error where it is no number.
    fn limit(&self) -> PyResult<Number> {
        match self.limit.get() {
            Some(limit) => Ok(limit),
            None => Number::from_python(&self.maxsize.get_or_none()),
        }
    }

    fn task_done(&self) -> PyResult<()> {
        let unfinished = self.unfinished.get();
        if unfinished <= 0 {
            return Err(Raised::value_error("task_done() called too many times"));
        }
        self.unfinished.set(unfinished - 1);
        if unfinished == 1 { self.finished.set() } else { Ok(()) }
    }
}

/// What asyncio's class does, hooks included.
impl Py<NativeQueue> {
    /// Looks up in which order the class gives its items away.
    fn learn_order(&self) -> PyResult<()> {
        let order = self.as_obj().getattr(&own_names()._batuta_order)?.to_i64()?;
        self.items.set_order(order);
        Ok(())
    }

    fn init(&self, maxsize: Option<&Obj>) -> PyResult<()> {
        let zero = Obj::int(0)?;
        let maxsize = maxsize.unwrap_or(&zero);
        self.set_maxsize(maxsize);
        self.getters.clear();
        self.putters.clear();
        self.unfinished.set(0);
        self.finished.reset();
        self.learn_order()?;
        if self.replaces(Hook::Init) {
            self.as_obj().call_method1(&own_names()._init, maxsize)?;
        } else {
            self.items.init()?;
        }
        self.is_shutdown.set(false);
        Ok(())
    }

    #[inline]
    fn is_full(&self) -> PyResult<bool> {
        if self.replaces(Hook::Full) {
            return self.as_obj().call_method0(&own_names().full)?.is_true();
        }
        self.is_full_by_size()
    }

    #[inline]
    fn is_full_by_size(&self) -> PyResult<bool> {
        let limit = self.limit()?;
        if !limit.is_positive() {
            return Ok(false);
        }
        let size = if self.replaces(Hook::Qsize) {
            Number::from_python(&self.as_obj().call_method0(&own_names().qsize)?)?
        } else {
            Number::Int(i64::try_from(self.items.len()?).unwrap_or(i64::MAX))
        };
        Ok(size.is_at_least(limit))
    }

    #[inline]
    fn is_empty(&self) -> PyResult<bool> {
        if self.replaces(Hook::Empty) {
            return self.as_obj().call_method0(&own_names().empty)?.is_true();
        }
        self.items.is_empty()
    }

    /// `put_nowait`, which a subclass may have replaced.
    #[inline]
    fn put(&self, item: &Obj) -> PyResult<Obj> {
        if self.replaces(Hook::PutNowait) {
            return self.as_obj().call_method1(&own_names().put_nowait, item);
        }
        self.put_nowait(item).map(|()| Obj::none())
    }

    fn put_nowait(&self, item: &Obj) -> PyResult<()> {
        if self.is_shutdown.get() {
            return Err(queue_error(c"QueueShutDown"));
        }
        if self.is_full()? {
            return Err(queue_error(c"QueueFull"));
        }
        if self.replaces(Hook::Put) {
            self.as_obj().call_method1(&own_names()._put, item)?;
        } else {
            self.items.put(item)?;
        }
        self.unfinished.set(self.unfinished.get() + 1);
        self.finished.unset()?;
        self.wakeup_next(&self.getters)
    }

    /// `get_nowait`, which a subclass may have replaced.
    #[inline]
    fn get(&self) -> PyResult<Obj> {
        if self.replaces(Hook::GetNowait) {
            return self.as_obj().call_method0(&own_names().get_nowait);
        }
        self.get_nowait()
    }

    fn get_nowait(&self) -> PyResult<Obj> {
        if self.is_empty()? {
            let class = if self.is_shutdown.get() { c"QueueShutDown" } else { c"QueueEmpty" };
            return Err(queue_error(class));
        }
        let item = if self.replaces(Hook::Get) {
            self.as_obj().call_method0(&own_names()._get)?
        } else {
            self.items.get()?
        };
        self.wakeup_next(&self.putters)?;
        Ok(item)
    }

    #[inline]
    fn wakeup_next(&self, waiters: &Deque) -> PyResult<()> {
        if self.replaces(Hook::WakeupNext) {
            let waiters = waiters.show()?;
            return self.as_obj().call_method1(&own_names()._wakeup_next, &waiters).map(drop);
        }
        super::waiter::wake_next(waiters)
    }
}

/// `raise QueueEmpty`, or another class of asyncio's queues.
#[cold]
fn queue_error(class: &CStr) -> Raised {
    match Lookups::get().queues.attr(class).and_then(|class| class.call0()) {
        Ok(exception) => Raised::raise(&exception),
        Err(raised) => raised,
    }
}

impl Bound for NativeQueue {
    fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl NativeType for NativeQueue {
    const NAME: &'static CStr = c"batuta._batuta.NativeQueue";
    const DOC: &'static CStr = c"The native base of batuta.Queue.";
    const SUBCLASSABLE: bool = true;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::new()));
    const INIT: Option<InitFn<Self>> = Some(|this, args| {
        let [maxsize] = args.bind("Queue.__init__", 0, [&own_names().maxsize])?;
        this.init(maxsize)
    });

    const ASSIGNED: Option<AssignedFn<Self>> =
        Some(|this, name| this.hooks.assigned(ORIGINALS.get(), name));

    fn cell() -> &'static TypeCell {
        &QUEUE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.binding.traverse(visitor);
        self.items.deque().traverse(visitor);
        visitor.slot(&self.maxsize);
        self.getters.traverse(visitor);
        self.putters.traverse(visitor);
        visitor.slot(self.finished.slot());
    }

    fn clear(&self) {
        self.binding.clear();
        self.items.deque().clear();
        self.maxsize.set(None);
        self.getters.clear();
        self.putters.clear();
        self.finished.slot().set(None);
    }

    fn methods() -> Methods<Self> {
        Methods::new()
    }

    fn properties() -> Properties<Self> {
        type This = Py<NativeQueue>;
        binding::properties(Properties::new())
            .get_set(
                c"_queue",
                |this: &This| this.items.show(),
                |this: &This, items: &Obj| {
                    // A copy gets its items so, without `__init__`.
                    this.learn_order()?;
                    this.items.deque().replace(items);
                    Ok(())
                },
            )
            .get_set(
                c"_maxsize",
                |this: &This| Ok(this.maxsize.get()),
                |this: &This, maxsize: &Obj| {
                    this.set_maxsize(maxsize);
                    Ok(())
                },
            )
            .get_set(
                c"_getters",
                |this: &This| this.getters.show(),
                |this: &This, getters: &Obj| {
                    this.getters.replace(getters);
                    Ok(())
                },
            )
            .get_set(
                c"_putters",
                |this: &This| this.putters.show(),
                |this: &This, putters: &Obj| {
                    this.putters.replace(putters);
                    Ok(())
                },
            )
            .get_set(
                c"_unfinished_tasks",
                |this: &This| Obj::int(this.unfinished.get()),
                |this: &This, count: &Obj| {
                    this.unfinished.set(count.to_i64()?);
                    Ok(())
                },
            )
            .flag(c"_is_shutdown", |this: &This| &this.is_shutdown)
            .get_set(
                c"_finished",
                |this: &This| this.finished.show(this.as_obj()),
                |this: &This, event: &Obj| {
                    this.finished.replace(event);
                    Ok(())
                },
            )
    }
}
