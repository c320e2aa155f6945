//! One try by the system call, which never blocks (`MSG_DONTWAIT`).
//!
//! Arguments that the interpreter's own method would refuse, and what is not
//! known here, give [`Native::Unsuited`]: that method is to be called.

use std::os::fd::BorrowedFd;

use batuta_engine::heap::expect_large_blocks;
use rustix::net::{AddressFamily, RecvFlags, SendFlags};

use crate::address;
use crate::event_loop::NativeLoop;
use crate::ffi::audit::audit;
use crate::ffi::buffer::{Buffer, bytes_filled};
use crate::ffi::{Obj, Py, PyResult};
use crate::transport::{LARGE_READ, MAX_READ};

use super::lookups::Sockets;
use super::ops::{Native, Operation, Sending};

/// Up to this size, data is received into a `bytes` of the asked size, in bytes.
const SMALL_READ: usize = 4 * 1024;

/// The value of an int that can be a size.
fn size_of_int(object: &Obj) -> Option<usize> {
    match object.to_i64() {
        Ok(size) => usize::try_from(size).ok(),
        Err(raised) => {
            raised.clear();
            None
        }
    }
}

/// Lends the descriptor to the system call that follows at once; nothing of a
/// closed socket, whose own method is to say so.
fn descriptor(sock: &Obj) -> PyResult<Option<BorrowedFd<'_>>> {
    let fd = Some(Sockets::get().fd(sock)?).filter(|fd| *fd >= 0);
    // SAFETY: the socket has the descriptor open and is held by the caller. No
    // Python code, which could close it, runs before the system call.
    Ok(fd.map(|fd| unsafe { BorrowedFd::borrow_raw(fd) }))
}

fn readable(object: &Obj) -> Option<Buffer> {
    Buffer::readable(object).map_err(crate::ffi::Raised::clear).ok()
}

fn writable(object: &Obj) -> Option<Buffer> {
    Buffer::writable(object).map_err(crate::ffi::Raised::clear).ok()
}

/// `sock.recv(size)`
pub fn recv(event_loop: &Py<NativeLoop>, sock: &Obj, size: &Obj) -> PyResult<Native> {
    let Some(size) = size_of_int(size) else { return Ok(Native::Unsuited) };
    if size == 0 {
        return Obj::bytes(&[]).map(Native::Done);
    }
    let room = if size <= SMALL_READ {
        Some(size)
    } else if size > MAX_READ || (size >= LARGE_READ && event_loop.large_sock_reads.get()) {
        expect_large_blocks();
        match waiting(sock)? {
            Some(waiting) if waiting >= LARGE_READ => Some(size.min(waiting)),
            None if size > MAX_READ => return Ok(Native::Unsuited),
            _ => None,
        }
    } else {
        None
    };
    let note = |count: usize| {
        if size >= LARGE_READ {
            event_loop.large_sock_reads.set(count >= LARGE_READ);
        }
        count
    };
    let Some(fd) = descriptor(sock)? else { return Ok(Native::Unsuited) };
    if let Some(room) = room {
        let filled = bytes_filled(room, |place| {
            rustix::net::recv(fd, place, RecvFlags::DONTWAIT).map(|(_, count)| note(count))
        })?;
        return Native::settle(filled);
    }
    event_loop.with_read_buffer(MAX_READ, |buffer| {
        let place = buffer.get_mut(..size.min(MAX_READ)).unwrap_or_default();
        match rustix::net::recv(fd, &mut *place, RecvFlags::DONTWAIT) {
            Ok((count, _)) => copied(place, note(count)).map(Native::Done),
            Err(errno) => Native::settle(Err(errno)),
        }
    })
}

/// How many bytes of a stream can be read; nothing for sockets of other types,
/// where a size that is out of date would cut a message.
fn waiting(sock: &Obj) -> PyResult<Option<usize>> {
    if !Sockets::get().is_stream(sock)? {
        return Ok(None);
    }
    let Some(fd) = descriptor(sock)? else { return Ok(None) };
    Ok(rustix::io::ioctl_fionread(fd).ok().and_then(|waiting| usize::try_from(waiting).ok()))
}

fn copied(buffer: &[u8], count: usize) -> PyResult<Obj> {
    Obj::bytes(buffer.get(..count).unwrap_or(buffer))
}

/// `sock.recv_into(buffer)`
pub fn recv_into(sock: &Obj, buffer: &Obj) -> PyResult<Native> {
    let Some(mut view) = writable(buffer) else { return Ok(Native::Unsuited) };
    let place = view.as_mut_slice();
    if place.is_empty() {
        return Obj::size(0).map(Native::Done);
    }
    let Some(fd) = descriptor(sock)? else { return Ok(Native::Unsuited) };
    match rustix::net::recv(fd, place, RecvFlags::DONTWAIT) {
        Ok((_, count)) => Obj::size(count).map(Native::Done),
        Err(errno) => Native::settle(Err(errno)),
    }
}

/// The socket's family, if its addresses are converted here.
fn native_family(sock: &Obj) -> PyResult<Option<AddressFamily>> {
    let family = Sockets::get().family(sock)?;
    Ok(u16::try_from(family)
        .ok()
        .map(AddressFamily::from_raw)
        .filter(|family| address::is_native(*family)))
}

/// Receives a datagram; the answer is made of what came (for which `value` is
/// asked) and the sender's address.
fn receive_from(
    sock: &Obj,
    place: &mut [u8],
    value: impl FnOnce(&[u8], usize) -> PyResult<Obj>,
) -> PyResult<Native> {
    let Some(fd) = descriptor(sock)? else { return Ok(Native::Unsuited) };
    match rustix::net::recvfrom(fd, &mut *place, RecvFlags::DONTWAIT) {
        Ok((_, count, sender)) => {
            let value = value(place, count)?;
            let sender = sender.map_or_else(|| Ok(Obj::none()), |it| address::to_python(&it))?;
            Obj::tuple(&[value, sender]).map(Native::Done)
        }
        Err(errno) => Native::settle(Err(errno)),
    }
}

/// `sock.recvfrom(size)`
pub fn recvfrom(event_loop: &Py<NativeLoop>, sock: &Obj, size: &Obj) -> PyResult<Native> {
    let Some(size) = size_of_int(size).filter(|size| *size <= MAX_READ) else {
        return Ok(Native::Unsuited);
    };
    if native_family(sock)?.is_none() {
        return Ok(Native::Unsuited);
    }
    event_loop.with_read_buffer(MAX_READ, |buffer| {
        receive_from(sock, buffer.get_mut(..size).unwrap_or_default(), copied)
    })
}

/// `sock.recvfrom_into(buffer, size)`
pub fn recvfrom_into(sock: &Obj, buffer: &Obj, size: &Obj) -> PyResult<Native> {
    let (Some(size), Some(mut view)) = (size_of_int(size), writable(buffer)) else {
        return Ok(Native::Unsuited);
    };
    let place = view.as_mut_slice();
    // A size of zero asks for all of the buffer.
    let size = if size == 0 { place.len() } else { size };
    let Some(place) = place.get_mut(..size) else { return Ok(Native::Unsuited) };
    if native_family(sock)?.is_none() {
        return Ok(Native::Unsuited);
    }
    receive_from(sock, place, |_, count| Obj::size(count))
}

/// `sock.send()` of what is left to `sock_sendall()`.
pub fn send(operation: &Operation, sock: &Obj) -> PyResult<Native> {
    let sending = operation.take_sending();
    let data = operation.first();
    if matches!(sending, Sending::NotBegun) && data.is_exact_bytes() {
        // Its content never changes, and mostly leaves at once: no view is needed.
        let (sent, answer) = send_once(sock, data.bytes_content())?;
        if !matches!(answer, Native::Blocked) {
            return Ok(answer);
        }
        if let Some(view) = readable(&data) {
            operation.sent(Sending::System(view, sent));
        }
        return Ok(answer);
    }
    let (view, begin) = if let Sending::System(view, begin) = sending {
        (view, begin)
    } else {
        let Some(view) = readable(&data) else { return Ok(Native::Unsuited) };
        (view, 0)
    };
    let rest = view.as_slice().get(begin..).unwrap_or_default();
    let (sent, answer) = send_once(sock, rest)?;
    if matches!(answer, Native::Blocked) {
        operation.sent(Sending::System(view, begin + sent));
    }
    Ok(answer)
}

/// Sends what the kernel takes; says how much that was, and whether it is done.
fn send_once(sock: &Obj, data: &[u8]) -> PyResult<(usize, Native)> {
    let Some(fd) = descriptor(sock)? else { return Ok((0, Native::Unsuited)) };
    match rustix::net::send(fd, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(count) if count >= data.len() => Ok((count, Native::Done(Obj::none()))),
        Ok(count) => Ok((count, Native::Blocked)),
        Err(errno) => Native::settle(Err(errno)).map(|answer| (0, answer)),
    }
}

/// `sock.sendto(data, address)`
pub fn sendto(sock: &Obj, data: &Obj, address: &Obj) -> PyResult<Native> {
    let Some(family) = native_family(sock)? else { return Ok(Native::Unsuited) };
    let Some(target) = address::from_python(family, address)? else {
        return Ok(Native::Unsuited);
    };
    let Some(view) = readable(data) else { return Ok(Native::Unsuited) };
    audit(c"socket.sendto", sock, address)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let Some(fd) = descriptor(sock)? else { return Ok(Native::Unsuited) };
    match rustix::net::sendto(fd, view.as_slice(), flags, &target) {
        Ok(count) => Obj::size(count).map(Native::Done),
        Err(errno) => Native::settle(Err(errno)),
    }
}
