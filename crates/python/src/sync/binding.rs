//! The loop that a lock, event or queue belongs to: the one that runs when
//! somebody waits for the first time.

use crate::asyncio::names;
use crate::event_loop::{NativeLoop, Past, running_loop};
use crate::ffi::method::Properties;
use crate::ffi::{NativeType, Obj, Py, PyResult, Raised, Slot, Visitor};

/// `_loop`
#[derive(Debug, Default)]
pub struct Binding(Slot);

impl Binding {
    /// A future of the running loop, for `this` to wait with.
    pub fn create_future(&self, this: &Obj) -> PyResult<Obj> {
        let running = running_loop()?;
        if !self.0.is_some() {
            self.0.set(running.clone());
        }
        let is_ours = match &running {
            Some(running) => self.0.holds(running),
            None => !self.0.is_some(),
        };
        if !is_ours {
            return Err(Raised::runtime_error(&format!(
                "{} is bound to a different event loop",
                this.repr_lossy()
            )));
        }
        // Without a loop it is `None` that has no such method, as with asyncio's own.
        let running = running.unwrap_or_else(Obj::none);
        match Py::<NativeLoop>::from_instance(&running) {
            Some(native) if NativeLoop::may_go_past(native, Past::CreateFuture) => {
                NativeLoop::create_future(native)
            }
            _ => running.call_method0(&names().create_future),
        }
    }

    /// Binds to a loop, or to none.
    pub fn bind(&self, event_loop: &Obj) {
        self.0.set(event_loop.non_none().cloned());
    }

    /// `_loop`
    pub fn get(&self) -> Option<Obj> {
        self.0.get()
    }

    /// Shows the loop to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.0);
    }

    /// Lets go of the loop.
    pub fn clear(&self) {
        self.0.set(None);
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
