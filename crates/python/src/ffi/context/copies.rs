//! [`Copies`]: copies of the current context, many of which are never made.
//!
//! Role: a callback runs in a copy of the context that it was scheduled in, so that what it sets
//! is seen by nobody else. Most callbacks set nothing, and many are scheduled while the variables
//! are the same. All of those get one *snapshot*: a copy that nobody runs in and nobody sees.
//! A callback whose turn comes runs in a copy of it, and if nothing shows afterwards that it did,
//! the next one runs in the same. The last of them runs in the snapshot itself.
//!
//! What can show: a variable that was set, or a reference that somebody has got hold of: a token
//! of `ContextVar.set()` has one. A handle that was asked for its context keeps that for itself.
//!
//! Invariants: snapshot and spare copy keep values alive, so neither outlives the last callback
//! that waits for its run in the snapshot: [`Copies::let_go`] is called for each that goes.
//!
//! Thread: any that holds the lock schedules; callbacks run on any, one at a time.

use super::super::error::PyResult;
use super::super::object::Obj;
use super::super::slot::{Slot, Visitor};
use super::fields::Variables;
use super::{copy, copy_current};

/// What callbacks that were scheduled one after the other share.
#[derive(Debug, Default)]
pub struct Copies {
    /// The latest.
    snapshot: Slot,
    /// A copy of a snapshot that somebody has run in, and that still is like it.
    spare: Slot,
}

impl Copies {
    /// A copy of the current context: a snapshot, not to be run in, nor shown to anybody.
    #[inline]
    pub fn snapshot(&self) -> PyResult<Obj> {
        if let Some(snapshot) = self.snapshot.get()
            && let Some(variables) = Variables::of(&snapshot)
            && Variables::current() == Some(variables)
        {
            return Ok(snapshot);
        }
        let snapshot = copy_current()?;
        self.snapshot.set(Some(snapshot.clone()));
        Ok(snapshot)
    }

    /// Puts a copy for somebody to have into the place of a snapshot.
    pub fn own(&self, place: &Slot) -> PyResult<()> {
        if let Some(snapshot) = self.begin(place)? {
            self.let_go(&snapshot);
        }
        Ok(())
    }

    /// Puts a copy to run in into the place of a snapshot, which it returns if others wait for
    /// it as well: for [`Copies::finish`]. Somebody else may have been quicker, in what the
    /// collector runs; then that stays in the place.
    #[inline]
    pub fn begin(&self, place: &Slot) -> PyResult<Option<Obj>> {
        let Some(snapshot) = place.get() else { return Ok(None) };
        if self.is_last(&snapshot, 2) {
            return Ok(None);
        }
        let own = match self.spare.take() {
            Some(spare) if is_like(&spare, 1, &snapshot) => spare,
            _ => copy(&snapshot)?,
        };
        // The collector may have run meanwhile, and with it anything.
        if place.holds(&snapshot) {
            place.set(Some(own));
        }
        Ok(Some(snapshot))
    }

    /// The callback has run; `place` is where the copy is in which it did, if nobody will ask
    /// for it.
    #[inline]
    pub fn finish(&self, place: Option<&Slot>, snapshot: &Obj) {
        if !self.is_last(snapshot, 1)
            && let Some(place) = place
            && place.get().is_some_and(|own| is_like(&own, 2, snapshot))
        {
            self.spare.set(place.take());
        }
    }

    /// Somebody who would have run in the snapshot will not.
    pub fn let_go(&self, snapshot: &Obj) {
        self.is_last(snapshot, 1);
    }

    /// Whether nobody waits for this snapshot but who asks, by whom it is `held` so many times;
    /// then nothing of it is kept here.
    #[inline]
    fn is_last(&self, snapshot: &Obj, held: isize) -> bool {
        let is_latest = self.snapshot.holds(snapshot);
        let last = snapshot.reference_count() == held + isize::from(is_latest);
        if last {
            if is_latest {
                self.snapshot.set(None);
            }
            self.spare.set(None);
        }
        last
    }

    /// Shows what it holds to the collector.
    pub fn traverse(&self, visitor: &mut Visitor) {
        visitor.slot(&self.snapshot);
        visitor.slot(&self.spare);
    }

    /// Breaks cycles.
    pub fn clear(&self) {
        self.snapshot.set(None);
        self.spare.set(None);
    }
}

/// Whether `copy` is what it was when it was made of `snapshot`, and nobody has it but who asks,
/// by whom it is `held` so many times.
#[inline]
fn is_like(copy: &Obj, held: isize, snapshot: &Obj) -> bool {
    copy.reference_count() == held
        && Variables::of(copy).is_some_and(|it| Variables::of(snapshot) == Some(it))
}
