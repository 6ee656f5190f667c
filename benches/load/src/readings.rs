//! A process' memory and CPU time as the kernel reports them, and its limit on open files.

use std::fs;

use super::LoadError;

/// Files that a worker process has open beside its sockets.
const OTHER_FILES: u64 = 64;

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident.
    pub rss_kib: u64,
    /// The same with shared pages divided among their processes; 0 if it cannot be read.
    pub pss_kib: u64,
}

/// Reads the memory of a process and its descendants, as of a server with worker processes.
fn memory(pid: u32) -> Result<Memory, LoadError> {
    let mut all = one_memory(pid)?;
    for child in descendants(pid) {
        // One that has ended meanwhile has no memory.
        let Memory { rss_kib, pss_kib } = one_memory(child).unwrap_or_default();
        all.rss_kib += rss_kib;
        all.pss_kib += pss_kib;
    }
    Ok(all)
}

/// The memory of these processes together.
///
/// # Errors
/// There is no such process.
pub fn all_memory(pids: &[u32]) -> Result<Memory, LoadError> {
    let mut all = Memory::default();
    for pid in pids {
        let Memory { rss_kib, pss_kib } = memory(*pid)?;
        all.rss_kib += rss_kib;
        all.pss_kib += pss_kib;
    }
    Ok(all)
}

fn one_memory(pid: u32) -> Result<Memory, LoadError> {
    let rss_kib = value(&read(pid, "status")?, "VmRSS:").unwrap_or_default();
    let shared = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    Ok(Memory { rss_kib, pss_kib: value(&shared, "Pss:").unwrap_or_default() })
}

/// The children of a process, their children, and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        next += 1;
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all.split_off(1)
}

/// The CPU time so far, user and system, in µs, of a process and its descendants. The kernel counts
/// it in ticks, mostly of 10 ms.
///
/// # Errors
/// There is no such process.
pub fn cpu_us(pid: u32) -> Result<u64, LoadError> {
    let stat = read(pid, "stat")?;
    let own = ticks(&stat)
        .ok_or_else(|| LoadError::Failed(format!("/proc/{pid}/stat cannot be understood")))?;
    let others = descendants(pid).into_iter().filter_map(|child| ticks(&read(child, "stat").ok()?));
    let all = own + others.sum::<u64>();
    Ok(all * 1_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// User and system time; the name before them may contain any character.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

fn read(pid: u32, file: &str) -> Result<String, LoadError> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|error| LoadError::Failed(format!("--pid: process {pid}: {error}")))
}

fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Raises the limit on open files of this process (and those that it starts) as far as allowed, and
/// checks that `sockets` in one process fit.
///
/// # Errors
/// They do not; the text says how to make them fit.
pub fn allow_files(sockets: usize, whose: &str, remedy: &str) -> Result<(), LoadError> {
    let allowed = crate::open_files::raise_limit();
    let needed = u64::try_from(sockets).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if allowed < needed {
        return Err(LoadError::Wrong(format!(
            "--users: {whose} needs {needed} open files for {sockets} sockets, and the limit of \
             open files (ulimit -n, RLIMIT_NOFILE) is {allowed}: {remedy}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_cpu_time() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.rss_kib > 500 && memory.pss_kib > 0, "{memory:?}");
        let before = cpu_us(own).unwrap();
        let mut spent = 0_u64;
        while cpu_us(own).unwrap() < before + 20_000 {
            spent = spent.wrapping_add(1);
        }
        assert!(spent > 0);
        let error = cpu_us(u32::MAX).unwrap_err().to_string();
        assert!(error.starts_with("--pid: process 4294967295: "), "{error}");
    }

    #[test]
    fn descendants_count_too() {
        let shell = "while :; do :; done & echo $!; wait";
        let mut parent = std::process::Command::new("sh")
            .args(["-c", shell])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = parent.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let child = line.trim().parse::<u32>().unwrap();
        assert_eq!(descendants(parent.id()), [child]);
        while cpu_us(parent.id()).unwrap() < 50_000 {
            std::thread::yield_now(); // only the child computes
        }
        let both = memory(parent.id()).unwrap().rss_kib;
        assert!(both > one_memory(parent.id()).unwrap().rss_kib);
        let child = rustix::process::Pid::from_raw(i32::try_from(child).unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
        parent.wait().unwrap();
    }

    #[test]
    fn a_name_with_blanks_and_brackets_is_no_trouble() {
        let stat = "12 (a b) c) S 1 1 1 0 -1 4194560 1 2 3 4 70 8 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(78));
        assert_eq!(ticks("12 (x) S"), None);
    }

    #[test]
    fn too_many_sockets_for_one_process_are_refused_with_the_limits_name() {
        allow_files(1, "the tool", "").unwrap();
        if crate::open_files::raise_limit() < u64::MAX {
            let text = allow_files(usize::MAX, "a process", "use less").unwrap_err().to_string();
            for word in ["--users: a process", "RLIMIT_NOFILE", "ulimit -n", "use less"] {
                assert!(text.contains(word), "{text}");
            }
        }
    }
}
