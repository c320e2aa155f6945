//! The run loop: turns of poll, timers, callbacks.

use batuta_engine::clock::Instant;
use batuta_engine::driver::{Driver, Event};
use batuta_engine::turn::{MAX_TURNS, MAX_TURNS_WATCHING};
use rustix::io::Errno;

use crate::asyncio::names;
use crate::ffi::panic::catch_panic;
use crate::ffi::{Obj, Py, PyResult, Raised, context, gil};
use crate::handle::{HasCore, RunBy, foreign_is_cancelled, trim_pools};
use crate::task::{Task, settle, settle_unless_needed};

use super::entry::Entry;
use super::ready::TaskStep;
use super::running::Running;
use super::{Io, NativeLoop, Owner, Ready, Side, Watcher};

/// What so many entries need may still be in the caches since they were added.
const IN_CACHE: usize = 1024;
/// How far ahead objects are fetched, and what they refer to, in entries.
const FAR_AHEAD: usize = 8;
const NEAR_AHEAD: usize = 4;

impl NativeLoop {
    /// Runs turns until `stop()`.
    pub(super) fn run_turns(this: &Py<Self>) -> PyResult<()> {
        let _running = Running::begin(this);
        this.budget.borrow_mut().exhaust();
        this.replaced.forget();
        let turns = loop {
            let turn = this.run_turn();
            if turn.is_err() || this.stopping.get() {
                break turn;
            }
        };
        finish_run(this, turns)
    }

    /// Runs one turn.
    pub(super) fn run_one_turn(this: &Py<Self>) -> PyResult<()> {
        let _running = Running::begin(this);
        let turn = this.run_turn();
        finish_run(this, turn)
    }
}

/// Leaves the last task, after whatever came out of the turns.
fn finish_run(this: &Py<NativeLoop>, turns: PyResult<()>) -> PyResult<()> {
    match turns {
        Ok(()) => settle(this),
        Err(raised) => {
            let exception = raised.take();
            if let Err(second) = settle(this) {
                second.unraisable(this.as_obj());
            }
            Err(Raised::restore(exception))
        }
    }
}

impl Py<NativeLoop> {
    /// One turn: poll (or skip it within the bound), queue what is due, then run
    /// a snapshot of the queue.
    fn run_turn(&self) -> PyResult<()> {
        self.turn.set(self.turn.get().wrapping_add(1));
        self.look_at_handles()?;
        let mut entries = self.ready.borrow().len();
        if entries == 0 {
            // What dies with the last task may queue something, set a timer or stop the loop:
            // before anybody decides how long to sleep.
            settle(self)?;
            entries = self.ready.borrow().len();
        }
        let untimed = self.timers.borrow().is_empty()
            && self.budget.borrow_mut().may_skip_untimed(entries, self.most_turns());
        if !untimed {
            self.poll_and_look_at_timers(entries == 0)?;
        }

        let snapshot = self.ready.borrow().len();
        let before = self.held.set_in_turn(true);
        let ran = self.run_entries(snapshot);
        self.held.set_in_turn(before);
        if self.held.any() {
            self.send_held(ran)?;
        } else {
            ran?;
        }
        self.ready.borrow_mut().relax();
        Ok(())
    }

    /// How many turns may go by between two polls.
    #[inline]
    fn most_turns(&self) -> u32 {
        let watches = self.registry.borrow().len() > self.own_files.get();
        if watches { MAX_TURNS_WATCHING } else { MAX_TURNS }
    }

    /// Runs so many entries.
    #[inline]
    fn run_entries(&self, count: usize) -> PyResult<()> {
        let is_long = count > IN_CACHE;
        for _ in 0..count {
            if is_long {
                self.look_ahead();
            }
            let Some(entry) = self.ready.borrow_mut().pop() else { break };
            let entry = Ready::from(entry);
            if self.replaced.runs_handles() {
                self.dispatch_by_program(entry)?;
            } else if self.debug.get() {
                self.dispatch_watched(entry)?;
            } else {
                self.dispatch(entry)?;
            }
            if self.held.any() && self.held.is_due() {
                self.send_held(Ok(()))?;
            }
        }
        Ok(())
    }

    /// Has what the next entries need fetched into the caches while this one runs.
    #[inline]
    fn look_ahead(&self) {
        let ready = self.ready.borrow();
        if let Some(entry) = ready.peek(FAR_AHEAD) {
            entry.prefetch();
        }
        if let Some(entry) = ready.peek(NEAR_AHEAD) {
            entry.prefetch_held();
        }
    }

    /// Polls unless the turn may do without, and queues the timers that are due.
    fn poll_and_look_at_timers(&self, idle: bool) -> PyResult<()> {
        let mut now = Instant::now();
        let by_program = self.selects_by_program.get();
        if idle || by_program || !self.budget.borrow_mut().may_skip(now, self.most_turns()) {
            let sleeps = idle && !self.stopping.get();
            let timeout = if sleeps { self.time_to_next_timer(now)? } else { Some(0) };
            if by_program {
                self.select_by_program(timeout)?;
                now = Instant::now();
            } else {
                (_, now) = self.poll_counted(timeout)?;
            }
        }
        self.queue_due_timers(now)
    }

    /// Polls, and notes that in the budget. Says how many events there were, and when that was.
    #[inline]
    pub(super) fn poll_counted(&self, timeout: Option<u64>) -> PyResult<(usize, Instant)> {
        let found = self.poll(timeout)?;
        let now = Instant::now();
        self.budget.borrow_mut().polled(now, found);
        Ok((found, now))
    }

    /// In nanoseconds; nothing if no timer waits.
    #[inline]
    pub(super) fn time_to_next_timer(&self, now: Instant) -> PyResult<Option<u64>> {
        let next = self.timers.borrow_mut().next_due();
        match next.filter(|due| *due != Instant::FAR) {
            Some(due) => {
                NativeLoop::time_of_timers(self, now).map(|now| Some(due.nanos_since(now)))
            }
            None => Ok(None),
        }
    }

    #[inline]
    fn queue_due_timers(&self, now: Instant) -> PyResult<()> {
        if self.timers.borrow().is_empty() {
            return Ok(());
        }
        let now = NativeLoop::due_by(self, now)?;
        let mut ready = self.ready.borrow_mut();
        self.timers.borrow_mut().take_due(now, |due| ready.push(Entry::from(Ready::from(due))));
        Ok(())
    }

    /// Waits for events, at most `timeout` nanoseconds; gives the lock up unless
    /// the wait cannot block. Then runs the handlers of signals. Says how many events
    /// there were.
    fn poll(&self, timeout: Option<u64>) -> PyResult<usize> {
        settle(self)?;
        let io = self.io()?;
        let mut events = self.events.take();
        let waited = if timeout == Some(0) {
            io.driver.wait(&mut events, timeout)
        } else {
            trim_pools();
            let driver = &io.driver;
            // A program's own clock, asked for the timeout, may have let another thread in.
            let timeout = if self.ready.borrow().is_empty() { timeout } else { Some(0) };
            self.polling.set(true);
            let waited = gil::without(|| driver.wait(&mut events, timeout));
            self.polling.set(false);
            waited
        };
        let result = match waited {
            Ok(()) => {
                let mut found = 0;
                for event in events.iter() {
                    self.queue_event(event, &io);
                    found += 1;
                }
                Ok(found)
            }
            Err(Errno::INTR) => Ok(0),
            Err(errno) => Err(Raised::os_error(errno)),
        };
        self.events.set(events);
        let found = result?;
        if self.answered.replace(false) {
            crate::resolve::deliver(self)?;
        }
        // Handlers of signals are Python code and may raise: after everything
        // else that the wait has brought is in the queue.
        if self.signalled.replace(false) {
            self.queue_signals(&io)?;
        }
        gil::check_signals()?;
        Ok(found)
    }

    /// Queues what an event calls for.
    #[inline]
    fn queue_event(&self, event: Event, io: &Io) {
        let Event { token, readiness } = event;
        match self.registry.borrow().resolve(token) {
            None => {}
            Some(Owner::Transport(_)) => self.push(Ready::Io(event.into())),
            Some(Owner::User(watchers)) => {
                let mut waits = false;
                let sides = [(Side::Read, readiness.read), (Side::Write, readiness.write)];
                for (side, ready) in sides {
                    match watchers.get(side) {
                        Some(Watcher::Callback(handle)) if ready => {
                            self.push(Ready::Handle(handle.clone().into()));
                        }
                        Some(Watcher::Waiter(_)) if ready => waits = true,
                        _ => {}
                    }
                }
                if waits {
                    self.push(Ready::Io(event.into()));
                }
            }
            Some(Owner::Waker) => io.waker.noticed(),
            Some(Owner::Signals) => self.signalled.set(true),
            Some(Owner::Answers) => self.answered.set(true),
        }
    }

    /// Queues the handlers of the signals that have arrived.
    #[cold]
    fn queue_signals(&self, io: &Io) -> PyResult<()> {
        let mut result = Ok(());
        for signal in io.signals.drain() {
            // An exception (Ctrl-C, say) must not lose the signals behind it.
            let kept = result.map_err(Raised::take);
            let handled = Obj::int(i64::from(signal)).and_then(|number| {
                self.as_obj().call_method1(&names()._handle_signal, &number).map(drop)
            });
            result = match kept {
                Ok(()) => handled,
                Err(exception) => {
                    if let Err(second) = handled {
                        second.unraisable(self.as_obj());
                    }
                    Err(Raised::restore(exception))
                }
            };
        }
        result
    }

    /// Runs one entry.
    #[inline]
    fn dispatch(&self, entry: Ready) -> PyResult<()> {
        match entry {
            Ready::Step(task, exception) => {
                settle_unless_needed(self, &task)?;
                let thrown = exception.clone();
                context::run_in(&task.context(), || Task::step_in_turn(&task, self, thrown))
                    .or_else(|raised| self.native_step_failed(raised, &task, exception))
            }
            Ready::Wakeup(task, future) => {
                settle_unless_needed(self, &task)?;
                context::run_in(&task.context(), || Task::wakeup_in_turn(&task, self, &future))
                    .or_else(|raised| self.native_wakeup_failed(raised, &task, future))
            }
            other => {
                settle(self)?;
                self.dispatch_other(other)
            }
        }
    }

    /// Runs one entry that is not a step of a native task.
    #[inline]
    pub(super) fn dispatch_other(&self, entry: Ready) -> PyResult<()> {
        match entry {
            Ready::TaskStep(step) => {
                let TaskStep { callable, future, context } = *step;
                let result = context::run_in(&context, || match &future {
                    None => callable.call0(),
                    Some(future) => callable.call1(future),
                });
                match result {
                    Ok(_) => Ok(()),
                    Err(raised) => self.step_failed(raised, &callable, future, &context),
                }
            }
            // `dispatch` runs these.
            Ready::Step(..) | Ready::Wakeup(..) => Ok(()),
            Ready::Observer(observer, future) => observer
                .notify(&future)
                .or_else(|raised| self.observer_failed(raised, &observer, future)),
            Ready::Alarm(alarm) => alarm.ring().or_else(|raised| self.alarm_failed(raised, &alarm)),
            Ready::Handle(handle) => self.run_handle(handle.as_obj(), handle.core(), RunBy::Queue),
            Ready::Timer(timer) => self.run_handle(timer.as_obj(), timer.core(), RunBy::Queue),
            #[cfg(Py_3_14)]
            Ready::ThreadSafe(handle) => {
                crate::handle::ThreadSafeHandle::run_in(&handle, self, RunBy::Queue)
            }
            Ready::Foreign(handle) => run_foreign(&handle),
            Ready::Io(event) => {
                let transport = match self.registry.borrow().resolve(event.token()) {
                    Some(Owner::Transport(transport)) => Some(transport.clone()),
                    Some(Owner::User(_)) => None,
                    _ => return Ok(()),
                };
                let Some(transport) = transport else {
                    return self.serve_waiters(event.token(), event.readiness());
                };
                catch_panic(|| transport.on_ready(event.readiness()))
                    .or_else(|raised| self.transport_failed(raised, &transport.to_obj()))
            }
        }
    }

    /// Runs one entry in debug mode.
    #[cold]
    fn dispatch_watched(&self, entry: Ready) -> PyResult<()> {
        if let Ready::Io(event) = &entry {
            let who = match self.registry.borrow().resolve(event.token()) {
                Some(Owner::Transport(transport)) => transport.to_obj(),
                // Began to wait before debug mode was switched on.
                Some(Owner::User(watchers)) => [Side::Read, Side::Write]
                    .iter()
                    .find_map(|side| watchers.waiter(*side))
                    .map_or_else(Obj::none, |waiter| waiter.as_obj().clone()),
                _ => return Ok(()),
            };
            let describe = || Obj::str(&format!("<Handle {}>", who.repr_lossy()));
            return self.watched(None, describe, || self.dispatch(entry));
        }
        let handle = entry.handle();
        let describe = || match &handle {
            Some(handle) => NativeLoop::describe_handle(handle),
            // A task's step that was queued before debug mode was switched on.
            None => Obj::str("<Handle of a task's step>"),
        };
        self.watched(handle.as_ref(), describe, || self.dispatch(entry).and_then(|()| settle(self)))
    }
}

fn run_foreign(handle: &Obj) -> PyResult<()> {
    if foreign_is_cancelled(handle)? {
        return Ok(());
    }
    handle.call_method0(&names()._run).map(drop)
}
