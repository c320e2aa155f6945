//! `batuta.Queue`'s native base, and that of `LifoQueue` and `PriorityQueue`, which
//! say in what order items leave by a class attribute.
//!
//! Role: `put`, `get` and their kin without Python code in between, as long as no
//! subclass has replaced a hook (`_put`, `_get`, `qsize`, …); a replaced one is
//! called wherever asyncio's class calls it. `repr`, `shutdown` and the like are
//! asyncio's own and work through our properties.
//!
//! Files: this one is the type and its properties; `calls` what it does; `methods` what of that
//! Python sees; `items` is where the items lie; `steps` are the coroutines.

mod calls;
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
