//! Where a context keeps its variables, and a thread its current context.
//!
//! Role: two contexts have the same variables with the same values if they hold the same
//! immutable mapping, which a copy does until something is set in it. To see that takes two
//! fields of the interpreter's that no function tells. They are found by example: contexts are
//! copied, changed and entered, and the fields are those in which just that shows. Where not
//! exactly one place fits, nothing is known, and whoever asks does without.
//!
//! Thread: the interpreter's lock guards everything.

use std::ptr::NonNull;

use pyo3_ffi as py;

use super::super::error::PyResult;
use super::super::gil::Global;
use super::super::module::import;
use super::super::object::Obj;
use super::{copy, copy_current, is_context, run_in};

/// No supported Python's thread state is smaller, in bytes: 3.11 has 360, 3.12 288, 3.13 304, and
/// later ones more.
const LEAST_THREAD_STATE: usize = 280;

const WORD: usize = size_of::<usize>();

/// The head of an object, in words.
const HEAD: usize = size_of::<py::PyObject>() / WORD;

#[derive(Clone, Copy, Debug)]
struct Fields {
    /// In a thread state, in words.
    current: usize,
    /// In a context, in words.
    variables: usize,
}

static FIELDS: Global<Option<Fields>> = Global::new();

/// The identity of a context's variables; the same for two contexts if all are the same.
/// Valid as long as one of the contexts lives and is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variables(NonNull<()>);

/// Finds the fields.
pub fn load() {
    let found = find().unwrap_or_else(|raised| {
        raised.clear();
        None
    });
    FIELDS.set(found);
}

impl Variables {
    /// Those of the context that this thread is in; nothing where that cannot be told, or where
    /// it has never been in any.
    #[inline]
    pub fn current() -> Option<Self> {
        let fields = (*FIELDS.get())?;
        let current = state_word(fields.current);
        // SAFETY: the field was found to hold the current context, which the thread keeps alive.
        unsafe { Self::within(current as *const usize, fields) }
    }

    /// Those of a context; nothing where that cannot be told.
    #[inline]
    pub fn of(context: &Obj) -> Option<Self> {
        let fields = (*FIELDS.get())?;
        // SAFETY: says the type, which nobody can extend.
        unsafe { is_context(context).then(|| Self::within(context.as_ptr().cast(), fields))? }
    }

    /// # Safety
    /// `context` is null or a context that lives.
    #[inline]
    unsafe fn within(context: *const usize, fields: Fields) -> Option<Self> {
        if context.is_null() {
            return None;
        }
        // SAFETY: the field lies within every context.
        let variables = unsafe { context.add(fields.variables).read() };
        NonNull::new(variables as *mut ()).map(Self)
    }
}

/// A word of the state of this thread. `index` is less than [`LEAST_THREAD_STATE`] in words.
#[inline]
fn state_word(index: usize) -> usize {
    // SAFETY: the lock is held, so there is a state; it is at least so large, and every byte of it
    // was set when it was made.
    unsafe { py::PyThreadState_Get().cast::<usize>().add(index).read() }
}

/// A context's own words. One that has padding in it may be anything, so that it may only be
/// taken for a field if the others say so, too: see [`find`].
fn words(context: &Obj) -> Vec<usize> {
    // SAFETY: an object has its type's size. Its memory comes from the interpreter's allocator, of
    // which the compiler knows nothing, so that padding has some value, whichever it is.
    unsafe {
        let size = (*context.type_ptr()).tp_basicsize.cast_unsigned() / WORD;
        let start = context.as_ptr().cast::<usize>();
        (0..size).map(|index| start.add(index).read_volatile()).collect()
    }
}

fn only(mut places: impl Iterator<Item = usize>) -> Option<usize> {
    let place = places.next()?;
    places.next().is_none().then_some(place)
}

fn find() -> PyResult<Option<Fields>> {
    let variable = import(c"contextvars")?.attr(c"ContextVar")?.call1(&Obj::str("example")?)?;
    let changed = copy_current()?;
    let kept = copy(&changed)?;
    let before = words(&changed).into_iter().zip(words(&kept));
    run_in(&changed, || variable.attr(c"set")?.call1(&Obj::none()))?;
    let after = words(&changed).into_iter().zip(words(&kept));
    let variables = only(before.zip(after).enumerate().skip(HEAD).filter_map(
        |(place, ((changed, kept), (changed_now, kept_now)))| {
            let alone = changed != 0 && changed == kept && kept == kept_now && kept != changed_now;
            alone.then_some(place)
        },
    ));
    let entered = |context: &Obj| {
        run_in(context, || {
            let address = context.as_ptr().addr();
            Ok((0..LEAST_THREAD_STATE / WORD).filter(|at| state_word(*at) == address).collect())
        })
    };
    let (one, two): (Vec<usize>, Vec<usize>) = (entered(&changed)?, entered(&kept)?);
    let left = |at: &usize| {
        ![&changed, &kept].iter().any(|context| state_word(*at) == context.as_ptr().addr())
    };
    let current = only(one.into_iter().filter(|at| two.contains(at) && left(at)));
    Ok(variables.zip(current).map(|(variables, current)| Fields { current, variables }))
}
