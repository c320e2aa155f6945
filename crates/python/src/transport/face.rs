//! The methods and properties that all transports show to Python, and the `repr()` of those of
//! sockets.

use crate::asyncio::names;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::{Args, Obj, Py, PyResult};

use super::endpoint::{Phase, Transport};

/// The methods that all transports share.
pub fn methods<T: Transport>() -> Methods<T> {
    Methods::new()
        .noargs(
            c"is_closing",
            c"Return True if the transport is closing or closed.",
            |this: &Py<T>| {
                T::send_held_for_turn(this)?;
                Ok(this.endpoint().is_closing())
            },
        )
        .noargs(c"abort", c"Close at once: what waits to be sent is lost.", |this: &Py<T>| {
            this.force_close(&Obj::none())
        })
        .noargs(c"get_protocol", c"Return the protocol.", |this: &Py<T>| {
            Ok(this.endpoint().protocol())
        })
        .named(
            c"set_protocol",
            c"set_protocol($self, protocol)\n--\n\nChange the protocol.",
            || ("set_protocol", &names().protocol),
            |this: &Py<T>, protocol: &Obj| T::use_protocol(this, protocol),
        )
        .args(
            c"get_extra_info",
            c"get_extra_info($self, name, default=None)\n--\n\n\
              Return what is known of the transport under this name: see asyncio.BaseTransport.",
            extra_info,
        )
        .one(
            c"_force_close",
            c"Close at once, with the exception for connection_lost().",
            |this: &Py<T>, reason: &Obj| this.force_close(reason),
        )
        .one(
            c"_call_connection_lost",
            c"Call the protocol's connection_lost() and close the file.",
            |this: &Py<T>, reason: &Obj| this.lose(reason),
        )
        .args(
            c"_fatal_error",
            c"Report an exception that ends the transport, and close it.",
            |this: &Py<T>, args: &Args<'_>| {
                let ([exception], rest) = args.split::<1>("_fatal_error")?;
                let message = match rest.first() {
                    Some(message) => message.to_string_lossy()?,
                    None => "Fatal error on transport".to_owned(),
                };
                this.fatal_exception(exception, &message)
            },
        )
}

fn extra_info<T: Transport>(this: &Py<T>, args: &Args<'_>) -> PyResult<Obj> {
    const NAME: &str = "get_extra_info";
    let [name, default] = args.bind(NAME, 0, [&names().name, &names().default])?;
    let name = name.ok_or_else(|| args.missing(NAME, "name"))?;
    if name.as_str() == Some("socket") {
        // Whoever asks for the socket may shut it down, behind what was written.
        T::send_held_back(this)?;
    }
    let endpoint = this.endpoint();
    endpoint.extra.get(&endpoint.file, name, default.unwrap_or(&Obj::none()))
}

/// `repr()` in the shape of asyncio's transports of sockets.
pub fn describe<T: Transport>(
    this: &Py<T>,
    reading: bool,
    writing: bool,
    bufsize: usize,
) -> PyResult<Obj> {
    let endpoint = this.endpoint();
    let mut parts = vec![this.as_obj().type_name()];
    let event_loop = endpoint.event_loop();
    if event_loop.is_none() {
        parts.push("closed".to_owned());
    } else if endpoint.is_closing() {
        parts.push("closing".to_owned());
    }
    parts.push(format!("fd={}", endpoint.number()));
    if event_loop.is_some_and(|event_loop| !event_loop.is_closed()) {
        let state = |polling: bool| if polling { "polling" } else { "idle" };
        parts.push(format!("read={}", state(reading && !endpoint.is_closing())));
        parts.push(format!(
            "write=<{}, bufsize={bufsize}>",
            state(writing && endpoint.phase() < Phase::Lost)
        ));
    }
    Obj::str(&format!("<{}>", parts.join(" ")))
}

/// The private names that libraries and tests read.
pub fn properties<T: Transport>() -> Properties<T> {
    Properties::new()
        .get(c"_loop", |this: &Py<T>| Ok(this.endpoint().event_loop().map(Py::into_obj)))
        .get_set(
            c"_protocol",
            |this: &Py<T>| Ok(this.endpoint().protocol()),
            |this: &Py<T>, protocol: &Obj| T::use_protocol(this, protocol),
        )
        .get(c"_sock_fd", |this: &Py<T>| Obj::int(i64::from(this.endpoint().number())))
        .get(c"_server", |this: &Py<T>| Ok(this.endpoint().server.get()))
        .get(c"_closing", |this: &Py<T>| Ok(this.endpoint().is_closing()))
        .get(c"_conn_lost", |this: &Py<T>| Ok(this.conn_lost() as usize))
        .get(c"_high_water", |this: &Py<T>| Ok(this.endpoint().flow.high()))
        .get(c"_low_water", |this: &Py<T>| Ok(this.endpoint().flow.low()))
        .get(c"_protocol_paused", |this: &Py<T>| Ok(this.endpoint().flow.is_paused()))
        .get_set(
            c"_extra",
            // Whoever asks for the socket may shut it down, behind what was written.
            |this: &Py<T>| {
                T::send_held_back(this)?;
                this.endpoint().extra.dict(&this.endpoint().file)
            },
            |this: &Py<T>, value: &Obj| {
                this.endpoint().extra.set_dict(value);
                Ok(())
            },
        )
}
