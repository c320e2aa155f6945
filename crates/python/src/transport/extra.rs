//! [`Extra`]: what `get_extra_info()` tells of a transport.
//!
//! A connection is asked for three things: its socket and the two addresses. The addresses are
//! kept without a dict, and the socket is made, and what wraps it, when somebody wants it: a
//! server has many connections that do nothing, and most of them are never asked. What has more
//! to tell, and what somebody has asked for its `_extra`, has asyncio's dict; the dict counts
//! from then on.
//!
//! Thread: any that holds the interpreter's lock asks.

use std::cell::Cell;

use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, PyResult, Slot, Visitor};

use super::file::File;

/// What the first slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// The dict, which has everything.
    Dict,
    /// Nothing: the socket is the file's.
    Nothing,
    /// The `TransportSocket` that stands for it.
    Wrapper,
}

/// What is told of a transport, by name.
#[derive(Debug)]
pub struct Extra {
    first: Slot,
    holds: Cell<First>,
    sockname: Slot,
    peername: Slot,
}

impl From<Obj> for Extra {
    fn from(dict: Obj) -> Self {
        Self {
            first: Slot::from(dict),
            holds: Cell::new(First::Dict),
            sockname: Slot::default(),
            peername: Slot::default(),
        }
    }
}

impl Extra {
    /// Of a connection: the addresses of its ends, each `None` where the system has said none.
    pub fn of_connection(near: Obj, far: Obj) -> Self {
        Self {
            first: Slot::default(),
            holds: Cell::new(First::Nothing),
            sockname: Slot::from(near),
            peername: Slot::from(far),
        }
    }

    /// `get_extra_info(name, default)` of the transport with this file.
    pub fn get(&self, file: &File, name: &Obj, default: &Obj) -> PyResult<Obj> {
        if self.holds.get() != First::Dict {
            match name.as_str() {
                Some("socket") => {
                    let socket = self.socket(file)?;
                    if self.holds.get() != First::Dict {
                        return Ok(socket);
                    }
                }
                Some("sockname") => return Ok(self.sockname.get_or_none()),
                Some("peername") => return Ok(self.peername.get_or_none()),
                Some(_) => return Ok(default.clone()),
                None => {} // What cannot be a key is the dict's to refuse.
            }
        }
        self.dict(file)?.call_method2(&names().get, name, default)
    }

    /// `_extra`.
    pub fn dict(&self, file: &File) -> PyResult<Obj> {
        if self.holds.get() != First::Dict {
            let socket = self.socket(file)?;
            let dict = Obj::dict()?;
            dict.dict_set(&names().peername, &self.peername.get_or_none())?;
            dict.dict_set(&names().socket, &socket)?;
            dict.dict_set(&names().sockname, &self.sockname.get_or_none())?;
            // Somebody else may have been quicker while the socket was made.
            if self.holds.get() != First::Dict {
                self.set_dict(&dict);
            }
        }
        Ok(self.first.get_or_none())
    }

    /// `_extra = dict`.
    pub fn set_dict(&self, dict: &Obj) {
        self.holds.set(First::Dict);
        self.first.set(Some(dict.clone()));
        self.sockname.set(None);
        self.peername.set(None);
    }

    /// What stands for the socket of a connection; nothing where there is asyncio's dict.
    pub fn socket(&self, file: &File) -> PyResult<Obj> {
        match self.holds.get() {
            First::Dict => return Ok(Obj::none()),
            First::Wrapper => return Ok(self.first.get_or_none()),
            First::Nothing => {}
        }
        let wrapper = Asyncio::get().transport_socket.call1(&file.socket()?)?;
        // That was Python code, during which somebody else may have asked.
        match self.holds.get() {
            First::Dict => return Ok(wrapper),
            First::Wrapper => return Ok(self.first.get_or_none()),
            First::Nothing => {}
        }
        self.first.set(Some(wrapper.clone()));
        self.holds.set(First::Wrapper);
        Ok(wrapper)
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        for slot in [&self.first, &self.sockname, &self.peername] {
            visitor.slot(slot);
        }
    }

    /// Breaks cycles.
    pub fn clear(&self) {
        for slot in [&self.first, &self.sockname, &self.peername] {
            slot.set(None);
        }
    }
}
