//! Numbers, strings, tuples, lists and dicts, to and from Rust.

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::names::Name;
use super::object::Obj;

impl Obj {
    /// `True` or `False`.
    #[inline]
    pub fn bool(value: bool) -> Self {
        // SAFETY: both live as long as the interpreter.
        unsafe { Self::from_borrowed(if value { py::Py_True() } else { py::Py_False() }) }
    }

    /// A Python int.
    pub fn int(value: i64) -> PyResult<Self> {
        // SAFETY: new reference or null with an exception.
        unsafe { Self::from_new(py::PyLong_FromLongLong(value)) }
    }

    /// A Python int from a size.
    pub fn size(value: usize) -> PyResult<Self> {
        // SAFETY: new reference or null with an exception.
        unsafe { Self::from_new(py::PyLong_FromSize_t(value)) }
    }

    /// A Python float.
    #[inline]
    pub fn float(value: f64) -> PyResult<Self> {
        // SAFETY: new reference or null with an exception.
        unsafe { Self::from_new(py::PyFloat_FromDouble(value)) }
    }

    /// A Python str.
    pub fn str(text: &str) -> PyResult<Self> {
        // SAFETY: the text is copied; new reference or null with an exception.
        unsafe {
            Self::from_new(py::PyUnicode_FromStringAndSize(
                text.as_ptr().cast(),
                text.len().cast_signed(),
            ))
        }
    }

    /// A Python tuple.
    pub fn tuple(items: &[Obj]) -> PyResult<Self> {
        // SAFETY: a new tuple's items may be set once, each with a reference
        // that it takes over.
        unsafe {
            let tuple = Self::from_new(py::PyTuple_New(items.len().cast_signed()))?;
            for (index, item) in items.iter().enumerate() {
                py::PyTuple_SET_ITEM(tuple.as_ptr(), index.cast_signed(), item.clone().into_ptr());
            }
            Ok(tuple)
        }
    }

    /// A Python list.
    pub fn list(items: &[Obj]) -> PyResult<Self> {
        // SAFETY: as for `tuple`.
        unsafe {
            let list = Self::from_new(py::PyList_New(items.len().cast_signed()))?;
            for (index, item) in items.iter().enumerate() {
                py::PyList_SET_ITEM(list.as_ptr(), index.cast_signed(), item.clone().into_ptr());
            }
            Ok(list)
        }
    }

    /// An empty dict.
    pub fn dict() -> PyResult<Self> {
        // SAFETY: new reference or null with an exception.
        unsafe { Self::from_new(py::PyDict_New()) }
    }

    /// `self[key] = value` for a dict.
    pub fn dict_set(&self, key: &Name, value: &Obj) -> PyResult<()> {
        // SAFETY: all three are alive; a non-dict raises.
        let status =
            unsafe { py::PyDict_SetItem(self.as_ptr(), key.as_obj().as_ptr(), value.as_ptr()) };
        Raised::check(status).map(drop)
    }

    /// `self[key] = value` for a dict and a key that is used once or seldom.
    pub fn set_item(&self, key: &str, value: &Obj) -> PyResult<()> {
        let key = Self::str(key)?;
        // SAFETY: all three are alive; a non-dict raises.
        let status = unsafe { py::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) };
        Raised::check(status).map(drop)
    }

    /// `self[key] = value`, for a dict.
    #[cfg(not(Py_3_14))]
    #[inline]
    pub fn dict_insert(&self, key: &Obj, value: &Obj) -> PyResult<()> {
        // SAFETY: all are alive; a bad key raises.
        Raised::check(unsafe { py::PyDict_SetItem(self.as_ptr(), key.as_ptr(), value.as_ptr()) })
            .map(drop)
    }

    /// `self[key] = value`, for a dict and a key that it does not have; says whether it has not.
    /// A key whose value is `value` already counts as there.
    #[cfg(not(Py_3_14))]
    #[inline]
    pub fn dict_insert_new(&self, key: &Obj, value: &Obj) -> PyResult<bool> {
        // SAFETY: all are alive; the dict has one value more afterwards, or as many.
        unsafe {
            let references = py::Py_REFCNT(value.as_ptr());
            let found = py::PyDict_SetDefault(self.as_ptr(), key.as_ptr(), value.as_ptr());
            if found.is_null() {
                return Err(Raised::already_set());
            }
            Ok(found == value.as_ptr() && py::Py_REFCNT(found) > references)
        }
    }

    /// `del self[key]`, for a dict.
    #[cfg(not(Py_3_14))]
    #[inline]
    pub fn dict_remove(&self, key: &Obj) -> PyResult<()> {
        // SAFETY: both are alive; a missing key raises.
        Raised::check(unsafe { py::PyDict_DelItem(self.as_ptr(), key.as_ptr()) }).map(drop)
    }

    /// `self.get(key)` for a dict.
    #[inline]
    pub fn dict_get(&self, key: &Obj) -> PyResult<Option<Obj>> {
        // SAFETY: both are alive; the result is borrowed from the dict.
        let found = unsafe { py::PyDict_GetItemWithError(self.as_ptr(), key.as_ptr()) };
        if found.is_null() {
            return if Raised::is_set() { Err(Raised::already_set()) } else { Ok(None) };
        }
        // SAFETY: alive, the dict holds it.
        Ok(Some(unsafe { Self::from_borrowed(found) }))
    }

    /// The items of any iterable.
    pub fn collect(&self) -> PyResult<Vec<Obj>> {
        // SAFETY: the object is alive; the list is new; its items are alive as
        // long as the list, and cloned before it goes.
        unsafe {
            let list = Self::from_new(py::PySequence_List(self.as_ptr()))?;
            let len = py::PyList_GET_SIZE(list.as_ptr());
            Ok((0..len)
                .map(|index| Self::from_borrowed(py::PyList_GET_ITEM(list.as_ptr(), index)))
                .collect())
        }
    }

    /// `float(self)`.
    #[inline]
    pub fn to_f64(&self) -> PyResult<f64> {
        // SAFETY: the object is alive; -1.0 may be the value or an error.
        let value = unsafe { py::PyFloat_AsDouble(self.as_ptr()) };
        if value.to_bits() == (-1.0f64).to_bits() && Raised::is_set() {
            return Err(Raised::already_set());
        }
        Ok(value)
    }

    /// The value of an int.
    pub fn to_i64(&self) -> PyResult<i64> {
        // SAFETY: the object is alive; -1 may be the value or an error.
        let value = unsafe { py::PyLong_AsLongLong(self.as_ptr()) };
        if value == -1 && Raised::is_set() {
            return Err(Raised::already_set());
        }
        Ok(value)
    }

    /// The whole part of a number as a bound of sizes: a size is more than it where it is more
    /// than the number. What is beyond all sizes is the greatest, what is below them is 0; and what
    /// is no number, and raises where it is used, is no bound.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float-to-integer cast saturates"
    )]
    pub fn whole_size(&self) -> usize {
        if self.is_int() {
            return match self.to_i64() {
                Ok(value) => usize::try_from(value).unwrap_or(0),
                Err(raised) => {
                    raised.clear();
                    let negative = Self::int(0).and_then(|zero| self.is_at_most(&zero));
                    if let Ok(true) = negative { 0 } else { usize::MAX }
                }
            };
        }
        match self.to_f64() {
            Ok(value) => value as usize,
            Err(raised) => {
                raised.clear();
                usize::MAX
            }
        }
    }

    /// The value of an int that must fit a C `int`.
    pub fn to_i32(&self) -> PyResult<i32> {
        let value = self.to_i64()?;
        i32::try_from(value)
            .map_err(|_| Raised::overflow_error("Python int too large to convert to C int"))
    }

    /// Whether this is an int (or a subclass, such as bool).
    pub fn is_int(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyLong_Check(self.as_ptr()) == 1 }
    }

    /// Whether this is an int and of no subclass.
    pub fn is_exact_int(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyLong_CheckExact(self.as_ptr()) == 1 }
    }

    /// The value of an int that has 16 bits.
    pub fn to_u16(&self) -> Option<u16> {
        if !self.is_int() {
            return None;
        }
        match self.to_i64() {
            Ok(value) => u16::try_from(value).ok(),
            Err(raised) => {
                raised.clear();
                None
            }
        }
    }

    /// Whether this is a tuple.
    pub fn is_tuple(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { py::PyTuple_Check(self.as_ptr()) == 1 }
    }

    /// The item of a tuple; nothing for another object or beyond the end.
    pub fn tuple_item(&self, index: usize) -> Option<Self> {
        // SAFETY: a tuple's items are never null and live as long as it; the
        // index is checked against its size.
        unsafe {
            let inside =
                self.is_tuple() && index < py::PyTuple_GET_SIZE(self.as_ptr()).cast_unsigned();
            inside.then(|| {
                Self::from_borrowed(py::PyTuple_GET_ITEM(self.as_ptr(), index.cast_signed()))
            })
        }
    }

    /// The text of a str; lone surrogates become replacement characters.
    pub fn to_string_lossy(&self) -> PyResult<String> {
        // SAFETY: the object is alive; the bytes are a new reference and are
        // read while it is held.
        unsafe {
            let bytes = Self::from_new(py::PyUnicode_AsEncodedString(
                self.as_ptr(),
                c"utf-8".as_ptr(),
                c"replace".as_ptr(),
            ))?;
            let data = py::PyBytes_AS_STRING(bytes.as_ptr()).cast::<u8>();
            let len = py::PyBytes_Size(bytes.as_ptr()).cast_unsigned();
            Ok(String::from_utf8_lossy(std::slice::from_raw_parts(data, len)).into_owned())
        }
    }
}
