//! `add_reader`, `add_writer` and their kin, as methods of the loop.

use std::os::fd::RawFd;

use crate::asyncio::names;
use crate::ffi::method::Methods;
use crate::ffi::{Args, Obj, Py, PyResult, Raised};
use crate::handle::{Core, Handle};

use super::{NativeLoop, Owner, Side, Watcher, dismiss};

/// The number of an int or of an object with `fileno()`.
pub(super) fn number(file: &Obj) -> PyResult<i64> {
    if file.is_int() {
        return file.to_i64();
    }
    file.call_method0(&names().fileno).and_then(|number| number.to_i64()).map_err(|raised| {
        if !raised.says_unsuitable() {
            return raised;
        }
        raised.clear();
        Raised::value_error(&format!("Invalid file object: {}", file.repr_lossy()))
    })
}

/// The descriptor of an int or of an object with `fileno()`.
pub(super) fn fileno(file: &Obj) -> PyResult<RawFd> {
    let number = number(file)?;
    RawFd::try_from(number)
        .ok()
        .filter(|fd| *fd >= 0)
        .ok_or_else(|| Raised::value_error(&format!("Invalid file descriptor: {number}")))
}

impl Py<NativeLoop> {
    /// The handles of a descriptor's watchers; an operation that has none gets one to be shown.
    fn callbacks_of(&self, fd: RawFd) -> PyResult<Obj> {
        let watchers = match self.registry.borrow().get(fd) {
            Some(Owner::User(watchers)) if !watchers.is_idle() => {
                [Side::Read, Side::Write].map(|side| watchers.get(side).cloned())
            }
            _ => return Ok(Obj::none()),
        };
        let handles = watchers.map(|watcher| match watcher {
            None => Ok(Obj::none()),
            Some(Watcher::Callback(handle)) => Ok(handle.into_obj()),
            Some(Watcher::Waiter(waiter)) => {
                let core = Core::new(self, waiter.as_obj(), &[], None)?;
                Py::new(Handle(core)).map(Py::into_obj)
            }
        });
        let [reader, writer] = handles;
        Obj::tuple(&[reader?, writer?])
    }

    fn watched_fds(&self) -> PyResult<Obj> {
        let is_watched =
            |owner: &Owner| matches!(owner, Owner::User(watchers) if !watchers.is_idle());
        let fds: Vec<usize> = self
            .registry
            .borrow()
            .iter()
            .filter_map(|(fd, owner)| is_watched(owner).then_some(fd))
            .collect();
        Obj::list(&fds.into_iter().map(Obj::size).collect::<PyResult<Vec<_>>>()?)
    }

    fn add(&self, args: &Args<'_>, which: Side, function: &str, user: bool) -> PyResult<Obj> {
        let parameters = [&names().fd, &names().callback];
        let ([file, callback], rest, context) =
            args.leading(function, parameters, &names().context)?;
        if user && context.is_some() {
            return Err(Raised::type_error(&format!(
                "{function}() got an unexpected keyword argument 'context'"
            )));
        }
        let fd = fileno(file)?;
        if user {
            self.ensure_no_transport(file, fd)?;
        }
        self.check_closed()?;
        let core = Core::new(self, callback, rest, context)?;
        if self.debug.get() {
            core.trace()?;
        }
        let handle = Py::new(Handle(core))?;
        self.add_watcher(fd, which, Watcher::Callback(handle.clone()))?;
        if !file.is_int() {
            self.keep_file(fd, file);
        }
        Ok(if user { Obj::none() } else { handle.into_obj() })
    }

    fn remove(&self, file: &Obj, which: Side, user: bool) -> PyResult<bool> {
        let fd = if !file.is_int() && number(file)? < 0 {
            // A closed socket has no number any more, but may be known by itself.
            match self.watched_as(file) {
                Some(fd) => fd,
                None if self.is_closed() => return Ok(false),
                None => fileno(file)?,
            }
        } else {
            let fd = fileno(file)?;
            if user {
                self.ensure_no_transport(file, fd)?;
            }
            fd
        };
        match self.take_watcher(fd, which, |_| true) {
            Some(watcher) => dismiss(watcher).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Adds them to the table.
pub fn methods(methods: Methods<NativeLoop>) -> Methods<NativeLoop> {
    methods
        .args(
            c"add_reader",
            c"add_reader($self, fd, callback, *args)\n--\n\n\
              Call callback(*args) whenever the descriptor can be read.",
            |this: &Py<NativeLoop>, args: &Args<'_>| this.add(args, Side::Read, "add_reader", true),
        )
        .args(
            c"add_writer",
            c"add_writer($self, fd, callback, *args)\n--\n\n\
              Call callback(*args) whenever the descriptor can be written.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Write, "add_writer", true)
            },
        )
        .args(
            c"_add_reader",
            c"add_reader() for the loop's own use: returns the handle.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Read, "_add_reader", false)
            },
        )
        .args(
            c"_add_writer",
            c"add_writer() for the loop's own use: returns the handle.",
            |this: &Py<NativeLoop>, args: &Args<'_>| {
                this.add(args, Side::Write, "_add_writer", false)
            },
        )
        .named(
            c"remove_reader",
            c"remove_reader($self, fd)\n--\n\n\
              Stop watching the descriptor for reading; return True if it was watched.",
            || ("remove_reader", &names().fd),
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Read, true),
        )
        .named(
            c"remove_writer",
            c"remove_writer($self, fd)\n--\n\n\
              Stop watching the descriptor for writing; return True if it was watched.",
            || ("remove_writer", &names().fd),
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Write, true),
        )
        .one(
            c"_remove_reader",
            c"remove_reader() for the loop's own use.",
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Read, false),
        )
        .one(
            c"_remove_writer",
            c"remove_writer() for the loop's own use.",
            |this: &Py<NativeLoop>, file: &Obj| this.remove(file, Side::Write, false),
        )
        .one(
            c"_callbacks_of",
            c"Return a descriptor's (reader, writer) handles, None if it has none.",
            |this: &Py<NativeLoop>, file: &Obj| this.callbacks_of(fileno(file)?),
        )
        .noargs(
            c"_watched_fds",
            c"Return the descriptors that have a reader or writer.",
            |this: &Py<NativeLoop>| this.watched_fds(),
        )
        .one(
            c"_ensure_fd_no_transport",
            c"Raise RuntimeError if a transport uses the descriptor.",
            |this: &Py<NativeLoop>, file: &Obj| {
                fileno(file).and_then(|fd| this.ensure_no_transport(file, fd))
            },
        )
}
