//! Figures of the kernel about this process, under the names that Prometheus clients use.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The use of resources by this process.
#[derive(Clone, Copy, Debug)]
pub struct ProcessUse {
    /// Time on all cores.
    pub cpu: Duration,
    /// Memory in bytes.
    pub resident_memory: u64,
    /// Address space in bytes.
    pub virtual_memory: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// The limit of these; `None` without one.
    pub max_files: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// The start, since the epoch.
    pub started: Duration,
}

/// Reads `/proc`; `None` where there is none.
pub fn process_use() -> Option<ProcessUse> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime = Duration::try_from_secs_f64(uptime.split(' ').next()?.parse().ok()?).ok()?;
    let now = now()?;
    // The entry of the folder that is being read counts too.
    let open_files = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    let fields = fields_of(&stat)?;
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / clock_ticks_per_second().max(1));
    Some(ProcessUse {
        cpu: time(number(UTIME)? + number(STIME)?),
        resident_memory: number(RSS)? * u64::try_from(page_size()).ok()?,
        virtual_memory: number(VSIZE)?,
        open_files: u64::try_from(open_files).ok()?,
        max_files: getrlimit(Resource::Nofile).current,
        threads: number(NUM_THREADS)?,
        started: now.checked_sub(uptime)? + time(number(STARTTIME)?),
    })
}

/// The time of the machine, since the epoch: the start of a process has no other.
fn now() -> Option<Duration> {
    #[expect(clippy::disallowed_methods, reason = "the kernel goes by this clock as well")]
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

/// Fields of proc(5), counted from the one after the name.
const UTIME: usize = 11;
const STIME: usize = 12;
const NUM_THREADS: usize = 17;
const STARTTIME: usize = 19;
const VSIZE: usize = 20;
const RSS: usize = 21;

/// The fields behind the name, which is in brackets and may hold anything.
fn fields_of(stat: &str) -> Option<Vec<&str>> {
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_ascii_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_an_age() {
        let Some(used) = process_use() else { return };
        assert!(used.resident_memory > 1_000_000 && used.virtual_memory >= used.resident_memory);
        assert!(used.open_files >= 3 && used.threads >= 1, "{used:?}");
        let age = now().unwrap().saturating_sub(used.started);
        assert!(age < Duration::from_hours(1) && used.cpu < Duration::from_hours(8), "{used:?}");
    }

    #[test]
    fn a_name_with_brackets_and_spaces_is_one_field() {
        let stat = "42 (a) b (c) S 1 2";
        assert_eq!(fields_of(stat).unwrap(), ["S", "1", "2"]);
    }
}
