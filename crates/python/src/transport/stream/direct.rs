//! Methods of a transport that native code goes past.
//!
//! Role: streams and TLS call methods of whatever transport they have. Where it is one of ours, and
//! nobody has replaced these methods on it or in its class, what the method does is done without
//! looking it up.
//!
//! Thread: the loop's.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::asyncio::names;
use crate::ffi::gil::Global;
use crate::ffi::{Obj, Py, PyResult};

use super::StreamTransport;

/// The class's own `write()` and `is_closing()`.
static OWN: Global<[Obj; 2]> = Global::new();

/// A version of the class in which it has its own; 0 if none is known.
static UNCHANGED: AtomicU32 = AtomicU32::new(0);

impl StreamTransport {
    /// Notes the methods that the class has.
    pub fn note_methods(class: &Obj) -> PyResult<()> {
        OWN.set([class.getattr(&names().write)?, class.getattr(&names().is_closing)?]);
        Ok(())
    }

    /// `transport.write(data)`, of any transport.
    #[inline]
    pub fn write_through(transport: &Obj, data: &Obj) -> PyResult<()> {
        match Self::unchanged(transport) {
            Some(native) => native.write(data),
            None => transport.call_method1(&names().write, data).map(drop),
        }
    }

    /// `transport.is_closing()`, of any transport, for `drain()`: one of ours that holds writes
    /// back goes on to do so, where a program that asks has it send them first.
    #[inline]
    pub fn is_closing_for_drain(transport: &Obj) -> PyResult<bool> {
        match Self::unchanged(transport) {
            Some(native) => Ok(native.endpoint.is_closing()),
            None => transport.call_method0(&names().is_closing)?.is_true(),
        }
    }

    /// A transport of ours that has its own methods.
    #[inline]
    fn unchanged(transport: &Obj) -> Option<&Py<Self>> {
        let native = Py::<Self>::from_exact(transport).filter(|native| !native.has_attributes())?;
        let version = class_version(transport);
        let is_known = version != 0 && version == UNCHANGED.load(Ordering::Relaxed);
        (is_known || has_own(transport)).then_some(native)
    }
}

/// The number of the state of the object's class, 0 if it has none.
#[inline]
fn class_version(object: &Obj) -> u32 {
    object.class_version().map_or(0, NonZeroU32::get)
}

/// Looks whether the class has its own methods, and notes its version if so.
#[cold]
fn has_own(transport: &Obj) -> bool {
    let [write, is_closing] = OWN.get();
    let own = transport.class_has(&names().write, write)
        && transport.class_has(&names().is_closing, is_closing);
    if own {
        // Looking has given the class its number.
        UNCHANGED.store(class_version(transport), Ordering::Relaxed);
    }
    own
}
