//! The arguments of a call, as vectorcall passes them.

use std::cell::Cell;

use pyo3_ffi as py;

use super::error::{PyResult, Raised};
use super::exit::{self, surviving};
use super::names::Name;
use super::object::Obj;

/// Positional and keyword arguments, borrowed from the caller.
#[derive(Debug)]
pub struct Args<'a> {
    positional: &'a [Obj],
    /// The values that stand behind the positional ones, in the order of `names`.
    keyword_values: &'a [Obj],
    /// A tuple of strings, or null.
    names: *mut py::PyObject,
    /// Whether they did not fit the parameters.
    refused: Cell<bool>,
}

impl<'a> Args<'a> {
    /// # Safety
    /// What CPython passes to a `METH_FASTCALL | METH_KEYWORDS` function.
    #[inline]
    pub(super) unsafe fn new(
        args: *const *mut py::PyObject,
        nargs: py::Py_ssize_t,
        names: *mut py::PyObject,
    ) -> Self {
        // SAFETY: `args` holds `nargs` live objects, then one for each name;
        // `Obj` is a transparent non-null pointer. A null `args` goes with zero
        // arguments.
        unsafe {
            let nargs = nargs.cast_unsigned();
            let nkw = if names.is_null() { 0 } else { py::PyTuple_GET_SIZE(names).cast_unsigned() };
            if args.is_null() {
                return Self::laid_out(&[], &[], std::ptr::null_mut());
            }
            let positional = std::slice::from_raw_parts(args.cast::<Obj>(), nargs);
            let keyword_values = std::slice::from_raw_parts(args.add(nargs).cast::<Obj>(), nkw);
            Self::laid_out(positional, keyword_values, names)
        }
    }

    #[inline]
    fn laid_out(
        positional: &'a [Obj],
        keyword_values: &'a [Obj],
        names: *mut py::PyObject,
    ) -> Self {
        Self { positional, keyword_values, names, refused: Cell::new(false) }
    }

    /// Whether they were found not to fit, before anything else was done.
    pub fn were_refused(&self) -> bool {
        self.refused.get()
    }

    /// They do not fit: a `TypeError`.
    #[cold]
    fn refuse(&self, message: &str) -> Raised {
        self.refused.set(true);
        Raised::type_error(message)
    }

    /// A parameter that has to be there is not among them: a `TypeError`.
    #[cold]
    pub fn missing(&self, function: &str, parameter: &str) -> Raised {
        self.refuse(&format!("{function}() missing 1 required positional argument: '{parameter}'"))
    }

    /// One of them is of another kind than the function is made for: a `TypeError`.
    #[cold]
    pub fn unfit(&self, function: &str) -> Raised {
        self.refuse(&format!("{function}() takes other arguments"))
    }

    /// Lays the arguments of `tp_init` out as vectorcall would.
    ///
    /// # Safety
    /// A live tuple, and a live dict or null.
    pub(super) unsafe fn with_dict<R>(
        args: *mut py::PyObject,
        kwargs: *mut py::PyObject,
        body: impl FnOnce(&Args<'_>) -> PyResult<R>,
    ) -> PyResult<R> {
        // SAFETY: says the caller. Clones keep keywords alive whatever `body` does
        // to the dict; the tuple keeps the positional arguments.
        unsafe {
            let nargs = py::PyTuple_GET_SIZE(args);
            let mut values: Vec<Obj> = (0..nargs)
                .map(|index| Obj::from_borrowed(py::PyTuple_GET_ITEM(args, index)))
                .collect();
            let mut names = Vec::new();
            if !kwargs.is_null() {
                let (mut place, mut key, mut value) =
                    (0, std::ptr::null_mut(), std::ptr::null_mut());
                while py::PyDict_Next(kwargs, &raw mut place, &raw mut key, &raw mut value) != 0 {
                    names.push(Obj::from_borrowed(key));
                    values.push(Obj::from_borrowed(value));
                }
            }
            let (positional, keyword_values) = values.split_at(nargs.cast_unsigned());
            let names = if names.is_empty() { None } else { Some(Obj::tuple(&names)?) };
            let names_ptr = names.as_ref().map_or(std::ptr::null_mut(), Obj::as_ptr);
            body(&Args::laid_out(positional, keyword_values, names_ptr))
        }
    }

    /// The positional arguments.
    #[inline]
    pub fn positional(&self) -> &'a [Obj] {
        self.positional
    }

    /// Whether there is any keyword argument.
    #[inline]
    pub fn has_keywords(&self) -> bool {
        !self.keyword_values.is_empty()
    }

    /// The name of the `index`-th keyword argument.
    fn name(&self, index: usize) -> Obj {
        // SAFETY: `names` is a tuple of `keyword_values.len()` strings, and an
        // index into the values is one into it; tuple items are never null.
        unsafe { Obj::from_borrowed(py::PyTuple_GET_ITEM(self.names, index.cast_signed())) }
    }

    /// The only keyword argument that the function takes, if it is there; an
    /// unknown one is a `TypeError`.
    #[inline]
    pub fn only_keyword(&self, function: &str, keyword: &Name) -> PyResult<Option<&'a Obj>> {
        match self.keyword_values {
            [] => Ok(None),
            _ => self.find_only(function, keyword),
        }
    }

    fn find_only(&self, function: &str, keyword: &Name) -> PyResult<Option<&'a Obj>> {
        let [value] = self.bind(function, self.positional.len(), [keyword])?;
        Ok(value)
    }

    /// Sorts the arguments into parameters: the positional ones come first (at
    /// least `required`), the keyword ones by the `names` of parameters behind
    /// them.
    pub fn bind<const N: usize>(
        &self,
        function: &str,
        skip: usize,
        names: [&Name; N],
    ) -> PyResult<[Option<&'a Obj>; N]> {
        let mut bound = [None; N];
        for (index, value) in self.positional.iter().skip(skip).enumerate() {
            if index >= N {
                let most = skip + N;
                let given = self.positional.len();
                return Err(self.refuse(&format!(
                    "{function}() takes at most {most} positional arguments ({given} given)"
                )));
            }
            bound[index] = Some(value);
        }
        'keywords: for (index, value) in self.keyword_values.iter().enumerate() {
            let given = self.name(index);
            for (place, name) in names.iter().enumerate() {
                if given.is(name.as_obj()) || given.equals(name.as_obj())? {
                    if bound[place].is_some() {
                        let name = name.as_obj().to_string_lossy()?;
                        return Err(self.refuse(&format!(
                            "{function}() got multiple values for argument '{name}'"
                        )));
                    }
                    bound[place] = Some(value);
                    continue 'keywords;
                }
            }
            let name = given.to_string_lossy()?;
            return Err(
                self.refuse(&format!("{function}() got an unexpected keyword argument '{name}'"))
            );
        }
        Ok(bound)
    }

    /// The one argument that the function takes, by place or by name.
    #[inline]
    pub fn only(&self, function: &str, name: &Name) -> PyResult<&'a Obj> {
        match self.positional {
            [only] if self.keyword_values.is_empty() => Ok(only),
            _ => self.find_one(function, name),
        }
    }

    #[cold]
    fn find_one(&self, function: &str, name: &Name) -> PyResult<&'a Obj> {
        let [only] = self.bind(function, 0, [name])?;
        match only {
            Some(only) => Ok(only),
            None => Err(self.missing(function, &name.as_obj().to_string_lossy()?)),
        }
    }

    /// The first `N` positional arguments, of which a missing one is a
    /// `TypeError`, and the rest.
    #[inline]
    pub fn split<const N: usize>(&self, function: &str) -> PyResult<(&'a [Obj; N], &'a [Obj])> {
        self.positional.split_first_chunk::<N>().ok_or_else(|| {
            let (given, plural) = (self.positional.len(), if N == 1 { "" } else { "s" });
            self.refuse(&format!(
                "{function}() takes at least {N} positional argument{plural} ({given} given)"
            ))
        })
    }

    /// `def function(*names, *rest, keyword=None)`: the first `N` parameters, each by place or by
    /// name, the other positional arguments, and one that has to be named.
    #[inline]
    pub fn leading<const N: usize>(
        &self,
        function: &str,
        names: [&Name; N],
        keyword: &Name,
    ) -> PyResult<([&'a Obj; N], &'a [Obj], Option<&'a Obj>)> {
        let named = match self.keyword_values {
            [] => None,
            [value] if self.name(0).is(keyword.as_obj()) => Some(value),
            _ => return self.find_leading(function, names, keyword),
        };
        let (first, rest) = self.split::<N>(function)?;
        Ok((first.each_ref(), rest, named))
    }

    #[cold]
    fn find_leading<const N: usize>(
        &self,
        function: &str,
        names: [&Name; N],
        keyword: &Name,
    ) -> PyResult<([&'a Obj; N], &'a [Obj], Option<&'a Obj>)> {
        let mut first = [None; N];
        for (place, value) in first.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        let mut named = None;
        for (index, value) in self.keyword_values.iter().enumerate() {
            let given = self.name(index);
            let text = given.to_string_lossy()?;
            let mut place = given.equals(keyword.as_obj())?.then_some(&mut named);
            for (parameter, name) in first.iter_mut().zip(names) {
                if given.equals(name.as_obj())? {
                    place = Some(parameter);
                }
            }
            match place {
                None => {
                    return Err(self.refuse(&format!(
                        "{function}() got an unexpected keyword argument '{text}'"
                    )));
                }
                Some(Some(_)) => {
                    return Err(self.refuse(&format!(
                        "{function}() got multiple values for argument '{text}'"
                    )));
                }
                Some(empty) => *empty = Some(value),
            }
        }
        let rest = self.positional.get(N..).unwrap_or_default();
        let all: Option<Vec<&'a Obj>> = first.into_iter().collect();
        if let Some(Ok(found)) = all.map(<[&'a Obj; N]>::try_from) {
            return Ok((found, rest, named));
        }
        let missing = first.iter().zip(names).find(|(value, _)| value.is_none());
        let name = missing
            .map_or_else(|| Ok(String::new()), |(_, name)| name.as_obj().to_string_lossy())?;
        Err(self.missing(function, &name))
    }

    /// The first positional argument, and all the others.
    pub fn first_and_rest(&self, function: &str) -> PyResult<(&'a Obj, Args<'a>)> {
        let ([first], positional) = self.split(function)?;
        Ok((first, Args::laid_out(positional, self.keyword_values, self.names)))
    }

    /// The values of parameters that have to be named; no positional arguments.
    pub fn only_named<const N: usize>(
        &self,
        function: &str,
        names: [&Name; N],
    ) -> PyResult<[Option<&'a Obj>; N]> {
        let [] = self.positional_only(function)?;
        self.bind(function, 0, names)
    }

    /// They are left to the function in whose place the native one stands, which will know
    /// what is wrong with them: as if they did not fit.
    pub fn leave(&self, raised: Raised) -> Raised {
        self.refused.set(true);
        raised
    }

    /// No positional arguments.
    pub fn positional_only(&self, function: &str) -> PyResult<[&'a Obj; 0]> {
        if self.positional.is_empty() {
            return Ok([]);
        }
        let given = self.positional.len();
        Err(self.refuse(&format!("{function}() takes no positional arguments ({given} given)")))
    }

    /// Nothing but `self`, which is not among the arguments. The messages are those
    /// of a Python function.
    #[inline]
    pub fn only_self(&self, function: &str) -> PyResult<()> {
        if self.positional.is_empty() && self.keyword_values.is_empty() {
            return Ok(());
        }
        self.more_than_self(function)
    }

    #[cold]
    fn more_than_self(&self, function: &str) -> PyResult<()> {
        if !self.keyword_values.is_empty() {
            let [] = self.bind(function, self.positional.len(), [])?;
        }
        let given = self.positional.len() + 1;
        Err(self
            .refuse(&format!("{function}() takes 1 positional argument but {given} were given")))
    }

    /// Exactly `N` positional arguments, keywords aside.
    pub fn first<const N: usize>(&self, function: &str) -> PyResult<&'a [Obj; N]> {
        <&[Obj; N]>::try_from(self.positional).map_err(|_| {
            let given = self.positional.len();
            self.refuse(&format!(
                "{function}() takes exactly {N} positional argument ({given} given)"
            ))
        })
    }

    /// Exactly `N` positional arguments and no keyword.
    pub fn exactly<const N: usize>(&self, function: &str) -> PyResult<&'a [Obj; N]> {
        match <&[Obj; N]>::try_from(self.positional) {
            Ok(args) if self.keyword_values.is_empty() => Ok(args),
            _ => {
                let given = self.positional.len() + self.keyword_values.len();
                Err(self.refuse(&format!(
                    "{function}() takes exactly {N} positional arguments ({given} given)"
                )))
            }
        }
    }

    /// The values of these keywords, or nothing if there is any other keyword.
    pub fn only_known<const N: usize>(&self, names: [&Name; N]) -> Option<[Option<&'a Obj>; N]> {
        let mut found = [None; N];
        for (index, value) in self.keyword_values.iter().enumerate() {
            let given = self.name(index);
            let place = names.iter().position(|name| given.is(name.as_obj()))?;
            found[place] = Some(value);
        }
        Some(found)
    }

    /// `function(*args, **kwargs)`.
    pub fn forward_all(&self, function: &Obj) -> PyResult<Obj> {
        let argv: Vec<_> =
            self.positional.iter().chain(self.keyword_values).map(Obj::as_ptr).collect();
        // SAFETY: everything is borrowed from the caller during the call.
        unsafe {
            Obj::from_new(surviving(|| {
                exit::PyObject_Vectorcall(
                    function.as_ptr(),
                    argv.as_ptr(),
                    self.positional.len(),
                    self.names,
                )
            }))
        }
    }

    /// `function(first, *args, **kwargs)`.
    pub fn forward(&self, function: &Obj, first: &Obj) -> PyResult<Obj> {
        let mut argv = vec![first.as_ptr()];
        argv.extend(self.positional.iter().chain(self.keyword_values).map(Obj::as_ptr));
        // SAFETY: everything is borrowed from the caller during the call.
        unsafe {
            Obj::from_new(surviving(|| {
                exit::PyObject_Vectorcall(
                    function.as_ptr(),
                    argv.as_ptr(),
                    1 + self.positional.len(),
                    self.names,
                )
            }))
        }
    }
}
