//! Monotonic time in nanoseconds: the clock of a loop, unless a program gives it another.
//!
//! `CLOCK_MONOTONIC` is what `time.monotonic()` reads on Linux, so an [`Instant`]
//! and a Python float of seconds are two spellings of the same reading.

use rustix::time::{ClockId, clock_gettime};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A reading of `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than every reading: a timer at `FAR` never fires.
    pub const FAR: Self = Self(u64::MAX);

    /// Reads the clock.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // The monotonic clock starts at zero when the machine boots: both parts
        // are non-negative.
        Self(now.tv_sec.cast_unsigned() * NANOS_PER_SEC + now.tv_nsec.cast_unsigned())
    }

    /// Seconds, rounded as `time.monotonic()` rounds them.
    #[expect(clippy::cast_precision_loss, reason = "what a float of seconds is")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The first instant that is not before `secs`: rounds up, so that a timer
    /// set for `secs` cannot fire early. What lies before zero (or is not a
    /// number) is zero, what lies after the last instant is [`Self::FAR`].
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a float-to-integer cast saturates, as documented above"
    )]
    #[inline]
    pub fn at_or_after(secs: f64) -> Self {
        let exact = secs * 1e9;
        // Within these bounds a signed integer will do, and converting to and from one is a
        // single instruction each; a call to `ceil` is many.
        let nanos = Self(if (0.0..9e18).contains(&exact) {
            let below = exact as i64;
            (below + i64::from((below as f64) < exact)) as u64
        } else {
            exact as u64
        });
        if nanos.as_secs_f64() < secs { nanos.first_from(secs) } else { nanos }
    }

    /// The first instant from here on that is not before `secs`: the product that led here was
    /// rounded down.
    #[cold]
    fn first_from(mut self, secs: f64) -> Self {
        while self != Self::FAR && self.as_secs_f64() < secs {
            self.0 += 1;
        }
        self
    }

    /// Nanoseconds from `earlier` to `self`, zero if `earlier` is the later one.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_from_seconds_never_lands_before_them() {
        for secs in [0.1, 0.3, 1.000_000_001, 86_399.999_999_9, 123_456.789_012_345] {
            assert!(Instant::at_or_after(secs).as_secs_f64() >= secs);
        }
    }

    #[test]
    fn conversion_from_seconds_is_exact_to_the_nanosecond() {
        assert_eq!(Instant::at_or_after(1.5), Instant(1_500_000_000));
        assert_eq!(Instant::at_or_after(1e-9), Instant(1));
        assert_eq!(Instant::at_or_after(1.5e-9), Instant(2));
        assert_eq!(Instant::at_or_after(9.1e9), Instant(9_100_000_000_000_000_000));
    }

    #[test]
    fn unreachable_times_saturate() {
        assert_eq!(Instant::at_or_after(f64::INFINITY), Instant::FAR);
        assert_eq!(Instant::at_or_after(1e300), Instant::FAR);
        assert_eq!(Instant::at_or_after(-5.0), Instant(0));
        assert_eq!(Instant::at_or_after(f64::NAN), Instant(0));
    }

    #[test]
    fn clock_does_not_run_backwards() {
        let first = Instant::now();
        assert!(Instant::now() >= first);
    }
}
