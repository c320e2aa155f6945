//! Methods and properties that futures and tasks have alike.

use crate::asyncio::{Asyncio, names};
use crate::ffi::method::{Methods, Properties};
use crate::ffi::{Args, Obj, Py, PyResult, Raised, context};

use super::core::State;
use super::{Callback, HasFuture, in_asyncios_words};

fn add_done_callback<T: HasFuture>(this: &Py<T>, args: &Args<'_>) -> PyResult<()> {
    let core = this.future();
    let given = args
        .first::<1>("add_done_callback")
        .and_then(|first| Ok((first, args.only_keyword("add_done_callback", &names().context)?)));
    let ([callback], context) = given.map_err(|raised| {
        in_asyncios_words(&Asyncio::get().future, c"add_done_callback", args, raised)
    })?;
    if !core.is_alive() {
        return Err(Raised::runtime_error("uninitialized Future object"));
    }
    let context = match context {
        Some(context) => context.clone(),
        None => context::copy_current()?,
    };
    core.add_callback(this.as_obj(), Callback::new(callback, context))
}

/// Adds the shared methods to a table.
pub fn methods<T: HasFuture>(methods: Methods<T>) -> Methods<T> {
    methods
        .noargs(
            c"result",
            c"result($self, /)\n--\n\nReturn the result, or raise the exception that was set.",
            |this: &Py<T>| this.future().result(),
        )
        .noargs(c"exception", c"exception($self, /)\n--\n\nReturn the exception that was set, or None.", |this: &Py<T>| {
            this.future().exception()
        })
        .noargs(c"cancelled", c"cancelled($self, /)\n--\n\nReturn True if it was cancelled.", |this: &Py<T>| {
            Ok(this.future().state() == State::Cancelled)
        })
        .noargs(
            c"done",
            c"done($self, /)\n--\n\nReturn True if there is a result or an exception, or it was cancelled.",
            |this: &Py<T>| Ok(!this.future().is_pending()),
        )
        .noargs(c"get_loop", c"get_loop($self, /)\n--\n\nReturn the event loop it is bound to.", |this: &Py<T>| {
            this.future().event_loop()
        })
        .args(
            c"add_done_callback",
            c"add_done_callback($self, fn, /, *, context=<unrepresentable>)\n--\n\n\
              Call fn(self) in the loop when it is done, or soon if it is done already.",
            add_done_callback::<T>,
        )
        .one(
            c"remove_done_callback",
            c"remove_done_callback($self, fn, /)\n--\n\n\
              Remove all callbacks that equal fn; return how many there were.",
            |this: &Py<T>, function: &Obj| {
                this.future().check_alive()?;
                this.future().remove_callbacks(function)
            },
        )
        .noargs(
            c"_make_cancelled_error",
            c"_make_cancelled_error($self, /)\n--\n\nReturn the CancelledError to raise, once.",
            |this: &Py<T>| this.future().make_cancelled_error(),
        )
}

/// Adds the shared properties to a table.
pub fn properties<T: HasFuture>(properties: Properties<T>) -> Properties<T> {
    properties
        .get(c"_state", |this: &Py<T>| {
            this.future().check_alive()?;
            Obj::str(this.future().state().name())
        })
        .get_set(
            c"_asyncio_future_blocking",
            |this: &Py<T>| Ok(this.future().blocking.get()),
            |this: &Py<T>, value: &Obj| {
                this.future().check_alive()?;
                this.future().blocking.set(value.is_true()?);
                Ok(())
            },
        )
        .get(c"_loop", |this: &Py<T>| Ok(this.future().event_loop.get()))
        .get(c"_callbacks", |this: &Py<T>| {
            this.future().check_alive()?;
            this.future().callbacks_list()
        })
        .get(c"_result", |this: &Py<T>| {
            this.future().check_alive()?;
            Ok(this.future().result.get())
        })
        .get(c"_exception", |this: &Py<T>| {
            this.future().check_alive()?;
            Ok(this.future().exception.get())
        })
        .get_set(
            c"_log_traceback",
            |this: &Py<T>| {
                this.future().check_alive()?;
                Ok(this.future().log_traceback.get())
            },
            |this: &Py<T>, value: &Obj| {
                if value.is_true()? {
                    return Err(Raised::value_error("_log_traceback can only be set to False"));
                }
                this.future().log_traceback.set(false);
                Ok(())
            },
        )
        .get(c"_source_traceback", |this: &Py<T>| Ok(this.future().source_traceback.get()))
        .get_set(
            c"_cancel_message",
            |this: &Py<T>| Ok(this.future().cancel_message.get()),
            |this: &Py<T>, value: &Obj| {
                this.future().cancel_message.set(Some(value.clone()));
                Ok(())
            },
        )
}
