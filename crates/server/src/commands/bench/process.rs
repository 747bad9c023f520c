//! What the system says of a process: its memory and its time on a processor.

use super::setback::Setback;
use std::fs;

/// Resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64, Setback> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(Setback::while_doing("a process cannot be looked at"))?;
    let kb = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kb| kb.trim().parse::<u64>().ok());
    kb.map(|kb| kb * 1024)
        .ok_or_else(|| Setback::Broken("the system does not tell a process's memory".to_owned()))
}

/// Seconds on a processor so far, to the hundredth.
pub fn cpu(pid: u32) -> Result<f64, Setback> {
    Ok(Times::of(pid)?.own())
}

/// The same for a process with all its children, those that have ended included.
pub fn cpu_of_family(parent: u32) -> Result<f64, Setback> {
    let head = Times::of(parent)?;
    let mut sum = head.own() + head.ended_children;
    let entries = fs::read_dir("/proc").map_err(Setback::while_doing("no /proc"))?;
    for entry in entries.flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        // A process may end while it is looked at; then its parent counts it.
        if let Some(times) = pid.and_then(|pid| Times::of(pid).ok())
            && times.parent == parent
        {
            sum += times.own();
        }
    }
    Ok(sum)
}

/// The parent of a process.
pub fn parent(pid: u32) -> Result<u32, Setback> {
    Ok(Times::of(pid)?.parent)
}

struct Times {
    parent: u32,
    user: f64,
    system: f64,
    ended_children: f64,
}

/// Ticks per second; the kernel tells user space always this number.
const TICKS: f64 = 100.0;

impl Times {
    fn of(pid: u32) -> Result<Times, Setback> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(Setback::while_doing("a process cannot be looked at"))?;
        Times::read(&stat).ok_or_else(|| {
            Setback::Broken("the system tells a process's times strangely".to_owned())
        })
    }

    fn read(stat: &str) -> Option<Times> {
        // The name stands in brackets and may hold anything; what follows is plain.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS);
        Some(Times {
            parent: fields.get(1)?.parse().ok()?,
            user: seconds(11)?,
            system: seconds(12)?,
            ended_children: seconds(13)? + seconds(14)?,
        })
    }

    fn own(&self) -> f64 {
        self.user + self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_the_name() {
        let stat = "7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 150 50 25 75 20 0 4 0 1 1 1";
        let times = Times::read(stat).expect("a good line");
        assert_eq!(
            (times.parent, times.own(), times.ended_children),
            (3, 2.0, 1.0)
        );
        assert!(Times::read("7 (short) S").is_none());
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let own = std::process::id();
        assert!(resident(own).expect("a figure") > 100_000);
        assert!(cpu_of_family(own).expect("a figure") >= cpu(own).expect("a figure") - 0.05);
        assert!(parent(own).expect("a parent") > 0);
    }
}
