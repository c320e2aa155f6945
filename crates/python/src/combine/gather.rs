//! `gather()`.
//!
//! Coroutines become native tasks straight away where the loop would make such ones.
//! What is neither a native future nor a coroutine goes through the interpreter's own
//! `ensure_future`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::asyncio::{Asyncio, names};
use crate::coroutine::is_coroutine_by_type;
use crate::event_loop::{NativeLoop, running_loop};
use crate::ffi::{Args, Obj, Py, PyResult, Raised};
use crate::future::{Awaited, Callback};
use crate::task::{Task, TaskArgs};

#[cfg(Py_3_14)]
use super::lookups::current_task;
use super::lookups::stock;
use super::{GatheringFuture, Observer, child};

/// `gather(*coros_or_futures, return_exceptions=False)`.
pub fn gather(args: &Args<'_>) -> PyResult<Obj> {
    let return_exceptions = match args.only_keyword("gather", &stock().names.return_exceptions)? {
        Some(given) => given.is_true()?,
        None => false,
    };
    let awaitables = args.positional();
    let running = running_loop()?;
    let Some(first) = awaitables.first() else {
        return stock().gather.call0();
    };
    if running.is_none() && !is_future(first)? {
        // Which loop it is, and the warning that asking for it may bring, is the
        // interpreter's business.
        return args.forward_all(&stock().gather);
    }
    #[cfg(Py_3_14)]
    let waiter = match &running {
        Some(running) => current_task(running)?,
        None => None,
    };
    #[cfg(not(Py_3_14))]
    let waiter = None;
    Gather::new(return_exceptions, waiter)?.collect(awaitables, running.as_ref())
}

/// The task that a coroutine becomes on the loop, if that is a native one straight away.
#[cfg(not(Py_3_12))]
pub fn make_task(event_loop: &Py<NativeLoop>, awaitable: &Obj) -> PyResult<Option<Py<Task>>> {
    if !is_coroutine_by_type(awaitable) || !NativeLoop::makes_native_tasks(event_loop)? {
        return Ok(None);
    }
    Task::make(event_loop, awaitable, &TaskArgs::default()).map(Some)
}

fn is_future(object: &Obj) -> PyResult<bool> {
    if is_coroutine_by_type(object) {
        return Ok(false);
    }
    Ok(Awaited::from_exact(object).is_some() || stock().isfuture.call1(object)?.is_true()?)
}

/// A `gather()` that is looking at its arguments.
struct Gather {
    outer: Py<GatheringFuture>,
    /// The one that all of them must be of: the running one, or before 3.14 that of the first.
    event_loop: Option<Obj>,
    /// The loop, if it makes native tasks.
    maker: Option<Py<NativeLoop>>,
    children: Vec<Obj>,
    /// Those that were done before.
    done: Vec<Obj>,
    different: usize,
}

impl Gather {
    fn new(return_exceptions: bool, waiter: Option<Obj>) -> PyResult<Self> {
        Ok(Self {
            outer: GatheringFuture::make(return_exceptions, waiter)?,
            event_loop: None,
            maker: None,
            children: Vec::new(),
            done: Vec::new(),
            different: 0,
        })
    }

    fn collect(mut self, awaitables: &[Obj], running: Option<&Obj>) -> PyResult<Obj> {
        if cfg!(Py_3_14) {
            self.event_loop = running.cloned();
        }
        self.children.reserve(awaitables.len());
        let mut seen = Seen::new(awaitables)?;
        // A coroutine that comes first becomes a task of the running loop.
        self.know_maker(running)?;
        for (index, awaitable) in awaitables.iter().enumerate() {
            if let Some(former) = seen.former(awaitable, index)?
                && let Some(child) = self.children.get(former).cloned()
            {
                self.children.push(child);
                continue;
            }
            let child = self.ensure_future(awaitable)?;
            if self.event_loop.is_none() {
                let event_loop = child::loop_of(&child)?;
                if !running.is_some_and(|running| running.is(&event_loop)) {
                    self.know_maker(Some(&event_loop))?;
                }
                self.event_loop = Some(event_loop);
            }
            self.different += 1;
            self.watch(&child)?;
            self.children.push(child);
        }
        let Self { outer, event_loop, children, done, different, .. } = self;
        let event_loop = event_loop.unwrap_or_else(Obj::none);
        GatheringFuture::begin(&outer, &event_loop, children, different)?;
        for child in &done {
            GatheringFuture::child_done(&outer, child)?;
        }
        Ok(outer.into_obj())
    }

    fn know_maker(&mut self, event_loop: Option<&Obj>) -> PyResult<()> {
        self.maker = match event_loop.and_then(Py::<NativeLoop>::from_instance) {
            Some(native) if NativeLoop::makes_native_tasks(native)? => Some(native.clone()),
            _ => None,
        };
        Ok(())
    }

    fn ensure_future(&self, awaitable: &Obj) -> PyResult<Obj> {
        if is_coroutine_by_type(awaitable) {
            if let Some(maker) = &self.maker {
                let task = Task::make(maker, awaitable, &TaskArgs::default())?;
                // The caller cannot hold it, so its loss is not the caller's fault.
                task.die_quietly();
                return Ok(task.into_obj());
            }
        } else if let Some(native) = Awaited::from_exact(awaitable)
            && let Ok(event_loop) = native.core().event_loop()
        {
            if self.event_loop.as_ref().is_some_and(|known| !known.is(&event_loop)) {
                return Err(Raised::value_error(
                    "The future belongs to a different loop than \
                     the one specified as the loop argument",
                ));
            }
            return Ok(awaitable.clone());
        }
        let ensure_future = Asyncio::get().tasks.getattr(&stock().ensure_future)?;
        let event_loop = self.event_loop.clone().unwrap_or_else(Obj::none);
        let keyword = &Asyncio::get().loop_keyword;
        let future = ensure_future.call_keywords(Some(awaitable), keyword, [&event_loop])?;
        if !future.is(awaitable) {
            future.setattr(&stock().names._log_destroy_pending, &Obj::bool(false))?;
        }
        Ok(future)
    }

    /// Has the child tell when it is done; from 3.12 on one that is done already is
    /// looked at when all are there.
    fn watch(&mut self, child: &Obj) -> PyResult<()> {
        if cfg!(Py_3_12) && child::is_done(child)? {
            self.done.push(child.clone());
            return Ok(());
        }
        #[cfg(Py_3_14)]
        if let Some(waiter) = self.outer.waiter() {
            Asyncio::get().registry.add_awaited_by.call2(child, &waiter)?;
        }
        let observer = Observer::Gather(self.outer.clone());
        if let Some(native) = Awaited::from_exact(child) {
            return native.core().add_callback(child, Callback::Observer(observer));
        }
        child.call_method1(&names().add_done_callback, &observer.callable()?).map(drop)
    }
}

/// Which arguments there were: the same one twice has one child.
enum Seen {
    /// Few: compared one by one.
    Few(Vec<usize>),
    /// Many that only their addresses tell apart.
    Addresses(HashMap<usize, usize, BuildHasherDefault<AddressHasher>>),
    /// Some have an equality of their own.
    Equal(Obj),
}

/// Up to so many arguments are compared one by one.
const FEW: usize = 8;

impl Seen {
    fn new(arguments: &[Obj]) -> PyResult<Self> {
        if !arguments.iter().all(Obj::is_known_by_address) {
            return Obj::dict().map(Self::Equal);
        }
        let most = arguments.len();
        if most <= FEW {
            return Ok(Self::Few(Vec::with_capacity(most)));
        }
        Ok(Self::Addresses(HashMap::with_capacity_and_hasher(most, BuildHasherDefault::default())))
    }

    /// The index at which the argument stood before; now it stands at `index`.
    #[inline]
    fn former(&mut self, argument: &Obj, index: usize) -> PyResult<Option<usize>> {
        let address = argument.as_ptr() as usize;
        match self {
            Self::Few(addresses) => {
                let former = addresses.iter().position(|other| *other == address);
                addresses.push(address);
                Ok(former)
            }
            Self::Addresses(addresses) => {
                let former = *addresses.entry(address).or_insert(index);
                Ok((former != index).then_some(former))
            }
            Self::Equal(dict) => {
                if let Some(former) = dict.dict_get(argument)? {
                    return Ok(usize::try_from(former.to_i64()?).ok());
                }
                dict.dict_put(argument, &Obj::size(index)?)?;
                Ok(None)
            }
        }
    }
}

/// Addresses of objects differ in their middle bits.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    #[inline]
    fn write_usize(&mut self, address: usize) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = (address as u64).wrapping_mul(ODD);
        self.0 = product ^ (product >> 32);
    }
}
