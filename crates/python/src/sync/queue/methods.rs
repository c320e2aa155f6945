//! The methods of queues.

use crate::ffi::function::{add_kin_method, add_method};
use crate::ffi::module::import;
use crate::ffi::{Obj, Py, PyResult};

use super::super::lookups::Lookups;
use super::steps::{self, QueueSteps};
use super::{NativeQueue, note_originals};

/// Gives the class its methods, and the order of its items.
pub fn prepare(class: Obj) -> PyResult<Obj> {
    crate::coroutine::define::<QueueSteps>()?;
    let queues = &Lookups::get().queues;
    let stock = queues.attr(c"Queue")?;
    class.set_attr(c"__init__", &stock.attr(c"__init__")?.native_init::<NativeQueue>()?)?;
    plain(&class, &stock)?;
    coroutines(&class, &stock)?;
    hooks(&class, &stock, &[queues.attr(c"LifoQueue")?, queues.attr(c"PriorityQueue")?])?;
    let alias = import(c"types")?.attr(c"GenericAlias")?;
    let alias = import(c"builtins")?.attr(c"classmethod")?.call1(&alias)?;
    class.set_attr(c"__class_getitem__", &alias)?;
    class.set_attr(c"_batuta_order", &Obj::int(0)?)?;
    note_originals(&class)?;
    Ok(class)
}

type This = Py<NativeQueue>;

fn plain(class: &Obj, stock: &Obj) -> PyResult<()> {
    add_method(class, stock, c"qsize", |this: &This, args| {
        args.only_self("Queue.qsize")?;
        this.items.len()
    })?;
    add_method(class, stock, c"empty", |this: &This, args| {
        args.only_self("Queue.empty")?;
        this.items.is_empty()
    })?;
    add_method(class, stock, c"full", |this: &This, args| {
        args.only_self("Queue.full")?;
        this.is_full_by_size()
    })?;
    add_method(class, stock, c"put_nowait", |this: &This, args| {
        this.put_nowait(steps::item("Queue.put_nowait", args)?)
    })?;
    add_method(class, stock, c"get_nowait", |this: &This, args| {
        args.only_self("Queue.get_nowait")?;
        this.get_nowait()
    })?;
    add_method(class, stock, c"task_done", |this: &This, args| {
        args.only_self("Queue.task_done")?;
        this.task_done()
    })
}

fn coroutines(class: &Obj, stock: &Obj) -> PyResult<()> {
    add_method(class, stock, c"put", |this: &This, args| {
        QueueSteps::put(this, steps::item("Queue.put", args)?)
    })?;
    add_method(class, stock, c"get", |this: &This, args| {
        args.only_self("Queue.get")?;
        QueueSteps::get(this)
    })?;
    add_method(class, stock, c"join", |this: &This, args| {
        args.only_self("Queue.join")?;
        QueueSteps::join(this)
    })
}

/// What subclasses replace, asyncio's own among them, which are `kin`.
fn hooks(class: &Obj, stock: &Obj, kin: &[Obj]) -> PyResult<()> {
    add_kin_method(class, stock, kin, c"_init", |this: &This, args| {
        let [_] = args.exactly("Queue._init")?;
        this.items.init()
    })?;
    add_kin_method(class, stock, kin, c"_put", |this: &This, args| {
        let [item] = args.exactly("Queue._put")?;
        this.items.put(item)
    })?;
    add_kin_method(class, stock, kin, c"_get", |this: &This, args| {
        args.only_self("Queue._get")?;
        this.items.get()
    })
}
