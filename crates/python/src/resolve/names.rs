//! Names, looked up in the engine's threads: no Python runs there, so nobody waits for the
//! interpreter's lock.
//!
//! That is done for what asyncio would give to `socket.getaddrinfo()` in its own default
//! executor. An executor that the program has chosen gets the call itself, and so does a
//! replaced `run_in_executor()`; what needs an encoding beyond ASCII, or is to be refused, is
//! the `socket` module's business.
//!
//! Ownership: the loop owns the futures that wait for answers, and its mailbox.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use batuta_engine::resolver::{Answer, Failure, Found, Mailbox, Query, ask};

use crate::address;
use crate::event_loop::{NativeLoop, Owner};
use crate::executor::uses_own_default;
use crate::ffi::audit::audit_lookup;
use crate::ffi::{Obj, Py, PyResult, Raised, Visitor};
use crate::future::{Future, HasFuture};

use super::LOOKUPS;
use super::numeric::{Hints, family_of, kind_of};

/// The longest name of a host, and the longest part of one.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What a loop has asked and not been told yet.
#[derive(Debug, Default)]
pub struct Resolving {
    mailbox: RefCell<Option<Arc<Mailbox>>>,
    waiting: RefCell<HashMap<u64, Py<Future>>>,
    asked: Cell<u64>,
}

impl Resolving {
    /// Shows the futures to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        if let Ok(waiting) = self.waiting.try_borrow() {
            waiting.values().for_each(|future| visitor.obj(future.as_obj()));
        }
    }

    /// Lets go of everything; answers that come later find nobody.
    pub fn clear(&self) {
        let (mailbox, waiting) = (self.mailbox.take(), self.waiting.take());
        drop((mailbox, waiting));
    }
}

/// A host name as the resolver wants it; nothing if it has to be encoded, or is to be refused.
fn host_name(host: &Obj) -> Option<CString> {
    let name = host.as_str().filter(|name| host.is_exact_str() && name.is_ascii())?;
    let labels = name.strip_suffix('.').unwrap_or(name);
    let fits = name.len() <= LONGEST_NAME
        && labels.split('.').all(|label| (1..=LONGEST_LABEL).contains(&label.len()));
    if fits { CString::new(name).ok() } else { None }
}

/// Whether nobody has to be asked how a port is written.
fn is_plain_port(port: &Obj) -> bool {
    let plain_text = || {
        port.is_exact_str()
            && port.as_str().is_some_and(|text| text.is_ascii() && !text.contains('\0'))
    };
    port.is_none() || plain_text() || (port.is_exact_int() && port.to_u16().is_some())
}

/// A plain port as the resolver wants it; nothing for any.
fn service(port: &Obj) -> Option<CString> {
    let number = || port.to_u16().map(|number| number.to_string());
    CString::new(port.as_str().map(str::to_owned).or_else(number)?).ok()
}

/// A future of the answer; nothing if somebody else has to be asked.
pub fn look_up(
    event_loop: &Py<NativeLoop>,
    host: &Obj,
    port: &Obj,
    hints: Hints,
) -> PyResult<Option<Obj>> {
    let Some(name) = host_name(host).filter(|_| is_plain_port(port)) else { return Ok(None) };
    let Some([family, kind, protocol, flags]) = hints.as_c_ints() else { return Ok(None) };
    if !uses_own_default(event_loop)? {
        return Ok(None);
    }
    audit_lookup(host, port, [family, kind, protocol].map(i64::from))?;
    let mailbox = mailbox(event_loop)?;
    let resolving = &event_loop.resolving;
    let number = resolving.asked.get();
    resolving.asked.set(number.wrapping_add(1));
    let (host, service) = (Some(name), service(port));
    let query = Query { host, service, family, kind, protocol, flags };
    let future = Future::make(event_loop)?;
    resolving.waiting.borrow_mut().insert(number, future.clone());
    if ask(query, number, &mailbox).is_err() {
        let forgotten = resolving.waiting.borrow_mut().remove(&number);
        drop(forgotten);
        return Err(Raised::runtime_error("can't start new thread"));
    }
    Ok(Some(future.into_obj()))
}

/// The loop's mailbox, made and watched when it is first needed.
fn mailbox(event_loop: &Py<NativeLoop>) -> PyResult<Arc<Mailbox>> {
    event_loop.check_closed()?;
    if let Some(mailbox) = &*event_loop.resolving.mailbox.borrow() {
        return Ok(mailbox.clone());
    }
    let mailbox = Arc::new(Mailbox::new().map_err(Raised::os_error)?);
    event_loop.watch_waker(mailbox.as_fd().as_raw_fd(), Owner::Answers)?;
    event_loop.resolving.mailbox.replace(Some(mailbox.clone()));
    Ok(mailbox)
}

/// Answers have arrived: who waits for them is told.
pub fn deliver(event_loop: &Py<NativeLoop>) -> PyResult<()> {
    let mailbox = event_loop.resolving.mailbox.borrow().clone();
    for (number, answer) in mailbox.map(|mailbox| mailbox.take()).unwrap_or_default() {
        let future = event_loop.resolving.waiting.borrow_mut().remove(&number);
        let Some(future) = future.filter(|future| future.future().is_pending()) else { continue };
        match to_python(answer) {
            Ok(list) => future.future().set_result(future.as_obj(), &list)?,
            Err(raised) => {
                let exception = raised.take();
                future.future().set_exception(future.as_obj(), &exception)?;
            }
        }
    }
    Ok(())
}

/// What `socket.getaddrinfo()` returns or raises.
fn to_python(answer: Answer) -> PyResult<Obj> {
    match answer {
        Ok(found) => Obj::list(&found.iter().map(entry).collect::<PyResult<Vec<_>>>()?),
        Err(Failure::System(errno)) => Err(Raised::os_error(errno)),
        Err(Failure::Resolver { code, text }) => {
            let code = Obj::int(i64::from(code))?;
            let exception = LOOKUPS.get().error.call2(&code, &Obj::str(&text)?)?;
            Err(Raised::raise(&exception))
        }
    }
}

fn entry(found: &Found) -> PyResult<Obj> {
    let name = found.canonical_name.as_deref().unwrap_or_default();
    Obj::tuple(&[
        family_of(&found.address),
        kind_of(i64::from(found.kind))?,
        Obj::int(i64::from(found.protocol))?,
        Obj::str(name)?,
        address::to_python(&found.address.into())?,
    ])
}
