//! One try by the socket object's own method: what asyncio's loop does for
//! every socket.
//!
//! An exception that says "would block" is left to the caller.

use crate::asyncio::names;
use crate::ffi::{Obj, PyResult};

use super::lookups::Sockets;
use super::ops::{Attempt, Method, Operation, Sending};

/// Tries.
pub fn attempt(operation: &Operation, sock: &Obj) -> PyResult<Attempt> {
    let own = &Sockets::get().names;
    let (first, second) = (operation.first(), operation.second());
    let done = match operation.method {
        Method::Recv => sock.call_method1(&own.recv, &first),
        Method::RecvInto => sock.call_method1(&own.recv_into, &first),
        Method::RecvFrom => sock.call_method1(&own.recvfrom, &first),
        Method::RecvFromInto => sock.call_method2(&own.recvfrom_into, &first, &second),
        Method::SendTo => sock.call_method2(&own.sendto, &first, &second),
        Method::SendAll => return send(operation, sock),
        Method::Accept => accept(sock),
    };
    done.map(Attempt::Done)
}

/// `sock.accept()`, with the new connection in non-blocking mode.
fn accept(sock: &Obj) -> PyResult<Obj> {
    let own = &Sockets::get().names;
    let pair = sock.call_method0(&own.accept)?.collect()?;
    if let [connection, _] = pair.as_slice() {
        connection.call_method1(&own.setblocking, &Obj::bool(false))?;
    }
    Obj::tuple(&pair)
}

fn send(operation: &Operation, sock: &Obj) -> PyResult<Attempt> {
    let data = operation.first();
    let (view, begin) = match operation.take_sending() {
        Sending::Own(view, begin) => (view, begin),
        Sending::System(_, 0) | Sending::NotBegun => {
            let count = match send_once(sock, &data)? {
                Some(count) if count == data.len()? => return Ok(Attempt::Done(Obj::none())),
                count => count.unwrap_or(0),
            };
            let view = byte_view(&data)?;
            return Ok(note(operation, view, count));
        }
        Sending::System(_, begin) => (byte_view(&data)?, begin),
    };
    let count = match send_once(sock, &view.slice_from(begin)?) {
        Ok(count) => count.unwrap_or(0),
        Err(raised) => return Err(raised),
    };
    Ok(note(operation, view, begin + count))
}

/// Notes how much has been sent.
fn note(operation: &Operation, view: Obj, sent: usize) -> Attempt {
    match view.len() {
        Ok(len) if sent < len => {
            operation.sent(Sending::Own(view, sent));
            Attempt::Blocked
        }
        Ok(_) => Attempt::Done(Obj::none()),
        Err(raised) => {
            raised.clear();
            Attempt::Done(Obj::none())
        }
    }
}

/// `sock.send(data)`; nothing if it would block.
fn send_once(sock: &Obj, data: &Obj) -> PyResult<Option<usize>> {
    match sock.call_method1(&names().send, data) {
        Ok(count) => Ok(usize::try_from(count.to_i64()?).ok()),
        Err(raised) if raised.is_try_again() => {
            raised.clear();
            Ok(None)
        }
        Err(raised) => Err(raised),
    }
}

/// `memoryview(data).cast("B")`: offsets count bytes, whatever the items are.
fn byte_view(data: &Obj) -> PyResult<Obj> {
    let view = data.memoryview()?;
    view.call_method1(&Sockets::get().names.cast, &Obj::str("B")?)
}
