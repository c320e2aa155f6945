//! The datagrams that a transport could not send yet.

use std::collections::VecDeque;

use rustix::net::SocketAddrAny;

use crate::ffi::{Obj, Visitor};

/// What a waiting datagram counts besides its data, in bytes.
const HEADER: usize = if cfg!(Py_3_13) { 8 } else { 0 };

/// Where a datagram goes.
#[derive(Debug)]
pub enum Destination {
    /// To the peer that the socket is connected to.
    Peer,
    /// To an address in the system's form.
    Native(SocketAddrAny),
    /// To an address that the socket object makes sense of, or refuses.
    Python(Obj),
}

/// A datagram that waits.
#[derive(Debug)]
pub struct Datagram {
    /// An exact `bytes` object.
    pub data: Obj,
    /// Where it goes.
    pub to: Destination,
}

impl Datagram {
    fn size(&self) -> usize {
        self.data.bytes_content().len() + HEADER
    }
}

/// Datagrams in the order in which they were sent.
#[derive(Debug, Default)]
pub struct SendQueue {
    datagrams: VecDeque<Datagram>,
    size: usize,
}

impl SendQueue {
    /// How many bytes wait, as flow control counts them.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Appends a datagram.
    pub fn push(&mut self, datagram: Datagram) {
        self.size += datagram.size();
        self.datagrams.push_back(datagram);
    }

    /// Takes the first one.
    pub fn pop(&mut self) -> Option<Datagram> {
        let datagram = self.datagrams.pop_front()?;
        self.size = self.size.saturating_sub(datagram.size());
        Some(datagram)
    }

    /// Puts the first one back: it could not be sent.
    pub fn put_back(&mut self, datagram: Datagram) {
        self.size += datagram.size();
        self.datagrams.push_front(datagram);
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for datagram in &self.datagrams {
            visitor.obj(&datagram.data);
            if let Destination::Python(address) = &datagram.to {
                visitor.obj(address);
            }
        }
    }
}
