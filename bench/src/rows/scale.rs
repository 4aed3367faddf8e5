//! Many functions that nobody calls, and many calls that sleep: what a tree costs that is wide and idle.
//!
//! Each side is measured in a process of its own, which has done nothing before: memory that was once used says nothing of
//! memory that is needed.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use greenroom_actors::{
    CallOptions,
    spec::{FunctionId, PoolSpec},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{Figure, Row, Sides, Target};
use crate::{
    bare::sleeper::Sleepers,
    guests::Guest,
    lab::Lab,
    ours::{TIMEOUT, Tree, function},
};

/// Functions that are loaded, and calls that sleep.
const MANY: usize = 10_000;

/// The same where figures mean nothing.
const FEW: usize = 100;

/// How long a call sleeps: long enough for all to be asleep at once.
const ASLEEP: Duration = Duration::from_secs(1);

/// How long a process is left alone before its memory is looked at.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(Load), Box::new(Asleep)]
}

/// What is measured in a process of its own.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Side {
    /// Loading functions from a registry.
    Load,
    /// Calls asleep in ours.
    Asleep,
    /// The same in plain tasks.
    AsleepBare,
}

/// What was found there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// From the first that was asked for to the last that was done.
    pub seconds: f64,
    /// Memory that became resident meanwhile: what stays of loading, and the most that calls had at a time.
    pub bytes: f64,
}

/// Measures one side, in a process of its own.
///
/// # Errors
/// What that process says.
fn apart(side: Side, count: usize, registry: Option<&Path>) -> anyhow::Result<Found> {
    let name = clap::ValueEnum::to_possible_value(&side).context("a side without a name")?;
    let mut process = Command::new(std::env::current_exe()?);
    process.arg("scale").arg(name.get_name()).arg(count.to_string()).args(registry);
    let output = process.output().context("this program cannot be started again")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures one side in this process.
///
/// # Errors
/// Whatever makes its figures worthless.
pub fn here(lab: &Lab, side: Side, count: usize, registry: Option<PathBuf>) -> anyhow::Result<Found> {
    match side {
        Side::Load => load(lab, registry.context("there is no registry to load")?),
        Side::Asleep => asleep(lab, count),
        Side::AsleepBare => asleep_bare(lab, count),
    }
}

struct Load;

impl Row for Load {
    fn name(&self) -> String {
        format!("load-{MANY}")
    }

    fn about(&self) -> String {
        format!("{MANY} functions of one binary and with lazy pools, loaded from a registry, which nobody calls")
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |what, unit, baseline, most| {
            let name = format!("{}: {what}", self.name());
            Figure { name, unit, baseline, target: Target::AtMost(most) }
        };
        vec![
            figure("time", "s", "none", 2.0),
            // What one function alone takes is what all have in common.
            figure("memory of each", "KiB", "none", 16.0),
        ]
    }

    fn rounds(&self, default: usize) -> usize {
        default.min(5)
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let count = if lab.pace.is_smoke() { FEW } else { MANY };
        Ok(Box::new(Loaded { count, many: registry(count)?, one: registry(1)? }))
    }
}

struct Loaded {
    count: usize,
    many: TempDir,
    one: TempDir,
}

impl Sides for Loaded {
    fn ours(&mut self, _time: Duration) -> anyhow::Result<Vec<f64>> {
        let many = apart(Side::Load, self.count, Some(self.many.path()))?;
        let one = apart(Side::Load, 1, Some(self.one.path()))?;
        Ok(vec![many.seconds, (many.bytes - one.bytes) / (self.count - 1) as f64 / 1024.0])
    }
}

/// A registry of so many functions of one binary, as small as they can be written.
fn registry(functions: usize) -> anyhow::Result<TempDir> {
    let (guest, folder) = (Guest::Greet, tempfile::tempdir()?);
    let hash = Sha256::digest(guest.bytes()).iter().fold(String::new(), |mut hash, byte| {
        // Writing to a string does not fail.
        write!(hash, "{byte:02x}").ok();
        hash
    });
    let mut text = "version: \"1.0\"\nnamespace: bench\nentries:\n".to_owned();
    text += "  - name: binaries\n    kind: fs.directory\n    directory: ./\n";
    for index in 0..functions {
        write!(
            text,
            "  - name: greet_{index}\n    kind: function.wasm\n    fs: binaries\n    path: /greet.wasm\n    \
             hash: sha256:{hash}\n    method: {}\n    pool: {{type: lazy}}\n    limits: {{max_execution_ms: 10000}}\n",
            guest.method()
        )?;
    }
    std::fs::write(folder.path().join("greet.wasm"), guest.bytes())?;
    std::fs::write(folder.path().join("_index.yaml"), text)?;
    Ok(folder)
}

fn load(lab: &Lab, registry: PathBuf) -> anyhow::Result<Found> {
    let before = resident("VmRSS:")?;
    let began = Instant::now();
    let runtime = lab.callers.block_on(greenroom::Runtime::builder().registry(registry).start())?;
    let seconds = began.elapsed().as_secs_f64();
    std::thread::sleep(SETTLED_AFTER);
    let bytes = resident("VmRSS:")? - before;
    lab.callers.block_on(runtime.shutdown(Duration::from_secs(10)));
    Ok(Found { seconds, bytes })
}

struct Asleep;

impl Row for Asleep {
    fn name(&self) -> String {
        format!("asleep-{MANY}")
    }

    fn about(&self) -> String {
        format!("{MANY} calls of one function at once, each asleep in a clock of WASI for {ASLEEP:?}")
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |what, unit, most| {
            let (name, baseline) = (format!("{}: {what}", self.name()), "plain tasks that hold the same instances");
            Figure { name, unit, baseline, target: Target::RatioAtMost(most) }
        };
        vec![figure("memory", "MiB", 1.3), figure("time", "s", 1.1)]
    }

    fn rounds(&self, default: usize) -> usize {
        default.min(5)
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        Ok(Box::new(Sleeping { count: if lab.pace.is_smoke() { FEW } else { MANY } }))
    }
}

struct Sleeping {
    count: usize,
}

impl Sides for Sleeping {
    fn ours(&mut self, _time: Duration) -> anyhow::Result<Vec<f64>> {
        let Found { seconds, bytes } = apart(Side::Asleep, self.count, None)?;
        Ok(vec![bytes / f64::from(1 << 20), seconds])
    }

    fn baseline(&mut self, _time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        let Found { seconds, bytes } = apart(Side::AsleepBare, self.count, None)?;
        Ok(vec![Some(bytes / f64::from(1 << 20)), Some(seconds)])
    }
}

fn sleep() -> anyhow::Result<Guest> {
    Ok(Guest::Sleep { millis: u64::try_from(ASLEEP.as_millis())? })
}

fn asleep(lab: &Lab, count: usize) -> anyhow::Result<Found> {
    let guest = sleep()?;
    let id = FunctionId::new("bench", "sleep")?;
    let tree = Tree::start(lab, "asleep", vec![function(id.clone(), guest, PoolSpec::lazy(count), 1)])?;
    at_once(lab, count, || {
        let (runtime, id) = (tree.runtime().clone(), id.clone());
        async move {
            let answer = runtime.call_vals(id.as_str(), guest.args(), CallOptions::timeout(TIMEOUT)).await;
            guest.check(answer?.as_ref())
        }
    })
}

fn asleep_bare(lab: &Lab, count: usize) -> anyhow::Result<Found> {
    let sleepers = Arc::new(Sleepers::new(sleep()?)?);
    at_once(lab, count, || {
        let sleepers = Arc::clone(&sleepers);
        async move { sleepers.sleep().await }
    })
}

/// Has so many tasks at once, and looks how long that takes, and what memory.
fn at_once<F>(lab: &Lab, count: usize, task: impl Fn() -> F) -> anyhow::Result<Found>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    std::thread::sleep(SETTLED_AFTER);
    // From here on, the most is what it is now.
    std::fs::write("/proc/self/clear_refs", "5").context("the highest use of memory cannot be forgotten")?;
    let before = resident("VmRSS:")?;
    let began = Instant::now();
    lab.callers.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(task());
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("a caller panicked")??;
        }
        anyhow::Ok(())
    })?;
    Ok(Found { seconds: began.elapsed().as_secs_f64(), bytes: resident("VmHWM:")? - before })
}

/// Memory of this process that is resident, in bytes, now or at most.
fn resident(field: &str) -> anyhow::Result<f64> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("this system does not say what memory is used")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no memory is used")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0)
}
