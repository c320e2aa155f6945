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
//! untracked, its `T` dropped, its weak references cleared; only instances of
//! exactly the native type (no subclass) go there.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::ops::Deref;
use std::ptr;

use pyo3_ffi as py;

use super::args::Args;
use super::base;
use super::call::Sent;
use super::error::{PyResult, Raised};
use super::method::{self, Methods, Properties};
use super::object::Obj;
use super::slot::Visitor;
use super::trash;

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
    /// How many dead instances are kept for reuse.
    const POOL: usize = 0;
    /// How Python code makes one; without it only Rust code can.
    const CONSTRUCT: Option<fn() -> PyResult<Self>> = None;
    /// Whether the base is a C class that manages memory of its own, such as its
    /// instances' `__dict__` and weak references. Goes without `OPEN` and `POOL`.
    const CHAINED: bool = false;
    /// `__init__`; without it the base's, if it has one.
    const INIT: Option<InitFn<Self>> = None;
    /// `__await__` and `__iter__`, for what is not its own iterator.
    const ITERATE: Option<ReprFn<Self>> = None;
    /// `__del__`.
    const FINALIZE: Option<fn(&Py<Self>)> = None;
    /// `__repr__`.
    const REPR: Option<ReprFn<Self>> = None;
    /// `__call__`.
    const CALL: Option<CallFn<Self>> = None;
    /// `send`, for what can be awaited: it is its own `__await__` and iterator.
    const SEND: Option<SendFn<Self>> = None;
    /// What may forbid to await it.
    const AWAIT: Option<AwaitFn<Self>> = None;

    /// Where the type object is kept.
    fn cell() -> &'static TypeCell;
    /// Shows every object that `self` holds to the collector.
    fn traverse(&self, visitor: &mut Visitor);
    /// Lets go of what may form cycles.
    fn clear(&self);
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
        let cell = T::cell();
        let class = cell.class();
        if T::POOL > 0 {
            // SAFETY: the pool is touched for one operation, which runs no other
            // code; what is in it are dead instances of this type.
            if let Some(dead) = unsafe { (*cell.pool.get()).pop() } {
                // SAFETY: revives the memory of a dead instance: header, then
                // `T`, then the collector may see it.
                unsafe {
                    let object = py::PyObject_Init(dead, class);
                    ptr::write(place::<T>(object), value);
                    py::PyObject_GC_Track(object.cast());
                    return Obj::from_new(object).map(|object| Self(object, PhantomData));
                }
            }
        }
        // SAFETY: the type is complete.
        unsafe { allocate(class, value) }
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

    /// Looks at an object that is of the native type or a subclass.
    pub fn from_instance(object: &Obj) -> Option<&Self> {
        let class = T::cell().class();
        if class.is_null() {
            return None;
        }
        // SAFETY: both types are alive; then as above.
        unsafe {
            (py::PyType_IsSubtype(object.type_ptr(), class) == 1)
                .then(|| &*ptr::from_ref(object).cast::<Self>())
        }
    }
}

#[inline]
fn place<T: NativeType>(object: *mut py::PyObject) -> *mut T {
    object.cast::<u8>().wrapping_add(T::cell().offset.get()).cast::<T>()
}

/// # Safety
/// `class` is the native type of `T` or a subclass.
unsafe fn allocate<T: NativeType>(class: *mut py::PyTypeObject, value: T) -> PyResult<Py<T>> {
    // SAFETY: every type has `tp_alloc`; the memory comes zeroed and tracked. The
    // collector cannot run before `T` is written: nothing allocates in between.
    unsafe {
        let Some(alloc) = (*class).tp_alloc else {
            return Err(Raised::type_error("type has no allocator"));
        };
        let object = alloc(class, 0);
        if object.is_null() {
            return Err(Raised::already_set());
        }
        ptr::write(place::<T>(object), value);
        Obj::from_new(object).map(|object| Py(object, PhantomData))
    }
}

/// Makes the type object of `T`, with `base` as its base class, unless a former
/// import has made it; returns it.
pub fn define<T: NativeType>(base: Option<&Obj>) -> PyResult<Obj> {
    // The collector's note that a finalizer has run would survive in the pool.
    const { assert!(T::POOL == 0 || T::FINALIZE.is_none(), "no pool for what is finalized") };
    let cell = T::cell();
    if !cell.class().is_null() {
        // SAFETY: the cell holds a reference for ever.
        return Ok(unsafe { Obj::from_borrowed(cell.class().cast()) });
    }
    let base_size = match base {
        // SAFETY: a class is a type object.
        Some(base) => unsafe { (*base.as_ptr().cast::<py::PyTypeObject>()).tp_basicsize },
        None => size_of::<py::PyObject>().cast_signed(),
    };
    let align = align_of::<T>().max(align_of::<*mut ()>());
    let offset = base_size.cast_unsigned().next_multiple_of(align);
    let dict_offset = (offset + size_of::<T>()).next_multiple_of(align_of::<*mut ()>());
    let size = if T::OPEN { dict_offset + 2 * size_of::<*mut ()>() } else { dict_offset };

    let mut slots = vec![
        slot(py::Py_tp_dealloc, dealloc::<T> as *const c_void),
        slot(py::Py_tp_traverse, traverse::<T> as *const c_void),
        slot(py::Py_tp_clear, clear::<T> as *const c_void),
        slot(py::Py_tp_methods, T::methods().leak()),
        slot(py::Py_tp_getset, T::properties().leak(T::OPEN)),
        slot(py::Py_tp_doc, T::DOC.as_ptr().cast()),
    ];
    if T::OPEN {
        slots.push(slot(py::Py_tp_members, open_members(dict_offset)));
    }
    if T::CONSTRUCT.is_some() {
        slots.push(slot(py::Py_tp_new, construct::<T> as *const c_void));
    }
    if T::INIT.is_some() {
        slots.push(slot(py::Py_tp_init, init::<T> as *const c_void));
    }
    if T::ITERATE.is_some() {
        slots.push(slot(py::Py_am_await, iterator::<T> as *const c_void));
        slots.push(slot(py::Py_tp_iter, iterator::<T> as *const c_void));
    }
    if T::FINALIZE.is_some() {
        slots.push(slot(py::Py_tp_finalize, finalize::<T> as *const c_void));
    }
    if T::REPR.is_some() {
        slots.push(slot(py::Py_tp_repr, repr::<T> as *const c_void));
    }
    if T::CALL.is_some() {
        slots.push(slot(py::Py_tp_call, call::<T> as *const c_void));
    }
    if T::SEND.is_some() {
        slots.push(slot(py::Py_am_await, awaited::<T> as *const c_void));
        slots.push(slot(py::Py_tp_iter, itself as *const c_void));
        slots.push(slot(py::Py_tp_iternext, next::<T> as *const c_void));
        slots.push(slot(py::Py_am_send, send::<T> as *const c_void));
    }
    slots.push(slot(0, ptr::null()));

    let mut flags: c_ulong = py::Py_TPFLAGS_DEFAULT | py::Py_TPFLAGS_HAVE_GC;
    if T::SUBCLASSABLE {
        flags |= py::Py_TPFLAGS_BASETYPE;
    }
    if T::CONSTRUCT.is_none() {
        flags |= py::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    }
    let mut spec = py::PyType_Spec {
        name: T::NAME.as_ptr(),
        basicsize: c_int::try_from(size).unwrap_or(c_int::MAX),
        itemsize: 0,
        flags: c_uint::try_from(flags).unwrap_or(0),
        slots: slots.as_mut_ptr(),
    };
    cell.offset.set(offset);
    if T::CHAINED {
        const { assert!(!T::CHAINED || (!T::OPEN && T::POOL == 0)) };
        cell.base.set(base.map_or(ptr::null_mut(), |base| base.as_ptr().cast()));
    }
    let bases = base.map_or(ptr::null_mut(), Obj::as_ptr);
    // SAFETY: the spec and its tables are complete; methods, properties and
    // members are leaked, because the type keeps pointers to them.
    let class = unsafe { Obj::from_new(py::PyType_FromSpecWithBases(&raw mut spec, bases)) }?;
    cell.class.set(class.clone().into_ptr().cast());
    Ok(class)
}

fn slot(number: c_int, value: *const c_void) -> py::PyType_Slot {
    py::PyType_Slot { slot: number, pfunc: value.cast_mut() }
}

fn open_members(dict_offset: usize) -> *const c_void {
    let member = |name: &'static CStr, offset: usize| py::PyMemberDef {
        name: name.as_ptr(),
        type_code: py::Py_T_PYSSIZET,
        offset: offset.cast_signed(),
        flags: py::Py_READONLY,
        doc: ptr::null(),
    };
    let end = py::PyMemberDef::default();
    let members = Box::new([
        member(c"__dictoffset__", dict_offset),
        member(c"__weaklistoffset__", dict_offset + size_of::<*mut ()>()),
        end,
    ]);
    Box::leak(members).as_ptr().cast()
}

/// Where an open type's instance keeps its `__dict__`.
fn dict_place<T: NativeType>(object: *mut py::PyObject) -> *mut *mut py::PyObject {
    let end = (T::cell().offset.get() + size_of::<T>()).next_multiple_of(align_of::<*mut ()>());
    object.cast::<u8>().wrapping_add(end).cast()
}

unsafe extern "C" fn dealloc<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: called by CPython with an instance whose last reference has gone.
    unsafe { trash::end(object, end::<T>) };
}

/// # Safety
/// `object` is an instance whose last reference has gone.
unsafe fn end<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: called by CPython with an instance whose last reference has gone.
    unsafe {
        let class = py::Py_TYPE(object);
        if T::FINALIZE.is_some() && py::PyObject_CallFinalizerFromDealloc(object) < 0 {
            return; // Alive again.
        }
        py::PyObject_GC_UnTrack(object.cast());
        if (*class).tp_weaklistoffset != 0 {
            py::PyObject_ClearWeakRefs(object);
        }
        method::guard((), || ptr::drop_in_place(place::<T>(object)));
        if T::CHAINED {
            return base::dealloc(T::cell().base.get(), object);
        }
        if T::OPEN {
            py::Py_CLEAR(dict_place::<T>(object));
        }
        let cell = T::cell();
        if T::POOL > 0 && class == cell.class() && (*cell.pool.get()).len() < T::POOL {
            (*cell.pool.get()).push(object);
        } else if let Some(free) = (*class).tp_free {
            free(object.cast());
        }
        py::Py_DECREF(class.cast());
    }
}

unsafe extern "C" fn traverse<T: NativeType>(
    object: *mut py::PyObject,
    visit: py::visitproc,
    arg: *mut c_void,
) -> c_int {
    let mut visitor = Visitor::new(visit, arg);
    // SAFETY: called by the collector with a live instance.
    unsafe {
        if T::CHAINED {
            let status = base::traverse(T::cell().base.get(), object, visit, arg);
            if status != 0 {
                return status;
            }
        } else {
            visitor.pointer(py::Py_TYPE(object).cast());
        }
        if T::OPEN {
            visitor.pointer(*dict_place::<T>(object));
        }
        (*place::<T>(object)).traverse(&mut visitor);
    }
    visitor.status()
}

unsafe extern "C" fn clear<T: NativeType>(object: *mut py::PyObject) -> c_int {
    // SAFETY: called by the collector with a live instance.
    unsafe {
        if T::OPEN {
            py::Py_CLEAR(dict_place::<T>(object));
        }
        method::guard((), || (*place::<T>(object)).clear());
        if T::CHAINED { base::clear(T::cell().base.get(), object) } else { 0 }
    }
}

unsafe extern "C" fn construct<T: NativeType>(
    class: *mut py::PyTypeObject,
    _args: *mut py::PyObject,
    _kwargs: *mut py::PyObject,
) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        let Some(make) = T::CONSTRUCT else { return ptr::null_mut() };
        // SAFETY: CPython calls `tp_new` with the type or a subclass.
        let made = make().and_then(|value| unsafe { allocate::<T>(class, value) });
        method::to_ptr(made.map(Py::into_obj))
    })
}

unsafe extern "C" fn init<T: NativeType>(
    object: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> c_int {
    method::guard(-1, || {
        // SAFETY: CPython passes a live instance, a tuple, and a dict or null.
        let done = unsafe {
            Args::with_dict(args, kwargs, |args| match T::INIT {
                Some(init) => init(Py::view(&object), args),
                None => Ok(()),
            })
        };
        done.map_or(-1, |()| 0)
    })
}

unsafe extern "C" fn iterator<T: NativeType>(object: *mut py::PyObject) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        T::ITERATE.map_or(ptr::null_mut(), |make| method::to_ptr(make(this)))
    })
}

unsafe extern "C" fn finalize<T: NativeType>(object: *mut py::PyObject) {
    // SAFETY: called with a live instance. A finalizer leaves the exception that
    // may be on its way as it was.
    unsafe {
        let pending = Raised::is_set().then(|| Raised::already_set().take());
        if let Some(run) = T::FINALIZE {
            method::guard((), || run(Py::view(&object)));
        }
        if Raised::is_set() {
            Raised::already_set().unraisable(Obj::view(&object));
        }
        if let Some(exception) = pending {
            let _restored = Raised::restore(exception);
        }
    }
}

unsafe extern "C" fn repr<T: NativeType>(object: *mut py::PyObject) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        T::REPR.map_or(ptr::null_mut(), |repr| method::to_ptr(repr(this)))
    })
}

unsafe extern "C" fn call<T: NativeType>(
    object: *mut py::PyObject,
    args: *mut py::PyObject,
    kwargs: *mut py::PyObject,
) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        if !kwargs.is_null() {
            // SAFETY: a non-null `kwargs` of `tp_call` is a dict.
            if unsafe { py::PyDict_Size(kwargs) } > 0 {
                return method::to_ptr(Err(Raised::type_error("no keyword arguments expected")));
            }
        }
        // SAFETY: `args` is a tuple, whose items stay alive during the call; the
        // object is a live instance.
        unsafe {
            let items = py::PyTuple_GET_SIZE(args);
            let held: Vec<_> = (0..items).map(|n| py::PyTuple_GET_ITEM(args, n)).collect();
            let args = Args::new(held.as_ptr(), items, ptr::null_mut());
            T::CALL.map_or(ptr::null_mut(), |call| method::to_ptr(call(Py::view(&object), &args)))
        }
    })
}

unsafe extern "C" fn awaited<T: NativeType>(object: *mut py::PyObject) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        // SAFETY: called with a live instance.
        let this = unsafe { Py::<T>::view(&object) };
        let allowed = T::AWAIT.map_or(Ok(()), |check| check(this));
        method::to_ptr(allowed.map(|()| this.as_obj().clone()))
    })
}

unsafe extern "C" fn itself(object: *mut py::PyObject) -> *mut py::PyObject {
    // SAFETY: a live object; returns a new reference to it.
    unsafe {
        py::Py_INCREF(object);
        object
    }
}

unsafe extern "C" fn send<T: NativeType>(
    object: *mut py::PyObject,
    value: *mut py::PyObject,
    result: *mut *mut py::PyObject,
) -> py::PySendResult {
    method::guard(py::PySendResult::PYGEN_ERROR, || {
        let Some(send) = T::SEND else { return py::PySendResult::PYGEN_ERROR };
        // SAFETY: CPython passes live objects and a place for the result.
        unsafe {
            *result = ptr::null_mut();
            match send(Py::view(&object), Obj::view(&value)) {
                Ok(Sent::Yielded(value)) => {
                    *result = value.into_ptr();
                    py::PySendResult::PYGEN_NEXT
                }
                Ok(Sent::Returned(value)) => {
                    *result = value.into_ptr();
                    py::PySendResult::PYGEN_RETURN
                }
                Err(_) => py::PySendResult::PYGEN_ERROR,
            }
        }
    })
}

unsafe extern "C" fn next<T: NativeType>(object: *mut py::PyObject) -> *mut py::PyObject {
    method::guard(ptr::null_mut(), || {
        let Some(send) = T::SEND else { return ptr::null_mut() };
        // SAFETY: called with a live instance.
        let this = unsafe { Py::view(&object) };
        match send(this, &Obj::none()) {
            // No value and no exception: the end, with `None`.
            Ok(Sent::Returned(value)) if value.is_none() => ptr::null_mut(),
            sent => method::to_ptr(sent_or_stop(sent)),
        }
    })
}

/// What `send()` called as a method returns: the value, or `StopIteration`.
pub fn sent_or_stop(sent: PyResult<Sent>) -> PyResult<Obj> {
    match sent? {
        Sent::Yielded(value) => Ok(value),
        Sent::Returned(value) => {
            let stop = super::error::builtin(&raw const py::PyExc_StopIteration).call1(&value)?;
            Err(Raised::raise(&stop))
        }
    }
}
