//! What a program has replaced in asyncio's own `Handle` and `BaseEventLoop`.
//!
//! Role: who looks for slow callbacks wraps `asyncio.Handle._run()`, tracers and frameworks wrap
//! methods of `asyncio.BaseEventLoop`. asyncio's loop calls the one for everything that it runs, and
//! inherits the others; ours runs most entries without a handle, and its own methods come first.
//!
//! So the class of handles is looked at whenever it has changed, at the beginning of a turn, and
//! while its `_run()` is not asyncio's, each entry gets a handle for it. What stands in
//! `BaseEventLoop` is the business of `batuta.base_patches`, which is asked when the loop's class,
//! its bases included, has changed.
//!
//! A function counts as asyncio's as long as its code does: some tools put other code into it.
//!
//! Thread: the loop's.

use std::cell::Cell;
use std::num::NonZeroU32;

use crate::asyncio::{Asyncio, names};
use crate::ffi::{Obj, Py, PyResult, Slot, Visitor};
use crate::handle::foreign_is_cancelled;
use crate::task::settle;

use super::by_hand::with_handle;
use super::{NativeLoop, Ready};

/// `asyncio.Handle._run`, as it was at import.
#[derive(Debug)]
pub struct HandleRun {
    /// `asyncio.Handle`
    class: Obj,
    /// Its `_run()` and the code of that; nothing where somebody had replaced it already.
    original: Option<(Obj, Obj)>,
}

impl HandleRun {
    /// Looks at the class of handles.
    pub fn load(class: Obj) -> PyResult<Self> {
        let run = class.attr(c"_run")?;
        let code = run.attr_or_none(c"__code__")?;
        let name = code.attr_or_none(c"co_qualname")?;
        let original = name.equals(&Obj::str("Handle._run")?)?.then_some((run, code));
        Ok(Self { class, original })
    }

    /// What stands in its place now, if anything.
    fn replaced(&self) -> PyResult<Option<Obj>> {
        let run = self.class.getattr(&names()._run)?;
        if let Some((own, code)) = &self.original
            && run.is(own)
            && run.attr(c"__code__")?.is(code)
        {
            return Ok(None);
        }
        Ok(Some(run))
    }
}

/// What a loop has found.
#[derive(Debug, Default)]
pub struct Replaced {
    /// By what handles are run, if not by asyncio's `Handle._run()`.
    run: Slot,
    /// The version of the class of handles in which that was looked for.
    handles: Cell<Option<NonZeroU32>>,
    /// The version of the loop's class in which its bases were looked at.
    bases: Cell<Option<NonZeroU32>>,
}

impl Replaced {
    /// Looks anew in the next turn.
    pub fn forget(&self) {
        self.handles.set(None);
    }

    /// Whether handles are run by the program's own function.
    #[inline]
    pub fn runs_handles(&self) -> bool {
        self.run.is_some()
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.run);
    }

    /// Lets go of it.
    pub fn clear(&self) {
        self.run.set(None);
    }
}

impl Py<NativeLoop> {
    /// Looks whether handles are run by asyncio's own function, if their class has changed.
    #[inline]
    pub(super) fn look_at_handles(&self) -> PyResult<()> {
        let version = Asyncio::get().handle_run.class.version_as_class();
        if version.is_some() && version == self.replaced.handles.get() {
            return Ok(());
        }
        self.look_at_changed_handles()
    }

    #[cold]
    fn look_at_changed_handles(&self) -> PyResult<()> {
        let handle_run = &Asyncio::get().handle_run;
        let run = handle_run.replaced()?;
        self.replaced.run.set(run);
        self.replaced.handles.set(handle_run.class.version_as_class());
        Ok(())
    }

    /// Has the program's own function run one entry.
    #[cold]
    pub(super) fn dispatch_by_program(&self, entry: Ready) -> PyResult<()> {
        settle(self)?;
        let entry = with_handle(self, entry)?;
        let (Some(run), Some(handle)) = (self.replaced.run.get(), entry.handle()) else {
            return self.dispatch_other(entry);
        };
        if foreign_is_cancelled(&handle)? {
            return Ok(());
        }
        let body = || match entry {
            // Its class may have a `_run()` of its own.
            Ready::Foreign(_) => handle.call_method0(&names()._run).map(drop),
            _ => run.call1(&handle).map(drop),
        };
        if self.debug.get() {
            return self.watched(Some(&handle), || NativeLoop::describe_handle(&handle), body);
        }
        body()
    }
}

impl NativeLoop {
    /// Has the loop's class show what a program has put into asyncio's.
    #[cold]
    pub(super) fn look_at_bases(this: &Py<Self>) -> PyResult<()> {
        let version = this.as_obj().class_version();
        if version.is_some() && version == this.replaced.bases.get() {
            return Ok(());
        }
        let look = this.as_obj().attr_or_none(c"_adopt_patches")?;
        if !look.is_none() {
            look.call0()?;
        }
        this.replaced.bases.set(this.as_obj().class_version());
        Ok(())
    }
}
