//! Methods of a transport that native code goes past.
//!
//! Role: writers and TLS call `write()` and `is_closing()` of whatever transport they have. Where
//! it is one of ours, and nobody has replaced a method on it or in its class, what the method does
//! is done without looking it up.
//!
//! Thread: the loop's.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::asyncio::names;
use crate::ffi::names::Name;
use crate::ffi::{Obj, Py, PyResult};

use super::StreamTransport;

/// A version of the class in which it has its own methods; 0 if none is known.
static UNCHANGED: AtomicU32 = AtomicU32::new(0);

impl StreamTransport {
    /// `transport.write(data)`, of any transport.
    #[inline]
    pub fn write_through(transport: &Obj, data: &Obj) -> PyResult<()> {
        match Self::unchanged(transport) {
            Some(native) => native.write(data),
            None => transport.call_method1(&names().write, data).map(drop),
        }
    }

    /// `transport.is_closing()`, of any transport; what one of ours holds back stays so.
    #[inline]
    pub fn is_known_to_close(transport: &Obj) -> PyResult<bool> {
        match Self::unchanged(transport) {
            Some(native) => Ok(native.endpoint.is_closing()),
            None => transport.call_method0(&names().is_closing)?.is_true(),
        }
    }

    /// A transport of ours that has its own methods.
    #[inline]
    fn unchanged(transport: &Obj) -> Option<&Py<Self>> {
        let native = Py::<Self>::from_exact(transport).filter(|native| !native.has_attributes())?;
        (is_known(class_version(transport)) || has_own(transport)).then_some(native)
    }
}

/// The number of the state of the object's class, 0 if it has none.
#[inline]
fn class_version(object: &Obj) -> u32 {
    object.class_version().map_or(0, NonZeroU32::get)
}

#[inline]
fn is_known(version: u32) -> bool {
    version != 0 && version == UNCHANGED.load(Ordering::Relaxed)
}

/// Looks whether the methods are the transport's own, and notes the version of its class if so.
#[cold]
fn has_own(transport: &Obj) -> bool {
    let is_own = |name: &Name| match transport.getattr(name) {
        Ok(method) => method.is_builtin_of(transport),
        Err(raised) => {
            raised.clear();
            false
        }
    };
    let own = is_own(&names().write) && is_own(&names().is_closing);
    if own {
        // Looking has given the class its number.
        UNCHANGED.store(class_version(transport), Ordering::Relaxed);
    }
    own
}
