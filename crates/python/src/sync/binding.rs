//! The loop that a lock, event or queue belongs to: the one that runs when
//! somebody waits for the first time.

use std::cell::Cell;

use crate::event_loop::NativeLoop;
use crate::ffi::method::Properties;
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

use super::lookups::{Lookups, own_names};

/// `_loop`, and what is known of it.
#[derive(Debug, Default)]
pub struct Binding {
    event_loop: Slot,
    /// Whether its futures may be made without calling `create_future`.
    native: Cell<bool>,
}

impl Binding {
    /// A future of the running loop, for `this` to wait with.
    pub fn create_future(&self, this: &Obj) -> PyResult<Obj> {
        if self.native.get()
            && let Some(event_loop) = self.event_loop.get()
            && let Some(native) = Py::<NativeLoop>::from_instance(&event_loop)
            && NativeLoop::runs_here(native)
        {
            return NativeLoop::create_future(native);
        }
        let running = Lookups::get().get_running_loop.call0()?;
        let bound = self.event_loop.get().unwrap_or_else(|| {
            self.bind(&running);
            running.clone()
        });
        if !bound.is(&running) {
            return Err(Raised::runtime_error(&format!(
                "{} is bound to a different event loop",
                this.repr_lossy()
            )));
        }
        running.call_method0(&own_names().create_future)
    }

    /// Binds to a loop, or to none.
    pub fn bind(&self, event_loop: &Obj) {
        let native = Py::<NativeLoop>::from_instance(event_loop);
        self.native.set(native.is_some_and(makes_native_futures));
        self.event_loop.set(event_loop.non_none().cloned());
    }

    /// `_loop`
    pub fn get(&self) -> Option<Obj> {
        self.event_loop.get()
    }

    /// Shows the loop to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.event_loop);
    }

    /// Lets go of the loop.
    pub fn clear(&self) {
        self.native.set(false);
        self.event_loop.set(None);
    }
}

/// Whether nobody has replaced `create_future` of this loop or in its class.
fn makes_native_futures(event_loop: &Py<NativeLoop>) -> bool {
    match event_loop.as_obj().getattr(&own_names().create_future) {
        // The only built-in function of that name that a native loop can have.
        Ok(found) => found.builtin_function().is_some_and(|(_, name)| name == c"create_future"),
        Err(raised) => {
            raised.clear();
            false
        }
    }
}

/// A type that belongs to a loop.
pub trait Bound: NativeType {
    /// Its loop.
    fn binding(&self) -> &Binding;
}

/// Adds `_loop` to a table.
pub fn properties<T: Bound>(properties: Properties<T>) -> Properties<T> {
    properties.get_set(
        c"_loop",
        |this: &Py<T>| Ok(this.binding().get()),
        |this: &Py<T>, event_loop: &Obj| {
            this.binding().bind(event_loop);
            Ok(())
        },
    )
}
