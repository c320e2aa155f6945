//! The items of a queue, and the order in which they leave.

use std::cell::Cell;

use crate::ffi::error::index_error_class;
use crate::ffi::{Obj, PyResult, Raised};

use super::super::deque::Deque;
use super::super::lookups::Lookups;

/// Which item leaves next. The numbers are those of the class attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest: 0.
    #[default]
    Fifo,
    /// The youngest: 1.
    Lifo,
    /// The least: 2. The items are a heap in a Python list.
    Priority,
}

/// The items.
#[derive(Debug, Default)]
pub struct Items {
    deque: Deque,
    order: Cell<Order>,
}

impl Items {
    /// Sets the order, by its number.
    pub fn set_order(&self, order: i64) {
        self.order.set(match order {
            1 => Order::Lifo,
            2 => Order::Priority,
            _ => Order::Fifo,
        });
    }

    /// Begins anew.
    pub fn init(&self) -> PyResult<()> {
        match self.order.get() {
            Order::Fifo | Order::Lifo => self.deque.clear(),
            Order::Priority => self.deque.replace(&Obj::list(&[])?),
        }
        Ok(())
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> PyResult<usize> {
        self.deque.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> PyResult<bool> {
        self.deque.is_empty()
    }

    /// Adds one.
    #[inline]
    pub fn put(&self, item: &Obj) -> PyResult<()> {
        if self.order.get() == Order::Priority
            && let Some(list) = self.deque.elsewhere()
        {
            return Lookups::get().heappush.call2(&list, item).map(drop);
        }
        self.deque.push(item)
    }

    /// Takes the next one.
    #[inline]
    pub fn get(&self) -> PyResult<Obj> {
        if self.order.get() == Order::Priority
            && let Some(list) = self.deque.elsewhere()
        {
            return Lookups::get().heappop.call1(&list);
        }
        let lifo = self.order.get() == Order::Lifo;
        let empty = if lifo { "pop from empty list" } else { "pop from an empty deque" };
        let item = self.deque.pop(lifo)?;
        item.ok_or_else(|| Raised::with_message(index_error_class(), empty))
    }

    /// The items as Python code sees them from now on.
    pub fn show(&self) -> PyResult<Obj> {
        if self.order.get() == Order::Lifo { self.deque.show_list() } else { self.deque.show() }
    }

    /// Where they lie.
    pub fn deque(&self) -> &Deque {
        &self.deque
    }
}
