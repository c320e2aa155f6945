//! The C functions of detours.
//!
//! A descriptor tells its function nothing of itself, so there is one function for each place
//! of a table; only those of properties are told.
//!
//! What CPython meant for the original function is handed to it as it came.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3_ffi as py;

use super::super::args::Args;
use super::super::error::Raised;
use super::super::exit::surviving;
use super::super::gil::Global;
use super::super::method::to_ptr;
use super::super::object::Obj;
use super::super::panic::guard;
use super::Detour;

/// How many functions of one kind there may be.
const MOST: usize = 32;

/// The detours of one kind of function: the function with the number N looks in place N.
type Table = [Global<Detour>; MOST];

static PLAIN: Table = [const { Global::new() }; MOST];
static FAST: Table = [const { Global::new() }; MOST];
static OF_CLASS: Table = [const { Global::new() }; MOST];
static UNARY: Table = [const { Global::new() }; MOST];
static INIT: Table = [const { Global::new() }; MOST];
static FINALIZE: Table = [const { Global::new() }; MOST];

/// The instances of a function that has a number.
macro_rules! numbered {
    ($function:ident) => {
        numbered!($function:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    ($function:ident: $($number:literal)*) => {
        [$($function::<$number> as *mut c_void),*]
    };
}

/// Puts a detour into a table, and gives the function that looks there; nothing if it is full.
fn enter(table: &Table, functions: &[*mut c_void; MOST], detour: Detour) -> Option<*mut c_void> {
    let place = table.iter().position(|place| place.try_get().is_none())?;
    table[place].set(detour);
    Some(functions[place])
}

/// A function like the original one of a method without arguments or with one.
pub(super) fn plain_for(detour: Detour) -> Option<*mut c_void> {
    enter(&PLAIN, &numbered!(plain), detour)
}

/// One for vectorcall's arguments.
pub(super) fn fast_for(detour: Detour) -> Option<*mut c_void> {
    enter(&FAST, &numbered!(fast), detour)
}

/// One that is also told by which class it was defined.
pub(super) fn of_class_for(detour: Detour) -> Option<*mut c_void> {
    enter(&OF_CLASS, &numbered!(of_class), detour)
}

/// One for `tp_repr` and the like.
pub(super) fn unary_for(detour: Detour) -> Option<*mut c_void> {
    enter(&UNARY, &numbered!(unary), detour)
}

/// One for `tp_init`.
pub(super) fn init_for(detour: Detour) -> Option<*mut c_void> {
    enter(&INIT, &numbered!(init), detour)
}

/// One for `tp_finalize`.
pub(super) fn finalize_for(detour: Detour) -> Option<*mut c_void> {
    enter(&FINALIZE, &numbered!(finalize), detour)
}

type Plain = unsafe extern "C-unwind" fn(
    this: *mut py::PyObject,
    arg: *mut py::PyObject,
) -> *mut py::PyObject;

/// Without arguments (then `arg` is null) or with one.
unsafe extern "C" fn plain<const N: usize>(
    this: *mut py::PyObject,
    arg: *mut py::PyObject,
) -> *mut py::PyObject {
    let detour = PLAIN[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: a function of this type, with the arguments that were meant for it.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, Plain>(detour.original);
            surviving(|| original(this, arg))
        };
    };
    guard(ptr::null_mut(), || {
        // SAFETY: live objects, or null where there is no argument.
        unsafe {
            let this = Obj::view(&this);
            to_ptr(if arg.is_null() { to.call1(this) } else { to.call2(this, Obj::view(&arg)) })
        }
    })
}

type Fast = unsafe extern "C-unwind" fn(
    this: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject;

unsafe extern "C" fn fast<const N: usize>(
    this: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject {
    let detour = FAST[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: as above.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, Fast>(detour.original);
            surviving(|| original(this, args, nargs, names))
        };
    };
    // SAFETY: what CPython passes.
    unsafe { forward(to, this, args, nargs, names) }
}

type OfClass = unsafe extern "C-unwind" fn(
    this: *mut py::PyObject,
    class: *mut py::PyTypeObject,
    args: *const *mut py::PyObject,
    nargs: usize,
    names: *mut py::PyObject,
) -> *mut py::PyObject;

/// What is also told by which class it was defined.
unsafe extern "C" fn of_class<const N: usize>(
    this: *mut py::PyObject,
    class: *mut py::PyTypeObject,
    args: *const *mut py::PyObject,
    nargs: usize,
    names: *mut py::PyObject,
) -> *mut py::PyObject {
    let detour = OF_CLASS[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: as above.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, OfClass>(detour.original);
            surviving(|| original(this, class, args, nargs, names))
        };
    };
    // SAFETY: what CPython passes.
    unsafe { forward(to, this, args, nargs.cast_signed(), names) }
}

/// `to(this, *args, **kwargs)`.
///
/// # Safety
/// A live object, and arguments as vectorcall defines them.
unsafe fn forward(
    to: &Obj,
    this: *mut py::PyObject,
    args: *const *mut py::PyObject,
    nargs: py::Py_ssize_t,
    names: *mut py::PyObject,
) -> *mut py::PyObject {
    guard(ptr::null_mut(), || {
        // SAFETY: says the caller.
        unsafe { to_ptr(Args::new(args, nargs, names).forward(to, Obj::view(&this))) }
    })
}

type Unary = unsafe extern "C-unwind" fn(this: *mut py::PyObject) -> *mut py::PyObject;

unsafe extern "C" fn unary<const N: usize>(this: *mut py::PyObject) -> *mut py::PyObject {
    let detour = UNARY[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: as above.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, Unary>(detour.original);
            surviving(|| original(this))
        };
    };
    // SAFETY: a live object.
    guard(ptr::null_mut(), || to_ptr(to.call1(unsafe { Obj::view(&this) })))
}

type Init = unsafe extern "C-unwind" fn(
    this: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> c_int;

unsafe extern "C" fn init<const N: usize>(
    this: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> c_int {
    let detour = INIT[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: as above.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, Init>(detour.original);
            surviving(|| original(this, args, kwargs))
        };
    };
    guard(-1, || {
        // SAFETY: a live object, a tuple, and a dict or null.
        let done = unsafe {
            let this = Obj::view(&this);
            Args::with_dict(args, kwargs, |args| args.forward(to, this))
        };
        done.map_or(-1, |_| 0)
    })
}

type Finalize = unsafe extern "C-unwind" fn(this: *mut py::PyObject);

unsafe extern "C" fn finalize<const N: usize>(this: *mut py::PyObject) {
    let detour = FINALIZE[N].get();
    let Some(to) = detour.of(this) else {
        // SAFETY: as above.
        return unsafe {
            let original = std::mem::transmute::<*mut c_void, Finalize>(detour.original);
            surviving(|| original(this));
        };
    };
    guard((), || {
        // SAFETY: a live object.
        let this = unsafe { Obj::view(&this) };
        if let Err(raised) = to.call1(this) {
            raised.unraisable(this);
        }
    });
}

type Get =
    unsafe extern "C-unwind" fn(this: *mut py::PyObject, closure: *mut c_void) -> *mut py::PyObject;

pub(super) unsafe extern "C" fn get(
    this: *mut py::PyObject,
    closure: *mut c_void,
) -> *mut py::PyObject {
    // SAFETY: the closure is a leaked detour.
    let detour = unsafe { &*closure.cast::<Detour>() };
    if let Some(to) = detour.of(this) {
        // SAFETY: a live object.
        return guard(ptr::null_mut(), || to_ptr(to.bound_to(unsafe { Obj::view(&this) })));
    }
    // SAFETY: the original is a definition with a getter; its own closure goes with it.
    unsafe {
        let original = detour.original.cast::<py::PyGetSetDef>();
        match (*original).get {
            Some(get) => {
                let get = std::mem::transmute::<py::getter, Get>(get);
                surviving(|| get(this, (*original).closure))
            }
            None => ptr::null_mut(),
        }
    }
}

type Set = unsafe extern "C-unwind" fn(
    this: *mut py::PyObject,
    value: *mut py::PyObject,
    closure: *mut c_void,
) -> c_int;

pub(super) unsafe extern "C" fn set(
    this: *mut py::PyObject,
    value: *mut py::PyObject,
    closure: *mut c_void,
) -> c_int {
    // SAFETY: the closure is a leaked detour.
    let detour = unsafe { &*closure.cast::<Detour>() };
    if let Some(to) = detour.of(this) {
        return guard(-1, || {
            // SAFETY: a property, an instance, and a value or null, which means `del`.
            unsafe {
                if let Some(set) = (*to.type_ptr()).tp_descr_set {
                    return set(to.as_ptr(), this, value);
                }
                let _raised = Raised::attribute_error("attribute is not writable");
                -1
            }
        });
    }
    // SAFETY: the original is a definition with a setter; its own closure goes with it.
    unsafe {
        let original = detour.original.cast::<py::PyGetSetDef>();
        match (*original).set {
            Some(set) => {
                let set = std::mem::transmute::<py::setter, Set>(set);
                surviving(|| set(this, value, (*original).closure))
            }
            None => -1,
        }
    }
}
