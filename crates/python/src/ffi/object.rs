//! [`Obj`]: an owned reference to a Python object, and what any object can do.

use std::ffi::CStr;
use std::num::NonZeroU32;
use std::ptr::NonNull;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::exit::{self, give_back, surviving};
use super::names::Name;

/// A strong reference. Cloning and dropping change the reference count, so both
/// need the interpreter's lock (see the folder's invariant).
#[repr(transparent)]
#[derive(Debug)]
pub struct Obj(NonNull<py::PyObject>);

impl Clone for Obj {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: the pointer is alive, and the lock is held.
        unsafe { py::Py_INCREF(self.as_ptr()) };
        Self(self.0)
    }
}

impl Drop for Obj {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this reference is ours to give back, and the lock is held.
        unsafe { give_back(self.as_ptr()) };
    }
}

impl Obj {
    /// Takes over a new reference; null means that an exception was raised.
    ///
    /// # Safety
    /// `ptr` is null with an exception set, or a reference that the caller owns.
    #[inline]
    pub unsafe fn from_new(ptr: *mut py::PyObject) -> PyResult<Self> {
        NonNull::new(ptr).map(Self).ok_or_else(Raised::already_set)
    }

    /// Makes an own reference of a borrowed one.
    ///
    /// # Safety
    /// `ptr` is a live object.
    #[inline]
    pub unsafe fn from_borrowed(ptr: *mut py::PyObject) -> Self {
        // SAFETY: alive, says the caller.
        unsafe {
            py::Py_INCREF(ptr);
            Self(NonNull::new_unchecked(ptr))
        }
    }

    /// Looks at a place that holds a borrowed pointer as at an `Obj`.
    ///
    /// # Safety
    /// `place` holds a live object for as long as it is borrowed.
    #[inline]
    pub unsafe fn view(place: &*mut py::PyObject) -> &Self {
        // SAFETY: `Obj` is a transparent non-null pointer, and the caller says
        // that the pointer is alive.
        unsafe { &*std::ptr::from_ref(place).cast::<Self>() }
    }

    /// The pointer, still owned by `self`.
    #[inline]
    pub fn as_ptr(&self) -> *mut py::PyObject {
        self.0.as_ptr()
    }

    /// Gives the reference to the caller.
    #[inline]
    pub fn into_ptr(self) -> *mut py::PyObject {
        let ptr = self.as_ptr();
        std::mem::forget(self);
        ptr
    }

    /// Gives the reference to the caller, as an address, which is a multiple of eight.
    #[inline]
    pub fn into_address(self) -> NonNull<()> {
        let address = self.0.cast();
        std::mem::forget(self);
        address
    }

    /// Takes the reference back.
    ///
    /// # Safety
    /// `address` comes from [`Self::into_address`], once for each call.
    #[inline]
    pub unsafe fn from_address(address: NonNull<()>) -> Self {
        Self(address.cast())
    }

    /// `None`.
    #[inline]
    pub fn none() -> Self {
        // SAFETY: `None` lives as long as the interpreter.
        unsafe { Self::from_borrowed(py::Py_None()) }
    }

    /// Whether this is `None`.
    #[inline]
    pub fn is_none(&self) -> bool {
        // SAFETY: reads the address of a static.
        self.as_ptr() == unsafe { py::Py_None() }
    }

    /// `self`, or nothing if it is `None`.
    pub fn non_none(&self) -> Option<&Self> {
        (!self.is_none()).then_some(self)
    }

    /// Identity.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// A number for the present state of its class and that class's bases: it changes when
    /// one of them is given another attribute. Nothing while the class has no number.
    #[inline]
    pub fn class_version(&self) -> Option<NonZeroU32> {
        // SAFETY: a type is alive as long as its instances.
        unsafe { version(self.type_ptr()) }
    }

    /// The same number of `self`, a class; nothing of anything else.
    #[inline]
    pub fn version_as_class(&self) -> Option<NonZeroU32> {
        // SAFETY: after the check it is a type, and alive.
        unsafe {
            if py::PyType_Check(self.as_ptr()) == 0 {
                return None;
            }
            version(self.as_ptr().cast())
        }
    }

    /// The object's type, as a pointer to compare.
    #[inline]
    pub fn type_ptr(&self) -> *mut py::PyTypeObject {
        // SAFETY: the object is alive.
        unsafe { py::Py_TYPE(self.as_ptr()) }
    }

    /// Whether the object's type extends `class` directly.
    #[inline]
    pub fn is_of_child_of(&self, class: *mut py::PyTypeObject) -> bool {
        // SAFETY: an object keeps its type alive; an address is compared.
        unsafe { (*self.type_ptr()).tp_base == class }
    }

    /// Whether the object's type is exactly `class`.
    #[inline]
    pub fn is_exactly(&self, class: &Self) -> bool {
        self.type_ptr().cast() == class.as_ptr()
    }

    /// `isinstance(self, class)`.
    pub fn is_instance(&self, class: &Self) -> PyResult<bool> {
        // SAFETY: both are alive.
        Raised::check(unsafe { py::PyObject_IsInstance(self.as_ptr(), class.as_ptr()) })
            .map(|answer| answer == 1)
    }

    /// The object's type.
    pub fn class(&self) -> Self {
        // SAFETY: an object keeps its type alive.
        unsafe { Self::from_borrowed(self.type_ptr().cast()) }
    }

    /// `self.name`.
    #[inline]
    pub fn getattr(&self, name: &Name) -> PyResult<Self> {
        // SAFETY: both are alive; the result is a new reference.
        unsafe {
            Self::from_new(surviving(|| {
                exit::PyObject_GetAttr(self.as_ptr(), name.as_obj().as_ptr())
            }))
        }
    }

    /// `self.name`, by a name that is used once or seldom.
    pub fn attr(&self, name: &CStr) -> PyResult<Self> {
        // SAFETY: the object is alive; the result is a new reference.
        unsafe {
            Self::from_new(surviving(|| exit::PyObject_GetAttrString(self.as_ptr(), name.as_ptr())))
        }
    }

    /// `self.name = value`, by a name that is used once or seldom.
    pub fn set_attr(&self, name: &CStr, value: &Self) -> PyResult<()> {
        // SAFETY: both objects are alive.
        let status =
            unsafe { py::PyObject_SetAttrString(self.as_ptr(), name.as_ptr(), value.as_ptr()) };
        Raised::check(status).map(drop)
    }

    /// `getattr(self, name, None)`, where other errors than a missing attribute
    /// are errors.
    pub fn attr_or_none(&self, name: &CStr) -> PyResult<Self> {
        self.attr(name).or_else(|raised| {
            raised.catch(attribute_error())?;
            Ok(Self::none())
        })
    }

    /// `getattr(self, name, None)`, as above, by a name that is used often.
    #[cfg(not(Py_3_13))]
    pub fn getattr_or_none(&self, name: &Name) -> PyResult<Self> {
        self.getattr(name).or_else(|raised| {
            raised.catch(attribute_error())?;
            Ok(Self::none())
        })
    }

    /// `getattr(self, name, None)`, as above, by a name that is used often.
    #[cfg(Py_3_13)]
    pub fn getattr_or_none(&self, name: &Name) -> PyResult<Self> {
        let mut found = std::ptr::null_mut();
        // SAFETY: both are alive; `found` takes a new reference or null.
        let status = unsafe {
            surviving(|| {
                exit::PyObject_GetOptionalAttr(
                    self.as_ptr(),
                    name.as_obj().as_ptr(),
                    &raw mut found,
                )
            })
        };
        Raised::check(status)?;
        if found.is_null() {
            return Ok(Self::none());
        }
        // SAFETY: a new reference.
        unsafe { Self::from_new(found) }
    }

    /// `self.name = value`.
    pub fn setattr(&self, name: &Name, value: &Self) -> PyResult<()> {
        // SAFETY: all three are alive.
        let status =
            unsafe { py::PyObject_SetAttr(self.as_ptr(), name.as_obj().as_ptr(), value.as_ptr()) };
        Raised::check(status).map(drop)
    }

    /// Truth value.
    pub fn is_true(&self) -> PyResult<bool> {
        // SAFETY: the object is alive.
        Raised::check(unsafe { py::PyObject_IsTrue(self.as_ptr()) }).map(|answer| answer == 1)
    }

    /// `len(self)`.
    pub fn len(&self) -> PyResult<usize> {
        // SAFETY: the object is alive.
        let len = unsafe { py::PyObject_Size(self.as_ptr()) };
        usize::try_from(len).map_err(|_| Raised::already_set())
    }

    /// `self == other`.
    pub fn equals(&self, other: &Self) -> PyResult<bool> {
        // SAFETY: both are alive.
        Raised::check(unsafe {
            py::PyObject_RichCompareBool(self.as_ptr(), other.as_ptr(), py::Py_EQ)
        })
        .map(|answer| answer == 1)
    }

    /// `repr(self)` as text.
    pub fn repr_text(&self) -> PyResult<String> {
        // SAFETY: the object is alive; the result is a new reference.
        unsafe { Self::from_new(py::PyObject_Repr(self.as_ptr())) }?.to_string_lossy()
    }

    /// `repr(self)` for use in a message; a failing `__repr__` gives the type's
    /// name instead.
    pub fn repr_lossy(&self) -> String {
        match self.repr_text() {
            Ok(text) => text,
            Err(raised) => {
                raised.clear();
                format!("<{}>", self.type_name())
            }
        }
    }

    /// `type(self).__name__`.
    pub fn type_name(&self) -> String {
        match self.class().attr(c"__name__").and_then(|name| name.to_string_lossy()) {
            Ok(name) => name,
            Err(raised) => {
                raised.clear();
                "object".to_owned()
            }
        }
    }

    /// The type's name as `PyType_GetFullyQualifiedName` has it: with the module, but for those of
    /// `builtins` and `__main__`.
    pub fn full_type_name(&self) -> PyResult<String> {
        let class = self.class();
        let qualname = class.attr(c"__qualname__")?.to_string_lossy()?;
        Ok(match class.attr(c"__module__")?.to_string_lossy()?.as_str() {
            "builtins" | "__main__" => qualname,
            module => format!("{module}.{qualname}"),
        })
    }
}

/// The version of a type, if it has one.
///
/// # Safety
/// A live type.
#[inline]
unsafe fn version(class: *mut py::PyTypeObject) -> Option<NonZeroU32> {
    // SAFETY: alive, says the caller.
    unsafe {
        #[cfg(not(Py_3_13))]
        if (*class).tp_flags & py::Py_TPFLAGS_VALID_VERSION_TAG == 0 {
            return None;
        }
        NonZeroU32::new((*class).tp_version_tag)
    }
}

fn attribute_error() -> &'static Obj {
    super::error::builtin(&raw const py::PyExc_AttributeError)
}

/// Descriptors.
impl Obj {
    /// `self.__get__(instance)`: what a descriptor of a class says of an
    /// instance. What is no descriptor is its own value.
    #[inline]
    pub fn bound_to(&self, instance: &Obj) -> PyResult<Self> {
        // SAFETY: both are alive, and an object keeps its type alive; the result
        // is a new reference or null with an exception.
        unsafe {
            match (*self.type_ptr()).tp_descr_get {
                Some(get) => Self::from_new(get(
                    self.as_ptr(),
                    instance.as_ptr(),
                    instance.type_ptr().cast(),
                )),
                None => Ok(self.clone()),
            }
        }
    }
}

unsafe extern "C" {
    fn _PyType_Lookup(class: *mut py::PyTypeObject, name: *mut py::PyObject) -> *mut py::PyObject;
}

#[cfg(Py_3_13)]
unsafe extern "C" {
    static mut PyMethod_Type: py::PyTypeObject;

    fn PyMethod_Function(method: *mut py::PyObject) -> *mut py::PyObject;
    fn PyMethod_Self(method: *mut py::PyObject) -> *mut py::PyObject;
}

/// What a class says of its instances.
impl Obj {
    /// Whether the first class of the object's that has `name` has exactly `value`
    /// there: whether no subclass has put something else in its place. What the
    /// instance itself has is not looked at.
    #[inline]
    pub fn class_has(&self, name: &Name, value: &Obj) -> bool {
        // SAFETY: an object keeps its type alive; the result is borrowed or null,
        // without an exception.
        unsafe { _PyType_Lookup(self.type_ptr(), name.as_obj().as_ptr()) == value.as_ptr() }
    }

    /// How many references there are.
    #[inline]
    pub fn reference_count(&self) -> isize {
        // SAFETY: the object is alive.
        unsafe { py::Py_REFCNT(self.as_ptr()) }
    }
}

/// What tells one C function or C type from another.
impl Obj {
    /// The C name of the object's type, such as `_asyncio.TaskStepMethWrapper`.
    pub fn type_c_name(&self) -> &CStr {
        // SAFETY: a type's name is a C string that lives as long as the type,
        // which the object keeps alive.
        unsafe { CStr::from_ptr((*self.type_ptr()).tp_name) }
    }

    /// Whether this is `function`, as a method of `instance`.
    #[cfg(Py_3_13)]
    pub fn is_method_of(&self, function: &Obj, instance: &Obj) -> bool {
        // SAFETY: both functions are called after the type check, and give borrowed references
        // that are only compared.
        unsafe {
            self.type_ptr() == &raw mut PyMethod_Type
                && PyMethod_Function(self.as_ptr()) == function.as_ptr()
                && PyMethod_Self(self.as_ptr()) == instance.as_ptr()
        }
    }

    /// Whether this is a built-in function bound to `instance`.
    pub fn is_builtin_of(&self, instance: &Obj) -> bool {
        // SAFETY: after the type check the object has the layout of a built-in
        // function, of whose fields one is compared.
        unsafe {
            self.type_ptr() == &raw mut py::PyCFunction_Type
                && (*self.as_ptr().cast::<py::PyCFunctionObject>()).m_self == instance.as_ptr()
        }
    }

    /// Address and name of the C function behind a built-in function object.
    #[inline]
    pub fn builtin_function(&self) -> Option<(usize, &CStr)> {
        // SAFETY: after the type check the object has the layout of a built-in
        // function, whose definition outlives it.
        unsafe {
            if self.type_ptr() != &raw mut py::PyCFunction_Type {
                return None;
            }
            let definition = (*self.as_ptr().cast::<py::PyCFunctionObject>()).m_ml;
            let address = (*definition).ml_meth.PyCFunction as usize;
            Some((address, CStr::from_ptr((*definition).ml_name)))
        }
    }
}
