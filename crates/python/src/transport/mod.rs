//! Transports: one file and one state machine each.

use batuta_engine::driver::Readiness;

use crate::ffi::{Obj, Py, PyResult, Visitor};

mod endpoint;
mod flow;
mod stream;
mod write_buffer;

pub use stream::{MAX_READ, StreamTransport};

/// A native transport of any kind, as the owner of a descriptor.
#[derive(Clone, Debug)]
pub enum AnyTransport {
    /// TCP or Unix stream.
    Stream(Py<StreamTransport>),
}

impl AnyTransport {
    /// As any object.
    pub fn to_obj(&self) -> Obj {
        match self {
            Self::Stream(transport) => transport.as_obj().clone(),
        }
    }

    /// Whether it is this object.
    pub fn is(&self, object: &Obj) -> bool {
        match self {
            Self::Stream(transport) => transport.as_obj().is(object),
        }
    }

    /// Its descriptor has become ready.
    #[inline]
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        match self {
            Self::Stream(transport) => transport.on_ready(readiness),
        }
    }

    /// Shows the object to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        match self {
            Self::Stream(transport) => visitor.obj(transport.as_obj()),
        }
    }
}
