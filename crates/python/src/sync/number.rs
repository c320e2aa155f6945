//! A count or a bound that a program gives: mostly an int, sometimes infinity.

use std::cmp::Ordering;

use crate::ffi::{Obj, PyResult};

/// An int of usual size, or anything that is a number.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An int.
    Int(i64),
    /// A float, or an int beyond the range of the other kind.
    Float(f64),
}

impl Number {
    /// Takes a Python number; a `TypeError` for anything else.
    pub fn from_python(number: &Obj) -> PyResult<Self> {
        if number.is_int() {
            match number.to_i64() {
                Ok(number) => return Ok(Self::Int(number)),
                Err(raised) => raised.clear(),
            }
        }
        number.to_f64().map(Self::Float)
    }

    /// As a Python object.
    pub fn to_python(self) -> PyResult<Obj> {
        match self {
            Self::Int(number) => Obj::int(number),
            Self::Float(number) => Obj::float(number),
        }
    }

    /// `self + change`
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a float counts no better")]
    pub fn plus(self, change: i64) -> Self {
        match self {
            Self::Int(number) => Self::Int(number.saturating_add(change)),
            Self::Float(number) => Self::Float(number + change as f64),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a float compares no better")]
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Int(a), Self::Float(b)) => (a as f64).partial_cmp(&b),
            (Self::Float(a), Self::Int(b)) => a.partial_cmp(&(b as f64)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
        }
    }

    /// `self >= other`
    #[inline]
    pub fn is_at_least(self, other: Self) -> bool {
        self.compare(other).is_some_and(Ordering::is_ge)
    }

    /// `self > 0`
    #[inline]
    pub fn is_positive(self) -> bool {
        self.compare(Self::Int(0)).is_some_and(Ordering::is_gt)
    }

    /// `self == 0`
    #[inline]
    pub fn is_zero(self) -> bool {
        self.compare(Self::Int(0)).is_some_and(Ordering::is_eq)
    }

    /// `self < 0`
    pub fn is_negative(self) -> bool {
        self.compare(Self::Int(0)).is_some_and(Ordering::is_lt)
    }
}
