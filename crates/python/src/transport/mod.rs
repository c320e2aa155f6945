//! Transports: one file and one state machine each.

use batuta_engine::driver::{Interest, Readiness};

use crate::ffi::{Obj, Py, PyResult, Visitor};

mod datagram;
mod endpoint;
mod extra;
mod face;
mod file;
mod flow;
mod intake;
mod life;
mod pipe;
mod report;
mod server;
mod socket;
mod source;
mod stream;
mod tls;
mod write_buffer;

pub use datagram::DatagramTransport;
pub use intake::{LARGE_READ, MAX_READ};
pub use pipe::{ReadPipeTransport, WritePipeTransport};
#[cfg(Py_3_13)]
pub use server::load as load_servers;
pub use stream::{StreamTransport, accept_ready};
pub use tls::{Windows, load as load_tls};

use endpoint::Transport;

/// A native transport of any kind, as the owner of a descriptor.
#[derive(Clone, Debug)]
pub enum AnyTransport {
    /// TCP or Unix stream.
    Stream(Py<StreamTransport>),
    /// The reading end of a pipe.
    ReadPipe(Py<ReadPipeTransport>),
    /// The writing end of a pipe.
    WritePipe(Py<WritePipeTransport>),
    /// UDP or Unix datagram.
    Datagram(Py<DatagramTransport>),
}

impl AnyTransport {
    fn as_obj(&self) -> &Obj {
        match self {
            Self::Stream(transport) => transport.as_obj(),
            Self::Datagram(transport) => transport.as_obj(),
            Self::ReadPipe(transport) => transport.as_obj(),
            Self::WritePipe(transport) => transport.as_obj(),
        }
    }

    /// As any object.
    pub fn to_obj(&self) -> Obj {
        self.as_obj().clone()
    }

    /// What its descriptor is watched for.
    pub fn interest(&self) -> Interest {
        match self {
            Self::Stream(transport) => transport.endpoint().interest(),
            Self::Datagram(transport) => transport.endpoint().interest(),
            Self::ReadPipe(_) => Interest { read: true, write: false },
            Self::WritePipe(transport) => transport.interest(),
        }
    }

    /// Whether it is this object.
    pub fn is(&self, object: &Obj) -> bool {
        self.as_obj().is(object)
    }

    /// Its descriptor has become ready.
    #[inline]
    pub fn on_ready(&self, readiness: Readiness) -> PyResult<()> {
        match self {
            Self::Stream(transport) => transport.on_ready(readiness),
            Self::ReadPipe(transport) => transport.on_ready(readiness),
            Self::WritePipe(transport) => transport.on_ready(readiness),
            Self::Datagram(transport) => transport.on_ready(readiness),
        }
    }

    /// Shows the object to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.obj(self.as_obj());
    }
}
