//! What a `_socket.socket` keeps in its memory: descriptor and timeout.
//!
//! Role: each operation on a socket needs both, and calls of the object's methods for them cost as
//! much as all the rest of it that is not the kernel's. Finds where they stand by looking into
//! a socket of which it is told what it holds, and reads them from there.
//!
//! Invariant: the fields were found within the memory that the C class lays out, and are read in
//! instances of one class that extends it.

use std::mem::size_of;
use std::os::fd::RawFd;

use pyo3_ffi as py;

use super::object::Obj;

/// Where the fields stand, in instances of one class.
#[derive(Debug)]
pub struct SocketFields {
    class: Obj,
    fd: usize,
    timeout: usize,
}

/// A socket of which all is known.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The socket.
    pub sock: &'a Obj,
    /// Its descriptor, family, type and protocol: four numbers in a row.
    pub numbers: [i32; 4],
    /// Its timeout in nanoseconds, a number that nothing else in it is.
    pub timeout: i64,
}

impl SocketFields {
    /// Finds the fields that `native`, the C class, lays out; nothing if that cannot be told.
    /// They are to be read in instances of exactly `class`.
    pub fn find(class: &Obj, native: &Obj, example: Example<'_>) -> Option<Self> {
        let Example { sock, numbers, timeout } = example;
        let body = body(sock, class, native)?;
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let header = size_of::<py::PyObject>();
        Some(Self {
            class: class.clone(),
            fd: header + only(body, &numbers, size_of::<i32>())?,
            timeout: header + only(body, &timeout.to_ne_bytes(), size_of::<i64>())?,
        })
    }

    /// The descriptor, negative when closed; nothing of a socket of another class.
    #[inline]
    pub fn fd(&self, sock: &Obj) -> Option<RawFd> {
        // SAFETY: an instance of the class, within whose memory the field was found, aligned.
        sock.is_exactly(&self.class)
            .then(|| unsafe { sock.as_ptr().byte_add(self.fd).cast::<RawFd>().read() })
    }

    /// Whether the timeout is zero; nothing of a socket of another class.
    #[inline]
    pub fn is_nonblocking(&self, sock: &Obj) -> Option<bool> {
        // SAFETY: as above.
        sock.is_exactly(&self.class)
            .then(|| unsafe { sock.as_ptr().byte_add(self.timeout).cast::<i64>().read() == 0 })
    }
}

/// What `native` lays out of `instance` behind the header, if `instance` and `class` extend it.
fn body<'a>(instance: &'a Obj, class: &Obj, native: &Obj) -> Option<&'a [u8]> {
    let header = size_of::<py::PyObject>();
    // SAFETY: all three are alive, and types before they are looked at as such. An instance has
    // at least the size of each class that it extends, and every byte of it was set when it was
    // made.
    unsafe {
        for one in [class, native] {
            if py::PyType_Check(one.as_ptr()) == 0 {
                return None;
            }
        }
        let base = native.as_ptr().cast::<py::PyTypeObject>();
        for one in [class.as_ptr().cast(), instance.type_ptr()] {
            if py::PyType_IsSubtype(one, base) == 0 {
                return None;
            }
        }
        let size = (*base).tp_basicsize.cast_unsigned().checked_sub(header)?;
        Some(std::slice::from_raw_parts(instance.as_ptr().cast::<u8>().add(header), size))
    }
}

/// Where alone the bytes stand, among the places that are a multiple of `step`.
fn only(body: &[u8], wanted: &[u8], step: usize) -> Option<usize> {
    let mut found = (0..body.len()).step_by(step).filter(|at| body[*at..].starts_with(wanted));
    let offset = found.next()?;
    found.next().is_none().then_some(offset)
}
