//! Which calls of `create_connection()` and `create_unix_connection()` are native.
//!
//! Whatever is refused here is handed to the interpreter's own coroutine, with the arguments as
//! they came: what is wrong with them, it says itself when it is awaited.

use rustix::net::{AddressFamily, SocketType};

use crate::event_loop::NativeLoop;
use crate::ffi::{Args, Obj, Py, PyResult};
use crate::sock::{SocketKind, Sockets};

use super::destination::{Destination, Method, Wanted};
use super::lookups::{Lookups, may_be_native};
use super::routine::Connect;

/// How many arguments `create_connection()` takes by place.
const BY_PLACE: usize = 3;

/// An argument that is there and says something.
fn said(argument: Option<&Obj>) -> Option<&Obj> {
    argument.and_then(Obj::non_none)
}

/// The value of a number that may be left out; nothing if it is none.
fn number(argument: Option<&Obj>) -> PyResult<Option<i64>> {
    match argument {
        None => Ok(Some(0)),
        Some(given) if given.is_int() => given.to_i64().map(Some).or_else(|raised| {
            raised.clear();
            Ok(None)
        }),
        Some(_) => Ok(None),
    }
}

/// Whether an argument that turns something on is there and does.
fn turned_on(argument: Option<&Obj>) -> PyResult<bool> {
    argument.map_or(Ok(false), Obj::is_true)
}

/// `loop.create_connection(protocol_factory, host, port, **options)`
pub fn create_connection(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Obj> {
    let destination = if may_be_native(event_loop)? { tcp(args)? } else { None };
    match destination {
        Some((factory, destination)) => {
            Connect::make(event_loop, Method::Tcp, factory, destination)
        }
        None => args.forward(&Lookups::get().create_connection, event_loop.as_obj()),
    }
}

/// Factory and destination of a call that is native.
fn tcp<'a>(args: &Args<'a>) -> PyResult<Option<(&'a Obj, Destination)>> {
    let names = &Lookups::get().names;
    let [factory, host, port, sock, family, protocol, flags, plain @ ..] = args.bind(
        "create_connection",
        0,
        [
            &names.protocol_factory,
            &names.host,
            &names.port,
            &names.sock,
            &names.family,
            &names.proto,
            &names.flags,
            &names.local_addr,
            &names.server_hostname,
            &names.ssl_handshake_timeout,
            &names.ssl_shutdown_timeout,
            &names.happy_eyeballs_delay,
            &names.ssl,
            &names.interleave,
            #[cfg(Py_3_12)]
            &names.all_errors,
        ],
    )?;
    let [
        local_addr,
        server_hostname,
        handshake_timeout,
        shutdown_timeout,
        delay,
        ssl,
        interleave,
        all_errors @ ..,
    ] = plain;
    let Some(factory) = factory.filter(|_| args.positional().len() <= BY_PLACE) else {
        return Ok(None);
    };
    let more = [local_addr, server_hostname, handshake_timeout, shutdown_timeout, delay];
    if more.into_iter().any(|argument| said(argument).is_some()) {
        return Ok(None);
    }
    for argument in [ssl, interleave].into_iter().chain(all_errors) {
        if turned_on(argument)? {
            return Ok(None);
        }
    }
    let (Some(family), Some(protocol), Some(flags)) =
        (number(family)?, number(protocol)?, number(flags)?)
    else {
        return Ok(None);
    };
    Ok(match (said(host), said(port), said(sock)) {
        (None, None, Some(sock)) if is_stream(sock, None)? => {
            Some((factory, Destination::Socket(sock.clone())))
        }
        (host, port, None) if host.or(port).is_some() => {
            let (host, port) = (host.cloned(), port.cloned());
            let wanted = Wanted {
                host: host.unwrap_or_else(Obj::none),
                port: port.unwrap_or_else(Obj::none),
                family,
                protocol,
                flags,
            };
            Some((factory, Destination::Host(wanted)))
        }
        _ => None,
    })
}

/// Whether this is a plain stream socket, of that family if there is one.
fn is_stream(sock: &Obj, family: Option<AddressFamily>) -> PyResult<bool> {
    Ok(Sockets::get().kind_of(sock)?.is_some_and(|made_with: SocketKind| {
        made_with.kind == SocketType::STREAM.as_raw().cast_signed()
            && family.is_none_or(|family| made_with.family == i32::from(family.as_raw()))
    }))
}

/// `loop.create_unix_connection(protocol_factory, path, **options)`
pub fn create_unix_connection(event_loop: &Py<NativeLoop>, args: &Args<'_>) -> PyResult<Obj> {
    let destination = if may_be_native(event_loop)? { unix(args)? } else { None };
    match destination {
        Some((factory, destination)) => {
            Connect::make(event_loop, Method::Unix, factory, destination)
        }
        None => args.forward(&Lookups::get().create_unix_connection, event_loop.as_obj()),
    }
}

fn unix<'a>(args: &Args<'a>) -> PyResult<Option<(&'a Obj, Destination)>> {
    let names = &Lookups::get().names;
    let [factory, path, sock, ssl, server_hostname, handshake_timeout, shutdown_timeout] = args
        .bind(
            "create_unix_connection",
            0,
            [
                &names.protocol_factory,
                &names.path,
                &names.sock,
                &names.ssl,
                &names.server_hostname,
                &names.ssl_handshake_timeout,
                &names.ssl_shutdown_timeout,
            ],
        )?;
    let Some(factory) = factory.filter(|_| args.positional().len() < BY_PLACE) else {
        return Ok(None);
    };
    let more = [server_hostname, handshake_timeout, shutdown_timeout];
    if turned_on(ssl)? || more.into_iter().any(|argument| said(argument).is_some()) {
        return Ok(None);
    }
    Ok(match (said(path), said(sock)) {
        (Some(path), None) if path.is_str() => Some((factory, Destination::Path(path.clone()))),
        (None, Some(sock)) if is_stream(sock, Some(AddressFamily::UNIX))? => {
            Some((factory, Destination::Socket(sock.clone())))
        }
        _ => None,
    })
}
