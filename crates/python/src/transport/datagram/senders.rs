//! The addresses of the last senders, in both forms.
//!
//! Owns the objects. Invariant: they are tuples, strs or bytes, which do not change.

use std::cell::RefCell;
use std::net::SocketAddrV4;

use rustix::net::SocketAddrAny;

use crate::address::{KnownAddress, to_python};
use crate::ffi::{Obj, PyResult, Visitor};

/// How many IPv4 senders are remembered.
const SENDERS: usize = 64;

/// The addresses that datagrams came from lately. An answer goes to the last one; among the others
/// are those that will send again, and making an address costs as much as calling the protocol.
#[derive(Debug, Default)]
pub struct Senders {
    last: KnownAddress,
    /// IPv4 addresses, each in the one place where it is looked for; none before there are two.
    others: RefCell<Vec<Option<(SocketAddrV4, Obj)>>>,
}

/// Where an address is looked for.
fn place(address: SocketAddrV4) -> usize {
    let mixed = u32::from(*address.ip()) ^ u32::from(address.port()).rotate_right(16);
    // The upper bits of the product depend on all bits of the address.
    (mixed.wrapping_mul(0x9E37_79B1) >> 16) as usize % SENDERS
}

impl Senders {
    /// The system's form of the last sender's address, if `object` is that.
    pub fn last_of_object(&self, object: &Obj) -> Option<SocketAddrAny> {
        self.last.of_object(object)
    }

    /// Python's form of a sender's address, kept or made and kept. A sender that
    /// has no address is `None`.
    pub fn object_of(&self, address: Option<SocketAddrAny>) -> PyResult<Obj> {
        let Some(address) = address else { return Ok(Obj::none()) };
        if let Some(object) = self.last.kept_object(&address) {
            return Ok(object);
        }
        let object = match SocketAddrV4::try_from(address.clone()) {
            Ok(internet) => self.other(internet, &address)?,
            Err(_) => to_python(&address)?,
        };
        self.last.keep(address, object.clone());
        Ok(object)
    }

    fn other(&self, key: SocketAddrV4, address: &SocketAddrAny) -> PyResult<Obj> {
        let index = place(key);
        if let Some(Some((known, object))) = self.others.borrow().get(index)
            && *known == key
        {
            return Ok(object.clone());
        }
        let object = to_python(address)?;
        let mut others = self.others.borrow_mut();
        if others.is_empty() && self.last.is_some() {
            others.resize_with(SENDERS, || None);
        }
        let former = others.get_mut(index).and_then(|place| place.replace((key, object.clone())));
        drop(others);
        drop(former);
        Ok(object)
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        self.last.forget();
        let others = self.others.take();
        drop(others);
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        self.last.traverse(visitor);
        if let Ok(others) = self.others.try_borrow() {
            others.iter().flatten().for_each(|(_, object)| visitor.obj(object));
        }
    }
}
