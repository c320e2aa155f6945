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
pub struct Originals {
    methods: Vec<(&'static Name, Obj)>,
    /// The version of the class that was looked at last, and what was found: most instances are of
    /// one class.
    found: Cell<(Option<NonZeroU32>, u16)>,
}

impl Originals {
    /// Notes the methods of `class` that have these names.
    pub fn note(class: &Obj, names: &[&'static Name]) -> PyResult<Self> {
        let methods = names.iter().map(|name| Ok((*name, class.getattr(name)?)));
        Ok(Self { methods: methods.collect::<PyResult<_>>()?, found: Cell::default() })
    }

    /// Notes a method that is none of ours, but what the public class inherits.
    pub fn and(mut self, class: &Obj, name: &'static Name) -> PyResult<Self> {
        self.methods.push((name, class.getattr(name)?));
        Ok(self)
    }

    /// Whether the class of `object` has all of them.
    #[cfg(Py_3_13)]
    pub fn are_those_of(&self, object: &Obj) -> bool {
        self.look_at_class(object).1 == 0
    }

    /// Which of them the class of `object` has something else in the place of, and the version of
    /// the class.
    fn look_at_class(&self, object: &Obj) -> (Option<NonZeroU32>, u16) {
        let version = object.class_version();
        if version.is_none() || version != self.found.get().0 {
            let bits = self.bits(|name, original| !object.class_has(name, original));
            // Looking has given the class its number.
            self.found.set((object.class_version(), bits));
        }
        self.found.get()
    }

    fn bits(&self, is_replaced: impl Fn(&Name, &Obj) -> bool) -> u16 {
        let bit = |(index, (name, original)): (usize, &(&Name, Obj))| {
            u16::from(is_replaced(name, original)) << index
        };
        self.methods.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
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
        self.keep_up(object, originals);
        (self.in_class.get() | self.in_instance.get()) >> hook & 1 != 0
    }

    /// Whether a class has something else than the originals in the place of any hook from this
    /// one on. What was assigned to the instance does not count.
    #[inline]
    pub fn replaced_in_class(&self, object: &Obj, originals: &Originals, from: usize) -> bool {
        self.keep_up(object, originals);
        self.in_class.get() >> from != 0
    }

    /// Has a look at the class if it has changed.
    #[inline]
    fn keep_up(&self, object: &Obj, originals: &Originals) {
        let version = object.class_version();
        if version.is_none() || version != self.version.get() {
            self.look(object, originals);
        }
    }

    #[cold]
    fn look(&self, object: &Obj, originals: &Originals) {
        let (version, bits) = originals.look_at_class(object);
        self.in_class.set(bits);
        self.version.set(version);
    }

    /// The attribute `name` of the instance was set or deleted.
    pub fn assigned(&self, originals: &Originals, name: &Obj) {
        let bits = originals.bits(|hook, _| hook.as_obj().is(name));
        self.in_instance.set(self.in_instance.get() | bits);
    }
}
