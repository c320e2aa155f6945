//! Native types: a Rust struct behind a Python object, possibly behind a Python
//! base class whose size is known only at run time.
//!
//! Layout of an instance, from low to high addresses:
//!
//! ```text
//! [ base object, base.tp_basicsize bytes ][ T ][ __dict__ ][ __weakref__ ]
//! ```
//!
//! Ownership: the Python object owns `T`; it is written when the object is made
//! and dropped in `tp_dealloc`. `&T` is handed out freely, `&mut T` never, so `T`
//! keeps its changing parts in cells and slots.
//!
//! Bases: `object`, or a Python class that has `__slots__`. The fields of such a
//! base stay empty (its names are shadowed by properties of the native type), so
//! nothing of the base needs releasing. Or, with [`NativeType::CHAINED`], a C class
//! with memory of its own (`base.rs`): its fields stay zeroed, its `__init__` is
//! never called, and its own functions release what CPython may put there.
//!
//! Pool: a type may keep a few dead instances to be reused. A dead instance is
//! untracked, its `T` dropped, its weak references cleared, its base zeroed; only
//! instances of exactly the native type (no subclass) whose finalizer never ran go
//! there.
//!
//! Files: `define` makes the type object, `life` is memory, collector and end of an
//! instance, `rooted` what the collector need not see, `slots` what else CPython calls.

mod define;
mod life;
mod rooted;
mod slots;

use std::cell::{Cell, UnsafeCell};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::ops::Deref;
use std::ptr::{self, NonNull};

use pyo3_ffi as py;

use super::args::Args;
use super::call::Sent;
use super::error::PyResult;
use super::method::{Methods, Properties};
use super::object::Obj;
use super::slot::Visitor;

pub use define::define;
pub use life::trim_pool;
pub use rooted::Rooted;
pub use slots::sent_or_stop;

/// `__repr__`.
pub type ReprFn<T> = fn(&Py<T>) -> PyResult<Obj>;
/// `__call__`.
pub type CallFn<T> = fn(&Py<T>, &Args<'_>) -> PyResult<Obj>;
/// `__init__`.
pub type InitFn<T> = fn(&Py<T>, &Args<'_>) -> PyResult<()>;
/// `send`.
pub type SendFn<T> = fn(&Py<T>, &Obj) -> PyResult<Sent>;

/// Says whether it may be awaited.
pub type AwaitFn<T> = fn(&Py<T>) -> PyResult<()>;

/// Told of the attribute with this name.
pub type AssignedFn<T> = fn(&Py<T>, &Obj);

/// What makes a Rust struct a Python type.
pub trait NativeType: Sized + 'static {
    /// Dotted name, as `__module__` and `__qualname__`.
    const NAME: &'static CStr;
    /// Docstring.
    const DOC: &'static CStr;
    /// Whether Python classes may extend it.
    const SUBCLASSABLE: bool = false;
    /// Whether instances take attributes and weak references of their own (their
    /// base does not provide for it).
    const OPEN: bool = false;
    /// Whether instances take weak references, though no attributes of their own.
    const WEAK: bool = false;
    /// How many dead instances are kept for reuse at most: see [`trim_pool`].
    const POOL: usize = 0;
    /// How Python code makes one; without it only Rust code can.
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = None;
    /// Whether the base is a C class that manages memory of its own, such as its
    /// instances' `__dict__` and weak references. Goes without `OPEN`.
    const CHAINED: bool = false;
    /// `__init__`; without it the base's, if it has one.
    const INIT: Option<InitFn<Self>> = None;
    /// `__await__` and `__iter__`, for what is not its own iterator.
    const ITERATE: Option<ReprFn<Self>> = None;
    /// `__del__`.
    const FINALIZE: Option<fn(&Py<Self>)> = None;
    /// Told of an attribute that was set or deleted.
    const ASSIGNED: Option<AssignedFn<Self>> = None;
    /// `__repr__`.
    const REPR: Option<ReprFn<Self>> = None;
    /// `__call__`.
    const CALL: Option<CallFn<Self>> = None;
    /// `send`, for what can be awaited: it is its own `__await__` and iterator.
    const SEND: Option<SendFn<Self>> = None;
    /// Whether what has [`NativeType::SEND`] is a coroutine: it has no method `__iter__`, and only
    /// `yield from` in a generator-based coroutine may go through it.
    const IS_COROUTINE: bool = false;
    /// What may forbid to await it.
    const AWAIT: Option<AwaitFn<Self>> = None;

    /// Where the type object is kept.
    fn cell() -> &'static TypeCell;
    /// Shows every object that `self` holds to the collector.
    fn traverse(&self, visitor: &mut Visitor);
    /// Lets go of what may form cycles.
    fn clear(&self);
    /// Whether `__del__` has nothing to do; then it is not called, and the instance may
    /// go into the pool.
    fn ends_quietly(&self) -> bool {
        false
    }
    /// Told before an instance goes into the pool: takes back what the type has put into
    /// its base.
    fn retire(_this: &Py<Self>) {}
    /// The methods.
    fn methods() -> Methods<Self>;
    /// The properties.
    fn properties() -> Properties<Self>;
}

/// The type object of one native type, once it has been made.
#[derive(Debug)]
pub struct TypeCell {
    class: Cell<*mut py::PyTypeObject>,
    offset: Cell<usize>,
    base: Cell<*mut py::PyTypeObject>,
    pool: UnsafeCell<Vec<*mut py::PyObject>>,
}

// SAFETY: touched only under the interpreter's lock, of which there is one.
unsafe impl Sync for TypeCell {}

impl TypeCell {
    /// An empty cell.
    pub const fn new() -> Self {
        Self {
            class: Cell::new(ptr::null_mut()),
            offset: Cell::new(0),
            base: Cell::new(ptr::null_mut()),
            pool: UnsafeCell::new(Vec::new()),
        }
    }

    /// The type object, null before [`define`].
    #[inline]
    pub fn class(&self) -> *mut py::PyTypeObject {
        self.class.get()
    }
}

/// A reference to an instance of `T` (or of a Python subclass of it).
#[repr(transparent)]
#[derive(Debug)]
pub struct Py<T>(Obj, PhantomData<T>);

impl<T> Clone for Py<T> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<T: NativeType> Deref for Py<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: an instance of `T`, whose `T` stands at the type's offset and
        // is alive as long as the object.
        unsafe { &*place::<T>(self.0.as_ptr()) }
    }
}

impl<T: NativeType> Py<T> {
    /// Makes an instance of exactly the native type.
    #[inline]
    pub fn new(value: T) -> PyResult<Self> {
        // SAFETY: the type is complete; what is in its pool are dead instances, which come
        // back to life untracked.
        unsafe {
            match life::take_dead::<T>() {
                Some(dead) => {
                    let instance = life::revive(dead, value)?;
                    py::PyObject_GC_Track(instance.as_obj().as_ptr().cast());
                    Ok(instance)
                }
                None => life::allocate(T::cell().class(), value),
            }
        }
    }

    /// Makes an instance of `class`, a Python class that extends the native type,
    /// without calling its `__init__`.
    pub fn new_in(class: &Obj, value: T) -> PyResult<Self> {
        let native = T::cell().class();
        // SAFETY: the object is alive, and a class before its bases are looked at.
        let suits = unsafe {
            py::PyType_Check(class.as_ptr()) == 1
                && py::PyType_IsSubtype(class.as_ptr().cast(), native) == 1
        };
        if !suits {
            return Err(super::error::Raised::type_error(
                "not a class that extends the native one",
            ));
        }
        // SAFETY: as just checked.
        unsafe { life::allocate(class.as_ptr().cast(), value) }
    }

    /// Whether the instance of an open type has been given attributes of its own.
    #[inline]
    pub fn has_attributes(&self) -> bool {
        // SAFETY: the place of an open type's `__dict__`, which is null until it is needed.
        T::OPEN && unsafe { !(*dict_place::<T>(self.0.as_ptr())).is_null() }
    }

    /// As any object.
    #[inline]
    pub fn as_obj(&self) -> &Obj {
        &self.0
    }

    /// As any object, owned.
    #[inline]
    pub fn into_obj(self) -> Obj {
        self.0
    }

    /// Looks at a pointer as at an instance.
    ///
    /// # Safety
    /// `place` holds a live instance of `T` for as long as it is borrowed.
    #[inline]
    pub(super) unsafe fn view(place: &*mut py::PyObject) -> &Self {
        // SAFETY: `Py` is a transparent non-null pointer.
        unsafe { &*ptr::from_ref(place).cast::<Self>() }
    }

    /// Takes an object to be an instance.
    ///
    /// # Safety
    /// It is an instance of `T` or of a subclass.
    #[inline]
    pub(super) unsafe fn from_obj_unchecked(object: Obj) -> Self {
        Self(object, PhantomData)
    }

    /// Takes a reference back that was given away as an address.
    ///
    /// # Safety
    /// As for [`Obj::from_address`]; the object is an instance of `T`.
    #[inline]
    pub unsafe fn from_address(address: NonNull<()>) -> Self {
        // SAFETY: says the caller.
        Self(unsafe { Obj::from_address(address) }, PhantomData)
    }

    /// Whether `class` is the native type itself.
    pub fn is_class(class: &Obj) -> bool {
        class.as_ptr() == T::cell().class().cast()
    }

    /// Looks at an object that is exactly of the native type.
    #[inline]
    pub fn from_exact(object: &Obj) -> Option<&Self> {
        // SAFETY: the type says what it is; `Py` is a transparent `Obj`.
        (object.type_ptr() == T::cell().class())
            .then(|| unsafe { &*ptr::from_ref(object).cast::<Self>() })
    }

    /// Takes an object that is of the native type or a subclass.
    #[inline]
    pub fn take_instance(object: Obj) -> Option<Self> {
        Self::from_instance(&object).is_some().then(|| Self(object, PhantomData))
    }

    /// Looks at an object that is of the native type or a subclass.
    #[inline]
    pub fn from_instance(object: &Obj) -> Option<&Self> {
        let class = T::cell().class();
        if class.is_null() {
            return None;
        }
        // The memory of an instance holds a `T` exactly if its type extends the native
        // type's layout, and a class's `tp_base` is the base whose layout it extends.
        let mut candidate = object.type_ptr();
        while candidate != class {
            if candidate.is_null() {
                return None;
            }
            // SAFETY: a type and its bases are alive as long as an instance.
            candidate = unsafe { (*candidate).tp_base };
        }
        // SAFETY: as above.
        Some(unsafe { &*ptr::from_ref(object).cast::<Self>() })
    }
}

#[inline]
fn place<T: NativeType>(object: *mut py::PyObject) -> *mut T {
    object.cast::<u8>().wrapping_add(T::cell().offset.get()).cast::<T>()
}

/// Where an open type's instance keeps its `__dict__`.
fn dict_place<T: NativeType>(object: *mut py::PyObject) -> *mut *mut py::PyObject {
    let end = (T::cell().offset.get() + size_of::<T>()).next_multiple_of(align_of::<*mut ()>());
    object.cast::<u8>().wrapping_add(end).cast()
}
