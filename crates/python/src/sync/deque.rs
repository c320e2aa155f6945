//! A deque that Python code may look at.
//!
//! asyncio's private deques (`_waiters`, `_getters`, `_queue`, …) are read, and
//! changed, by programs and tests. So the items lie in a Rust deque until somebody
//! asks for them: then they move to a `collections.deque`, or to whatever a
//! subclass puts there, and are used where they lie. A `collections.deque` that
//! nobody else holds any more comes back, unless it has a `maxlen`.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::ffi::{Obj, PyResult, Visitor};

use super::lookups::{Lookups, own_names};

/// Where the items lie.
#[derive(Debug)]
enum Place {
    /// Nowhere: there is no deque yet.
    Absent,
    Own(VecDeque<Obj>),
    /// A Python object that has the methods of a deque or of a list.
    Python(Obj),
}

/// A deque.
#[derive(Debug)]
pub struct Deque(RefCell<Place>);

impl Default for Deque {
    fn default() -> Self {
        Self::new()
    }
}

impl Deque {
    /// An empty one.
    pub fn new() -> Self {
        Self(RefCell::new(Place::Own(VecDeque::new())))
    }

    /// One that is `None` for Python until it is used.
    pub fn absent() -> Self {
        Self(RefCell::new(Place::Absent))
    }

    /// The Python object that holds the items, if one does.
    #[inline]
    fn python(&self) -> Option<Obj> {
        match &*self.0.borrow() {
            Place::Python(object) => Some(object.clone()),
            _ => None,
        }
    }

    /// As above, after the items have come back if they could.
    fn python_after_return(&self) -> PyResult<Option<Obj>> {
        let Some(object) = self.python() else { return Ok(None) };
        // One reference is ours, one is this function's.
        if object.is_exactly(&Lookups::get().deque)
            && object.reference_count() == 2
            && object.getattr(&own_names().maxlen)?.is_none()
        {
            let items: VecDeque<Obj> = object.collect()?.into();
            let former = self.0.replace(Place::Own(items));
            drop(former);
            return Ok(None);
        }
        Ok(Some(object))
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> PyResult<usize> {
        match &*self.0.borrow() {
            Place::Absent => return Ok(0),
            Place::Own(items) => return Ok(items.len()),
            Place::Python(_) => {}
        }
        self.python().map_or(Ok(0), |object| object.len())
    }

    /// Whether there are none, as Python's `not` says it.
    #[inline]
    pub fn is_empty(&self) -> PyResult<bool> {
        match &*self.0.borrow() {
            Place::Absent => return Ok(true),
            Place::Own(items) => return Ok(items.is_empty()),
            Place::Python(_) => {}
        }
        self.python().map_or(Ok(true), |object| object.is_true().map(|filled| !filled))
    }

    /// Adds an item at the right end.
    #[inline]
    pub fn push(&self, item: &Obj) -> PyResult<()> {
        if let Place::Own(items) = &mut *self.0.borrow_mut() {
            items.push_back(item.clone());
            return Ok(());
        }
        self.push_elsewhere(item)
    }

    #[cold]
    fn push_elsewhere(&self, item: &Obj) -> PyResult<()> {
        if let Some(object) = self.python_after_return()? {
            return object.call_method1(&own_names().append, item).map(drop);
        }
        let mut place = self.0.borrow_mut();
        if let Place::Absent = &*place {
            *place = Place::Own(VecDeque::new());
        }
        if let Place::Own(items) = &mut *place {
            items.push_back(item.clone());
        }
        Ok(())
    }

    /// Takes an item from the left end, or from the right one. An empty deque
    /// gives nothing; an empty Python object raises what it likes.
    #[inline]
    pub fn pop(&self, right: bool) -> PyResult<Option<Obj>> {
        match &mut *self.0.borrow_mut() {
            Place::Absent => return Ok(None),
            Place::Own(items) => {
                return Ok(if right { items.pop_back() } else { items.pop_front() });
            }
            Place::Python(_) => {}
        }
        let names = own_names();
        let Some(object) = self.python() else { return Ok(None) };
        object.call_method0(if right { &names.pop } else { &names.popleft }).map(Some)
    }

    /// Visits the items from left to right until `visit` says that it is enough.
    pub fn visit(&self, mut visit: impl FnMut(&Obj) -> PyResult<bool>) -> PyResult<()> {
        if let Some(object) = self.python_after_return()? {
            for item in object.collect()? {
                if visit(&item)? {
                    break;
                }
            }
            return Ok(());
        }
        let at = |index: usize| match &*self.0.borrow() {
            Place::Own(items) => items.get(index).cloned(),
            _ => None,
        };
        let mut index = 0;
        while let Some(item) = at(index) {
            if visit(&item)? {
                break;
            }
            index += 1;
        }
        Ok(())
    }

    /// Whether `test` is true of every item.
    pub fn all(&self, test: impl Fn(&Obj) -> PyResult<bool>) -> PyResult<bool> {
        let mut all = true;
        self.visit(|item| {
            all = test(item)?;
            Ok(!all)
        })?;
        Ok(all)
    }

    /// Removes the first item that is `item`; says whether there was one.
    #[inline]
    pub fn remove(&self, item: &Obj) -> PyResult<bool> {
        if let Place::Own(items) = &mut *self.0.borrow_mut() {
            let found = items.iter().position(|candidate| candidate.is(item));
            // Whoever calls this holds the item, so that it does not end here.
            return Ok(found.and_then(|index| items.remove(index)).is_some());
        }
        let Some(object) = self.python() else { return Ok(false) };
        match object.call_method1(&own_names().remove, item) {
            Ok(_) => Ok(true),
            Err(raised) => raised.catch(crate::ffi::error::value_error_class()).map(|()| false),
        }
    }

    /// The deque as Python code sees it from now on.
    pub fn show(&self) -> PyResult<Obj> {
        self.show_as(|items| Lookups::get().deque.call1(&items))
    }

    /// As above, as a list.
    pub fn show_list(&self) -> PyResult<Obj> {
        self.show_as(Ok)
    }

    fn show_as(&self, class: impl FnOnce(Obj) -> PyResult<Obj>) -> PyResult<Obj> {
        let items: Vec<Obj> = match &*self.0.borrow() {
            Place::Absent => return Ok(Obj::none()),
            Place::Python(object) => return Ok(object.clone()),
            Place::Own(items) => items.iter().cloned().collect(),
        };
        let object = class(Obj::list(&items)?)?;
        self.replace(&object);
        Ok(object)
    }

    /// Puts a Python object in the place of all items; `None` is no deque.
    pub fn replace(&self, object: &Obj) {
        let place = match object.non_none() {
            Some(object) => Place::Python(object.clone()),
            None => Place::Absent,
        };
        let former = self.0.replace(place);
        drop(former);
    }

    /// The object that a subclass has put there, or a moved deque.
    pub fn elsewhere(&self) -> Option<Obj> {
        self.python()
    }

    /// Shows the items to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        let Ok(place) = self.0.try_borrow() else { return };
        match &*place {
            Place::Absent => {}
            Place::Own(items) => items.iter().for_each(|item| visitor.obj(item)),
            Place::Python(object) => visitor.obj(object),
        }
    }

    /// Lets go of all items.
    pub fn clear(&self) {
        let former = self.0.replace(Place::Own(VecDeque::new()));
        drop(former);
    }
}
