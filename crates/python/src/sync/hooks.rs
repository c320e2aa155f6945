//! Methods that a program has put in the place of our own: in a subclass, in one
//! of our classes, or in an instance.
//!
//! asyncio's classes call some of their methods on `self`, and programs rely on it.
//! Native code does the same work without a call, as long as each method is still
//! the one that this module has made.
//!
//! What the class has is found out once and again whenever the class has changed,
//! which its version tells. An attribute that was ever set on an instance is always
//! called by its name.

use std::cell::Cell;
use std::num::NonZeroU32;

use crate::ffi::names::Name;
use crate::ffi::{Obj, PyResult};

/// The methods of one class that may be replaced; a hook is an index into it.
#[derive(Debug)]
pub struct Originals(Vec<(&'static Name, Obj)>);

impl Originals {
    /// Notes the methods of `class` that have these names.
    pub fn note(class: &Obj, names: &[&'static Name]) -> PyResult<Self> {
        names
            .iter()
            .map(|name| Ok((*name, class.getattr(name)?)))
            .collect::<PyResult<_>>()
            .map(Self)
    }

    /// Notes a method that is none of ours, but what the public class inherits.
    pub fn and(mut self, class: &Obj, name: &'static Name) -> PyResult<Self> {
        self.0.push((name, class.getattr(name)?));
        Ok(self)
    }

    fn bits(&self, is_replaced: impl Fn(&Name, &Obj) -> bool) -> u16 {
        let bit = |(index, (name, original)): (usize, &(&Name, Obj))| {
            u16::from(is_replaced(name, original)) << index
        };
        self.0.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
    }
}

/// Which hooks of one instance are replaced.
#[derive(Debug, Default)]
pub struct Hooks {
    version: Cell<Option<NonZeroU32>>,
    in_class: Cell<u16>,
    in_instance: Cell<u16>,
}

impl Hooks {
    /// Whether the hook with this index is replaced for `object`, which has these
    /// hooks.
    #[inline]
    pub fn replaces(&self, object: &Obj, originals: &Originals, hook: usize) -> bool {
        let version = object.class_version();
        if version.is_none() || version != self.version.get() {
            self.look(object, originals);
        }
        (self.in_class.get() | self.in_instance.get()) >> hook & 1 != 0
    }

    #[cold]
    fn look(&self, object: &Obj, originals: &Originals) {
        self.in_class.set(originals.bits(|name, original| !object.class_has(name, original)));
        // Looking has given the class its number.
        self.version.set(object.class_version());
    }

    /// The attribute `name` of the instance was set or deleted.
    pub fn assigned(&self, originals: &Originals, name: &Obj) {
        let bits = originals.bits(|hook, _| hook.as_obj().is(name));
        self.in_instance.set(self.in_instance.get() | bits);
    }
}
