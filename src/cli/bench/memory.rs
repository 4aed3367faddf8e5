//! The memory that calls take: what this process has resident while they run, beyond what it had before.

use std::{fs, time::Duration};

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bytes that this process has resident; `None` on systems that do not say.
pub(super) async fn resident() -> Option<u64> {
    // A file of the system's that is no file; still it is not read on a thread that others need.
    tokio::task::spawn_blocking(|| read(&fs::read_to_string("/proc/self/status").ok()?)).await.ok()?
}

fn read(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Notes the most that was seen in `peak`, and never ends.
pub(super) async fn watch(peak: &mut Option<u64>) -> std::convert::Infallible {
    loop {
        *peak = (*peak).max(resident().await);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_resident_bytes_are_those_of_the_status_file() {
        assert_eq!(read("VmSize:\t  20 kB\nVmRSS:\t    1234 kB\nThreads:\t4\n"), Some(1234 << 10));
        assert_eq!(read("VmSize:\t  20 kB\n"), None);
        assert_eq!(read("VmRSS:\t lots\n"), None);
    }
}
