//! The methods of a queue that subclasses replace.

use std::cell::Cell;

use crate::ffi::gil::Global;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py, PyResult};

use super::super::lookups::{Lookups, own_names};
use super::NativeQueue;

/// A method that asyncio's class calls on `self`.
#[derive(Clone, Copy, Debug)]
pub enum Hook {
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

const ALL: [Hook; 9] = [
    Hook::Init,
    Hook::Put,
    Hook::Get,
    Hook::Qsize,
    Hook::Empty,
    Hook::Full,
    Hook::PutNowait,
    Hook::GetNowait,
    Hook::WakeupNext,
];

impl Hook {
    fn name(self) -> &'static Name {
        let names = own_names();
        match self {
            Self::Init => &names._init,
            Self::Put => &names._put,
            Self::Get => &names._get,
            Self::Qsize => &names.qsize,
            Self::Empty => &names.empty,
            Self::Full => &names.full,
            Self::PutNowait => &names.put_nowait,
            Self::GetNowait => &names.get_nowait,
            Self::WakeupNext => &names._wakeup_next,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What each hook is in a class that replaces none, in the order of [`ALL`].
static ORIGINALS: Global<Vec<Obj>> = Global::new();

/// Notes the class's own methods.
pub fn prepare(class: &Obj) -> PyResult<()> {
    let stock = Lookups::get().queues.attr(c"Queue")?;
    let original = |hook: Hook| match hook {
        // Ours is asyncio's own, which the public class inherits.
        Hook::WakeupNext => stock.getattr(hook.name()),
        _ => class.getattr(hook.name()),
    };
    ORIGINALS.set(ALL.into_iter().map(original).collect::<PyResult<_>>()?);
    Ok(())
}

/// Which hooks the class of one queue replaces; found out once.
#[derive(Debug, Default)]
pub struct Hooks(Cell<Option<u16>>);

impl Py<NativeQueue> {
    /// Whether its class has a method of its own in the place of a hook.
    #[inline]
    pub fn replaces(&self, hook: Hook) -> bool {
        let replaced = match self.hooks.0.get() {
            Some(replaced) => replaced,
            None => self.look_for_hooks(),
        };
        replaced & hook.bit() != 0
    }

    #[cold]
    fn look_for_hooks(&self) -> u16 {
        let mut replaced = 0;
        for (hook, original) in ALL.into_iter().zip(ORIGINALS.get()) {
            if !self.as_obj().class_has(hook.name(), original) {
                replaced |= hook.bit();
            }
        }
        self.hooks.0.set(Some(replaced));
        replaced
    }
}
