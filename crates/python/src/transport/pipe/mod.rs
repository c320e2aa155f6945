//! Pipe transports: one direction of a FIFO, a socket or a character device.
//!
//! Role: what `connect_read_pipe()`, `connect_write_pipe()` and the pipes of child
//! processes use. `read` is the reading end, `write` the writing end; this file is
//! what both do when they are made.

mod read;
mod write;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use rustix::fs::{FileType, fstat};
use rustix::io::ioctl_fionbio;

use crate::event_loop::NativeLoop;
use crate::ffi::method::{Methods, Properties};
use crate::ffi::{Obj, Py, PyResult, Raised};

use super::endpoint::{Endpoint, Transport};
use super::face;

pub use read::ReadPipeTransport;
pub use write::WritePipeTransport;

/// What kind of file a pipe transport is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A pipe, with or without a name.
    Fifo,
    Socket,
    /// A terminal or another character device.
    Device,
}

impl Kind {
    /// Looks at the open file; nothing for a kind that cannot be waited for.
    fn of(fd: BorrowedFd<'_>) -> rustix::io::Result<Option<Self>> {
        let status = fstat(fd)?;
        Ok(match FileType::from_raw_mode(status.st_mode) {
            FileType::Fifo => Some(Self::Fifo),
            FileType::Socket => Some(Self::Socket),
            FileType::CharacterDevice => Some(Self::Device),
            _ => None,
        })
    }
}

/// Makes the endpoint for `pipe`; `refusal` is the message for a file of another
/// kind. Nothing is changed if it fails.
fn open(
    event_loop: &Py<NativeLoop>,
    pipe: &Obj,
    protocol: &Obj,
    extra: Option<&Obj>,
    refusal: &str,
) -> PyResult<(Endpoint, Kind)> {
    let info = Obj::dict()?;
    if let Some(extra) = extra.and_then(Obj::non_none) {
        info.attr(c"update")?.call1(extra)?;
    }
    info.set_item("pipe", pipe)?;
    let endpoint = Endpoint::new(event_loop, pipe.into(), protocol, None, info.into())?;
    let kind = endpoint.fd().and_then(Kind::of).map_err(Raised::os_error)?;
    match kind {
        Some(kind) => Ok((endpoint, kind)),
        None => Err(Raised::value_error(refusal)),
    }
}

/// The number of the descriptor, for `repr()` after the end, too.
fn number(endpoint: &Endpoint) -> PyResult<RawFd> {
    endpoint.fd().map(|fd| fd.as_raw_fd()).map_err(Raised::os_error)
}

fn set_nonblocking(endpoint: &Endpoint) -> PyResult<()> {
    endpoint.fd().and_then(|fd| ioctl_fionbio(fd, true)).map_err(Raised::os_error)
}

/// `repr()` in asyncio's shape.
fn describe<T: Transport>(
    this: &Py<T>,
    fileno: RawFd,
    polling: bool,
    bufsize: Option<usize>,
) -> PyResult<Obj> {
    let endpoint = this.endpoint();
    let event_loop = endpoint.event_loop();
    let closed = event_loop.is_none();
    let mut parts = vec![this.as_obj().type_name()];
    if closed {
        parts.push("closed".to_owned());
    } else if endpoint.is_closing() {
        parts.push("closing".to_owned());
    }
    parts.push(format!("fd={fileno}"));
    if closed {
        parts.push("closed".to_owned());
    } else if event_loop.is_none_or(|event_loop| event_loop.is_closed()) {
        parts.push("open".to_owned());
    } else {
        parts.push(if polling { "polling" } else { "idle" }.to_owned());
        if let Some(bufsize) = bufsize {
            parts.push(format!("bufsize={bufsize}"));
        }
    }
    Obj::str(&format!("<{}>", parts.join(" ")))
}

/// The methods that both ends have.
fn methods<T: Transport>() -> Methods<T> {
    face::methods()
}

/// The properties that both ends have.
fn properties<T: Transport>() -> Properties<T> {
    face::properties().get_set(
        c"_pipe",
        |this: &Py<T>| this.endpoint().file.object(),
        |this: &Py<T>, value: &Obj| {
            if !value.is_none() {
                return Err(Raised::attribute_error("a transport's pipe cannot be replaced"));
            }
            this.forget_file();
            Ok(())
        },
    )
}
