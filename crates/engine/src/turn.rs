//! The fairness bound: when a turn may skip the poll.
//!
//! While work is ready a poll costs a system call that seldom finds anything, so
//! a turn may skip it, but only within a bound: a poll happens at least every
//! [`MAX_TURNS`] turns, every [`MAX_TURNS_WATCHING`] while any file is watched for the program,
//! and at least every [`MAX_NANOS`] nanoseconds, whichever
//! comes first. I/O and signals therefore wait for a spinner no longer than
//! that (plus the turn that is running). The bound is the same for every use,
//! benchmarks included.
//!
//! asyncio polls in every turn, and programs whose connections have both ends in one loop (tests,
//! mostly) expect an answer before their other tasks have taken many steps. So the bound is narrow
//! where there is I/O, and there is none after a file was newly watched ([`PollBudget::exhaust`]):
//! what waits in it comes in the next turn.
//!
//! One turn is free: the one after a poll that has found [`MANY_EVENTS`]. It runs what the events
//! have caused (a task wakes up because its protocol has received a request), however long the
//! events themselves took. A poll in between would bring the next requests while the answers to
//! the first ones are still to be made: it would take place twice as often and find half as much.
//!
//! Reading the clock costs as much as a short turn does otherwise. So while turns
//! take less than [`BRISK_NANOS`] each, up to [`MAX_UNTIMED`] more of at most
//! [`SHORT_TURN`] entries may pass without a look at it, when no timer waits for it
//! either: the time may be over by so much.

use crate::clock::Instant;

/// At most this many turns run between two polls.
pub const MAX_TURNS: u32 = 64;

/// The same while there are files that might become ready.
pub const MAX_TURNS_WATCHING: u32 = 3;

/// At most this much time passes between two polls (50 µs), plus one turn.
pub const MAX_NANOS: u64 = 50_000;

/// At most this many turns in a row run without a look at the clock.
pub const MAX_UNTIMED: u32 = 7;

/// A turn with more entries than this is never run without a look at the clock.
pub const SHORT_TURN: usize = 8;

/// As many events are work that a poll in between would split. The one or two connections of a
/// small program do not come to it, so that its turns follow one another as asyncio's do.
pub const MANY_EVENTS: usize = 4;

/// Turns that take less, on the average since the last look at the clock, are likely to be
/// followed by others that do (2 µs).
pub const BRISK_NANOS: u64 = 2_000;

/// Counts the turns since the last poll.
#[derive(Debug)]
pub struct PollBudget {
    turns: u32,
    untimed: u32,
    /// Whether the turns since the former look at the clock were brisk ones.
    brisk: bool,
    /// Whether the last poll has found many events.
    found_many: bool,
    last_look: Instant,
    last_poll: Instant,
}

impl Default for PollBudget {
    /// A new loop polls in its first turn.
    fn default() -> Self {
        Self {
            turns: MAX_TURNS,
            untimed: 0,
            brisk: false,
            found_many: false,
            last_look: Instant(0),
            last_poll: Instant(0),
        }
    }
}

impl PollBudget {
    /// Whether this turn, which has work ready, may go without a poll; `most` is the bound of turns.
    #[inline]
    pub fn may_skip(&mut self, now: Instant, most: u32) -> bool {
        self.turns += 1;
        let passed = u64::from(self.untimed) + 1;
        self.brisk = now.nanos_since(self.last_look) < passed * BRISK_NANOS;
        self.last_look = now;
        self.untimed = 0;
        let free = self.found_many && self.turns == 1;
        free || self.turns < most && now.nanos_since(self.last_poll) < MAX_NANOS
    }

    /// Whether this turn, which has `entries` ready and no timer to look after, may go
    /// without a poll and without a look at the clock. If not, [`Self::may_skip`] decides.
    #[inline]
    pub fn may_skip_untimed(&mut self, entries: usize, most: u32) -> bool {
        let may = self.brisk
            && self.untimed < MAX_UNTIMED
            && self.turns + 1 < most
            && (1..=SHORT_TURN).contains(&entries);
        if may {
            self.turns += 1;
            self.untimed += 1;
        }
        may
    }

    /// Makes the next turn poll: a run begins with what the system has to say, and so does the life
    /// of a file in the loop.
    pub fn exhaust(&mut self) {
        self.turns = MAX_TURNS;
    }

    /// Notes a poll, and how many events it has found.
    #[inline]
    pub fn polled(&mut self, now: Instant, found: usize) {
        self.turns = 0;
        self.untimed = 0;
        self.brisk = false;
        self.found_many = found >= MANY_EVENTS;
        self.last_look = now;
        self.last_poll = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_again_after_the_turns_run_out() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        let skipped = (0..1000).take_while(|_| budget.may_skip(Instant(1), MAX_TURNS)).count();
        assert_eq!(skipped, MAX_TURNS as usize - 1);
    }

    #[test]
    fn polls_sooner_while_files_are_watched_and_at_once_when_one_is_new() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        let may_skip = |budget: &mut PollBudget| {
            budget.may_skip_untimed(1, MAX_TURNS_WATCHING)
                || budget.may_skip(Instant(1), MAX_TURNS_WATCHING)
        };
        let skipped = (0..1000).take_while(|_| may_skip(&mut budget)).count();
        assert_eq!(skipped, MAX_TURNS_WATCHING as usize - 1);
        budget.polled(Instant(0), MANY_EVENTS);
        budget.exhaust();
        assert!(!may_skip(&mut budget));
    }

    #[test]
    fn polls_again_after_the_time_runs_out() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        assert!(budget.may_skip(Instant(MAX_NANOS - 1), MAX_TURNS));
        assert!(!budget.may_skip(Instant(MAX_NANOS), MAX_TURNS));
    }

    #[test]
    fn runs_what_events_have_caused_before_it_asks_for_more() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), MANY_EVENTS);
        assert!(budget.may_skip(Instant(10 * MAX_NANOS), MAX_TURNS));
        assert!(!budget.may_skip(Instant(10 * MAX_NANOS), MAX_TURNS), "one turn only");
        budget.polled(Instant(0), MANY_EVENTS - 1);
        assert!(!budget.may_skip(Instant(MAX_NANOS), MAX_TURNS), "after many events only");
        budget.polled(Instant(0), MANY_EVENTS);
        budget.exhaust();
        assert!(!budget.may_skip(Instant(0), MAX_TURNS), "a run begins with a poll");
    }

    #[test]
    fn looks_at_the_clock_after_a_few_short_turns() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        assert!(!budget.may_skip_untimed(1, MAX_TURNS), "how long turns take is not known yet");
        assert!(budget.may_skip(Instant(BRISK_NANOS - 1), MAX_TURNS));
        for _ in 0..MAX_UNTIMED {
            assert!(budget.may_skip_untimed(SHORT_TURN, MAX_TURNS));
        }
        assert!(!budget.may_skip_untimed(1, MAX_TURNS));
        assert!(budget.may_skip(Instant(BRISK_NANOS), MAX_TURNS));
        assert!(!budget.may_skip_untimed(SHORT_TURN + 1, MAX_TURNS));
        assert!(!budget.may_skip_untimed(0, MAX_TURNS));
        assert!(budget.may_skip_untimed(1, MAX_TURNS));
        assert!(!budget.may_skip(Instant(MAX_NANOS), MAX_TURNS));
    }

    #[test]
    fn looks_at_the_clock_each_time_when_turns_take_long() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        assert!(budget.may_skip(Instant(1), MAX_TURNS));
        assert!(budget.may_skip_untimed(1, MAX_TURNS));
        assert!(budget.may_skip(Instant(1 + 2 * BRISK_NANOS), MAX_TURNS));
        assert!(!budget.may_skip_untimed(1, MAX_TURNS));
    }

    #[test]
    fn untimed_turns_count_as_turns() {
        let mut budget = PollBudget::default();
        budget.polled(Instant(0), 0);
        let skipped = (0..1000)
            .take_while(|_| {
                budget.may_skip_untimed(1, MAX_TURNS) || budget.may_skip(Instant(1), MAX_TURNS)
            })
            .count();
        assert_eq!(skipped, MAX_TURNS as usize - 1);
        budget.exhaust();
        assert!(!budget.may_skip_untimed(1, MAX_TURNS));
    }

    #[test]
    fn first_turn_of_a_loop_and_of_a_run_polls() {
        let mut budget = PollBudget::default();
        assert!(!budget.may_skip(Instant::now(), MAX_TURNS));
        budget.polled(Instant(0), 0);
        budget.exhaust();
        assert!(!budget.may_skip(Instant(0), MAX_TURNS));
    }
}
