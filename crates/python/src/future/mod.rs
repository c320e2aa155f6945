//! `batuta.Future`: `asyncio.Future`, native.
//!
//! Role: a real subclass of the interpreter's own `_asyncio.Future`, so that
//! `isinstance` holds everywhere, with its own state behind the base's, which
//! stays empty. [`FutureCore`] is what tasks share: they cannot extend this type,
//! because they extend `_asyncio.Task`.

mod callbacks;
mod core;
mod iter;
mod methods;
mod unbound;

use std::ffi::CStr;

use crate::asyncio::Asyncio;
use crate::combine::GatheringFuture;
use crate::ffi::method::{Methods, Properties, add_base_method};
use crate::ffi::native::{AssignedFn, InitFn, ReprFn, TypeCell, define};
use crate::ffi::{Args, NativeType, Obj, Py, PyResult, Raised, Visitor};
use crate::task::Task;

pub use self::callbacks::Callback;
pub use self::core::{FutureCore, Outcome, State};
pub use self::iter::FutureIter;
pub use self::methods::{methods, properties};
pub use self::unbound::{in_asyncios_words, prepare as lead_from_base};

/// A type that has a [`FutureCore`].
pub trait HasFuture: NativeType {
    /// The shared part.
    fn future(&self) -> &FutureCore;
    /// As what can be awaited.
    fn awaited(this: &Py<Self>) -> Awaited;
}

/// A native future, of whatever kind.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// A future.
    Future(Py<Future>),
    /// A task.
    Task(Py<Task>),
    /// What `gather()` returns.
    Gathering(Py<GatheringFuture>),
}

impl Awaited {
    /// Looks at an object that is exactly of one of the native types: no subclass
    /// has changed what its methods do.
    #[inline]
    pub fn from_exact(object: &Obj) -> Option<Self> {
        if let Some(future) = Py::<Future>::from_exact(object) {
            return Some(Self::Future(future.clone()));
        }
        if let Some(task) = Py::<Task>::from_exact(object) {
            return Some(Self::Task(task.clone()));
        }
        Py::<GatheringFuture>::from_exact(object).map(|outer| Self::Gathering(outer.clone()))
    }

    /// Looks at an object whose methods may have been replaced: `method` of the native class
    /// is called as a function.
    fn expect(object: &Obj, method: &str) -> PyResult<Self> {
        if let Some(future) = Py::<Future>::from_instance(object) {
            return Ok(Self::Future(future.clone()));
        }
        if let Some(task) = Py::<Task>::from_instance(object) {
            return Ok(Self::Task(task.clone()));
        }
        if let Some(outer) = Py::<GatheringFuture>::from_instance(object) {
            return Ok(Self::Gathering(outer.clone()));
        }
        let class = object.type_name();
        Err(Raised::type_error(&format!(
            "{method}() of a native Future does not apply to a '{class}' object"
        )))
    }

    /// The shared part.
    #[inline]
    pub fn core(&self) -> &FutureCore {
        match self {
            Self::Future(future) => future.future(),
            Self::Task(task) => task.future(),
            Self::Gathering(outer) => outer.future(),
        }
    }

    /// As any object.
    #[inline]
    pub fn as_obj(&self) -> &Obj {
        match self {
            Self::Future(future) => future.as_obj(),
            Self::Task(task) => task.as_obj(),
            Self::Gathering(outer) => outer.as_obj(),
        }
    }
}

/// `batuta.Future`.
#[derive(Debug, Default)]
pub struct Future(FutureCore);

static FUTURE: TypeCell = TypeCell::new();

impl Future {
    /// A future for a native loop.
    pub fn make(event_loop: &Py<crate::event_loop::NativeLoop>) -> PyResult<Py<Self>> {
        let future = Py::new(Self::default())?;
        future.0.init_native(event_loop)?;
        Ok(future)
    }

    /// Makes the class, a subclass of `base`, which is `_asyncio.Future`.
    pub fn define(base: &Obj) -> PyResult<Obj> {
        let class = define::<Self>(Some(base))?;
        // A task is no instance of this class, but `Future.set_result(task, …)`
        // means a task's outcome as it does with the interpreter's own classes.
        add_base_method(&class, base, c"set_result", SET_RESULT, |this: &Obj, result: &Obj| {
            let awaited = Awaited::expect(this, "set_result")?;
            awaited.core().check_alive()?;
            awaited.core().set_result(this, result)
        })?;
        add_base_method(&class, base, c"set_exception", SET_EXCEPTION, |this, exception| {
            let awaited = Awaited::expect(this, "set_exception")?;
            awaited.core().check_alive()?;
            awaited.core().set_exception(this, exception)
        })?;
        Ok(class)
    }

    fn init(this: &Py<Self>, args: &Args<'_>) -> PyResult<()> {
        let event_loop = args.only_named("Future", [&Asyncio::get().loop_name]);
        let [event_loop] = event_loop.map_err(|raised| {
            in_asyncios_words(&Asyncio::get().future, c"__init__", args, raised)
        })?;
        this.0.init(this.as_obj(), event_loop)
    }

    fn finalize(this: &Py<Self>) {
        if let Err(raised) = this.0.finalize(this.as_obj()) {
            raised.unraisable(this.as_obj());
        }
    }
}

/// The message of `cancel(msg=None)`.
pub fn cancel_arguments<'a>(args: &Args<'a>) -> PyResult<[Option<&'a Obj>; 1]> {
    args.bind("cancel", 0, [&crate::asyncio::names().msg])
        .map_err(|raised| in_asyncios_words(&Asyncio::get().future, c"cancel", args, raised))
}

impl HasFuture for Future {
    #[inline]
    fn future(&self) -> &FutureCore {
        &self.0
    }

    fn awaited(this: &Py<Self>) -> Awaited {
        Awaited::Future(this.clone())
    }
}

impl NativeType for Future {
    const NAME: &'static CStr = c"batuta._batuta.Future";
    const DOC: &'static CStr =
        c"Future(*, loop=None)\n--\n\nA result that is not there yet. See asyncio.Future.";
    const SUBCLASSABLE: bool = true;
    const CHAINED: bool = true;
    const POOL: usize = 1024;
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = Some(|| Ok(Self::default()));
    const INIT: Option<InitFn<Self>> = Some(Self::init);
    const ITERATE: Option<ReprFn<Self>> = Some(|this| FutureIter::make(Self::awaited(this)));
    const ASSIGNED: Option<AssignedFn<Self>> = Some(|this, name| this.0.assigned(name));
    const FINALIZE: Option<fn(&Py<Self>)> = Some(Self::finalize);
    const REPR: Option<ReprFn<Self>> = Some(|this| {
        this.0.check_alive()?;
        Asyncio::get().future_repr.call1(this.as_obj())
    });

    fn cell() -> &'static TypeCell {
        &FUTURE
    }

    fn traverse(&self, visitor: &mut Visitor) {
        self.0.traverse(visitor);
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn ends_quietly(&self) -> bool {
        !self.0.log_traceback()
    }

    fn methods() -> Methods<Self> {
        methods(Methods::new()).args(c"cancel", CANCEL, |this: &Py<Self>, args: &Args<'_>| {
            this.0.check_alive()?;
            let [message] = cancel_arguments(args)?;
            this.0.cancel(this.as_obj(), message.cloned())
        })
    }

    fn properties() -> Properties<Self> {
        properties(Properties::new())
    }
}

/// `Future.set_result.__doc__`.
pub const SET_RESULT: &CStr = c"set_result($self, result, /)\n--\n\n\
    Mark the future done and set its result.";
/// `Future.set_exception.__doc__`.
pub const SET_EXCEPTION: &CStr = c"set_exception($self, exception, /)\n--\n\n\
    Mark the future done and set an exception.";
/// `Future.cancel.__doc__`.
pub const CANCEL: &CStr = c"cancel($self, /, msg=None)\n--\n\n\
    Cancel the future and schedule its callbacks; return False if it is done already.";
