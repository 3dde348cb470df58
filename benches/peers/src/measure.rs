//! What rows are made of: scratch directories, alternating rounds, medians, goals.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::engines::{Kind, redis};
use serde::{Deserialize, Serialize};

/// How a row is run.
pub struct Ctx {
    /// Where stores are made; everything in it is removed again.
    pub scratch: PathBuf,
    /// A short run, to see that all rows work.
    pub quick: bool,
    /// How long one engine is measured in one round.
    pub seconds: f64,
    pub rounds: usize,
    /// Entries of the long run.
    pub entries: u64,
    /// The engines to measure; none: all.
    pub only: Vec<Kind>,
}

impl Ctx {
    /// Those of `kinds` that are to be measured here: Redis only where it is installed.
    pub fn engines(&self, kinds: &[Kind]) -> Vec<Kind> {
        let wanted = |kind: &Kind| self.only.is_empty() || self.only.contains(kind);
        kinds.iter().copied().filter(wanted).filter(|kind| *kind != Kind::Redis || redis::installed()).collect()
    }

    /// An empty directory's path; what was there is removed, and the disk is at rest.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let dir = self.scratch.join(name);
        remove(&dir);
        std::fs::create_dir_all(&self.scratch).expect("a scratch directory");
        rustix::fs::sync();
        dir
    }

    /// This much of a full run's size in a quick one.
    pub fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// Calls `measure` for each of `what`, round after round, every other round the other way about.
    pub fn rounds<T: Copy>(
        &self,
        what: &[T],
        label: impl Fn(T) -> String,
        mut measure: impl FnMut(T) -> f64,
    ) -> Vec<Series> {
        let mut series: Vec<Series> = what.iter().map(|one| Series::new(label(*one))).collect();
        for round in 0..self.rounds {
            let mut order: Vec<usize> = (0..what.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                let (begun, used) = (Instant::now(), cpu_seconds());
                let value = measure(what[at]);
                let (took, used) = (begun.elapsed().as_secs_f64(), cpu_seconds() - used);
                eprintln!("    {}: {} (in {took:.1} s, {used:.1} s of processor)", series[at].engine, number(value));
                series[at].values.push(value);
            }
        }
        series
    }
}

pub fn remove(dir: &Path) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).expect("a scratch directory is ours to remove");
    }
}

/// Calls `step` until the time is over or it says that there is no more; returns how many it did per second.
pub fn rate(seconds: f64, mut step: impl FnMut() -> Option<u64>) -> f64 {
    let (begun, limit) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut done = 0;
    while begun.elapsed() < limit {
        match step() {
            Some(count) => done += count,
            None => break,
        }
    }
    done as f64 / begun.elapsed().as_secs_f64()
}

/// Logs that an engine writes before its tables: of a size that settings give, not the data.
const LOGS: [&str; 2] = ["log", "jnl"];

/// Bytes of a directory's files, as allocated on disk, logs left out.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(files) = std::fs::read_dir(dir) else { return 0 };
    files
        .flatten()
        .map(|file| match file.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&file.path()),
            Ok(_) if file.path().extension().is_some_and(|end| LOGS.iter().any(|log| end == *log)) => 0,
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// Bytes that this process has had written to disks.
pub fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("Linux tells");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("it tells this");
    line.parse().expect("a number")
}

/// Time that the machine's host gave to others, and all time, of all processors since the machine was started.
pub fn processor_times() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").expect("Linux tells");
    let line = stat.lines().next().expect("it tells this");
    let times: Vec<f64> = line.split_whitespace().skip(1).take(8).map(|time| time.parse().expect("a number")).collect();
    (times[7], times.iter().sum())
}

/// Seconds of processor time that all threads of this process have used.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields follow the name").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

/// A number of /proc/self/status, in bytes.
pub fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it tells this");
    let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") << 10
}

/// The value below which this part of the values lies.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    assert!(!values.is_empty(), "a quantile of nothing");
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// The values of one engine, one for each round.
#[derive(Serialize, Deserialize, Clone)]
pub struct Series {
    pub engine: String,
    pub values: Vec<f64>,
}

impl Series {
    pub fn new(engine: impl Into<String>) -> Series {
        Series { engine: engine.into(), values: Vec::new() }
    }

    pub fn one(engine: impl Into<String>, value: f64) -> Series {
        Series { engine: engine.into(), values: vec![value] }
    }

    pub fn median(&self) -> f64 {
        quantile(&mut self.values.clone(), 0.5)
    }

    /// Half the distance between the lowest and the highest, in percent of the median.
    pub fn spread(&self) -> f64 {
        let mut values = self.values.clone();
        let (low, high) = (quantile(&mut values, 0.0), quantile(&mut values, 1.0));
        (high - low) / 2.0 / self.median() * 100.0
    }
}

/// What a row must reach.
#[derive(Serialize, Deserialize, Clone)]
pub struct Goal {
    pub what: String,
    pub value: f64,
    pub bound: f64,
    pub at_least: bool,
}

impl Goal {
    pub fn at_least(what: impl Into<String>, value: f64, bound: f64) -> Goal {
        Goal { what: what.into(), value, bound, at_least: true }
    }

    pub fn at_most(what: impl Into<String>, value: f64, bound: f64) -> Goal {
        Goal { what: what.into(), value, bound, at_least: false }
    }

    pub fn met(&self) -> bool {
        if self.at_least { self.value >= self.bound } else { self.value <= self.bound }
    }
}

/// Points of a plot's line.
#[derive(Serialize, Deserialize, Clone)]
pub struct Curve {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

/// All that one row measured.
#[derive(Serialize, Deserialize, Clone, Default)]
pub struct Row {
    pub id: String,
    pub title: String,
    pub unit: String,
    pub series: Vec<Series>,
    pub goals: Vec<Goal>,
    pub notes: Vec<String>,
    pub curves: Vec<Curve>,
    /// Set by the run.
    pub quick: bool,
    pub date: String,
    #[serde(default)]
    pub commit: String,
    pub command: String,
    pub took_s: f64,
}

impl Row {
    pub fn new(title: &str, unit: &str, series: Vec<Series>) -> Row {
        Row { title: title.into(), unit: unit.into(), series, ..Row::default() }
    }

    pub fn median(&self, engine: &str) -> Option<f64> {
        self.series.iter().find(|series| series.engine == engine).map(Series::median)
    }

    /// The goal to be so many times an engine's figure, if that engine ran.
    pub fn ratio(&mut self, engine: &str, bound: f64) {
        if let (Some(ours), Some(theirs)) = (self.median("Tidelog"), self.median(engine)) {
            self.goals.push(Goal::at_least(format!("Tidelog / {engine}"), ours / theirs, bound));
        }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// A number for people.
pub fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1e6 => format!("{:.2}M", value / 1e6),
        large if large >= 1e4 => format!("{:.0}k", value / 1e3),
        large if large >= 1e3 => format!("{:.1}k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
