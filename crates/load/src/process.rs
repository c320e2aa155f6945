//! What another process used: processor time by its own clock, context switches from `/proc`.

use std::fs;
use std::io;

/// The processor-time clock of a process: user and system time of all its threads, in nanoseconds.
#[derive(Clone, Copy)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub fn of(pid: i32) -> io::Result<Self> {
        let mut clock: libc::clockid_t = 0;
        // SAFETY: the pointer is to a live local that the call only writes.
        let code = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
        if code == 0 { Ok(Self(clock)) } else { Err(io::Error::from_raw_os_error(code)) }
    }

    pub fn own() -> Self {
        Self(libc::CLOCK_PROCESS_CPUTIME_ID)
    }

    pub fn now(self) -> io::Result<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a live local that the call only writes.
        if unsafe { libc::clock_gettime(self.0, &raw mut time) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        u64::try_from(nanoseconds).map_err(io::Error::other)
    }
}

/// What this process has used so far.
pub struct Usage {
    pub user_s: f64,
    pub system_s: f64,
    pub page_faults: i64,
}

pub fn own_usage() -> io::Result<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the pointer is to a live local of the right type that the call only writes.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and then has filled all of it.
    let usage = unsafe { usage.assume_init() };
    #[expect(clippy::cast_precision_loss, reason = "seconds of processor time are small numbers")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Usage {
        user_s: seconds(usage.ru_utime),
        system_s: seconds(usage.ru_stime),
        page_faults: usage.ru_minflt,
    })
}

/// How often the process's main thread had to leave a processor it still wanted.
pub fn involuntary_switches(pid: i32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other("no context switches in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel gives out process ids up to 2^22.
    const BEYOND_ALL_IDS: i32 = (1 << 22) + 1;

    #[test]
    fn the_clock_of_this_process_by_its_id_is_its_own_clock() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let by_id = CpuClock::of(pid).unwrap();
        let before = CpuClock::own().now().unwrap();
        let between = by_id.now().unwrap();
        let after = CpuClock::own().now().unwrap();
        assert!(before <= between && between <= after);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(CpuClock::of(BEYOND_ALL_IDS).is_err());
        assert!(involuntary_switches(BEYOND_ALL_IDS).is_err());
    }

    #[test]
    fn this_process_has_a_count_of_switches() {
        assert!(involuntary_switches(i32::try_from(std::process::id()).unwrap()).is_ok());
    }
}
