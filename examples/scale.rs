//! A large store, from its first entry to a clean verification, within its memory.
//!
//! `cargo run --release --example scale -- [--entries N] [--datasets D] [--versions V] [--memory BYTES] [--dir DIR]`
//!
//! It imports N entries (5 million) of 256 bytes over D datasets (1,000), V versions of each entity (4), seals, compacts,
//! closes, opens again, verifies, and reads some of it back. It ends with a failure if the process ever held more than the
//! memory option and 64 MiB, if `verify` finds anything, or if an entity is not what was written.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tidelog::{Batch, Cap, Cursor, Durability, Engine, Limits, Options, Receipt, Retention, verify};

const PAYLOAD: usize = 256;
const BATCH: u64 = 100;
const ALLOWANCE: u64 = 64 << 20;

struct Plan {
    entries: u64,
    datasets: u64,
    versions: u64,
    memory: u64,
    dir: Option<PathBuf>,
}

impl Plan {
    fn from_args() -> Result<Plan, String> {
        let mut plan = Plan { entries: 5_000_000, datasets: 1_000, versions: 4, memory: 256 << 20, dir: None };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let value = args.next().ok_or(format!("{flag} needs a value"))?;
            let number = || value.replace('_', "").parse::<u64>().map_err(|error| format!("{flag} {value}: {error}"));
            match flag.as_str() {
                "--entries" => plan.entries = number()?,
                "--datasets" => plan.datasets = number()?,
                "--versions" => plan.versions = number()?,
                "--memory" => plan.memory = number()?,
                "--dir" => plan.dir = Some(PathBuf::from(value)),
                _ => return Err(format!("{flag} is not known: --entries, --datasets, --versions, --memory, --dir")),
            }
        }
        if plan.datasets == 0 || plan.versions == 0 || plan.entries < plan.datasets {
            return Err("at least one entry for each dataset, and one version".to_owned());
        }
        Ok(plan)
    }

    fn options(&self) -> Options {
        // A tenth of what the versions leave behind is kept, so that there is something to compact.
        let kept = (self.entries / self.datasets).div_ceil(10);
        let history = Cap { entries: Some(kept), bytes: None, age_ms: None };
        let retention = Retention { history, ..Retention::unlimited() };
        let options = Options::default().memory(self.memory as usize).retention(retention);
        options.background_compaction(false).grace(Duration::ZERO, 1 << 40)
    }

    fn dataset(&self, n: u64) -> String {
        format!("dataset-{:07}", n % self.datasets)
    }

    /// Entities of one dataset.
    fn entities(&self) -> u64 {
        (self.entries / self.datasets / self.versions).max(1)
    }

    /// The entity that the `n`-th entry of a dataset changes.
    fn entity(&self, n: u64) -> String {
        format!("entity-{:07}", n % self.entities())
    }

    /// Entries of one dataset.
    fn depth(&self, dataset: u64) -> u64 {
        self.entries / self.datasets + u64::from(dataset < self.entries % self.datasets)
    }
}

/// What the `n`-th entry of a dataset holds: half text, half noise.
fn payload(dataset: u64, n: u64) -> Vec<u8> {
    let mut payload =
        format!("{{\"dataset\":{dataset},\"version\":{n},\"title\":\"a weekly meeting of the committee\"}}")
            .into_bytes();
    payload.resize(PAYLOAD / 2, b' ');
    let mut seed = dataset.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n;
    while payload.len() < PAYLOAD {
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x94d0_49bb_1331_11eb);
        payload.extend_from_slice(&seed.to_le_bytes());
    }
    payload.truncate(PAYLOAD);
    payload
}

fn main() -> ExitCode {
    let plan = match Plan::from_args() {
        Ok(plan) => plan,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    match run(&plan) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("FAULT  {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Times a step and tells of it.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T, tidelog::Error>) -> Result<T, tidelog::Error> {
    let begun = Instant::now();
    let result = work()?;
    println!("{name:<10} {:>9.2} s    peak {:>5} MiB", begun.elapsed().as_secs_f64(), peak() >> 20);
    Ok(result)
}

fn run(plan: &Plan) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let dir = plan.dir.clone().unwrap_or_else(|| scratch.path().join("store"));
    if dir.exists() {
        return Err(format!("{} exists: name a directory that does not", dir.display()).into());
    }
    println!(
        "{} entries of {PAYLOAD} bytes over {} datasets, {} entities in each, memory {} MiB",
        plan.entries,
        plan.datasets,
        plan.entities(),
        plan.memory >> 20
    );
    let mut faults = Vec::new();
    let engine = step("open", || Engine::open(&dir, plan.options()))?;
    step("import", || import(plan, &engine))?;
    println!("           {} bytes on disk", size(&dir)?);
    step("seal", || engine.seal())?;
    println!("           {} bytes on disk", size(&dir)?);
    let report = step("compact", || engine.compact(None))?;
    println!(
        "           {} superseded dropped, {} bytes read, {} written; {} bytes on disk",
        report.superseded_dropped,
        report.bytes_read,
        report.bytes_written,
        size(&dir)?
    );
    if plan.versions > 1 && plan.entries / plan.datasets > 2 * plan.versions && report.superseded_dropped == 0 {
        faults.push("the compaction dropped nothing".to_owned());
    }
    step("close", || engine.close())?;
    drop(engine);
    let engine = step("reopen", || Engine::open(&dir, plan.options()))?;
    step("read", || Ok(read_back(plan, &engine, &mut faults)))??;
    step("close", || engine.close())?;
    drop(engine);
    let report = step("verify", || verify(&dir, &plan.options(), &mut |_, _| {}))?;
    println!("           {} datasets, {} chunks, {} entries", report.datasets, report.chunks, report.entries);
    faults.extend(report.findings.iter().take(20).map(|finding| format!("verify: {finding:?}")));
    if report.datasets != plan.datasets {
        faults.push(format!("verify looked at {} of {} datasets", report.datasets, plan.datasets));
    }
    let (peak, allowed) = (peak(), plan.memory + ALLOWANCE);
    println!("memory     {} MiB at most, {} MiB allowed", peak >> 20, allowed >> 20);
    if peak > allowed {
        faults.push(format!("{} MiB of memory, {} MiB are allowed", peak >> 20, allowed >> 20));
    }
    Ok(faults)
}

/// Every dataset gets its entries in turn, a hundred in a batch; some batches are under way at once.
fn import(plan: &Plan, engine: &Engine) -> Result<(), tidelog::Error> {
    let mut flying: VecDeque<Receipt> = VecDeque::new();
    let (mut batch, mut done) = (Batch::new(), 0);
    for n in 0..plan.depth(0) {
        for dataset in 0..plan.datasets {
            if n >= plan.depth(dataset) {
                break;
            }
            batch.put(plan.dataset(dataset), plan.entity(n), payload(dataset, n));
            done += 1;
            if batch.len() as u64 == BATCH || done == plan.entries {
                flying.push_back(engine.submit(std::mem::take(&mut batch), Durability::Synced)?);
                if flying.len() == 8 {
                    flying.pop_front().map(Receipt::wait).transpose()?;
                }
            }
            if done % 1_000_000 == 0 {
                println!("           {done} entries, peak {} MiB", peak() >> 20);
            }
        }
    }
    flying.into_iter().try_for_each(|receipt| receipt.wait().map(|_| ()))
}

/// A thousand datasets, spread over all of them, hold exactly the newest version of each entity.
fn read_back(plan: &Plan, engine: &Engine, faults: &mut Vec<String>) -> Result<(), tidelog::Error> {
    for dataset in (0..plan.datasets).step_by((plan.datasets / 1_000).max(1) as usize) {
        let (mut cursor, mut seen) = (Cursor::START, 0);
        loop {
            let page = engine.changes(plan.dataset(dataset), &cursor, Limits::default())?;
            for entry in &page.entries {
                // The newest version: the last n of this dataset that fell on this entity.
                let entity: u64 = std::str::from_utf8(&entry.entity[7..]).map_or(0, |text| text.parse().unwrap_or(0));
                let depth = plan.depth(dataset);
                let newest = entity + (depth - 1 - entity) / plan.entities() * plan.entities();
                if entry.payload != Some(payload(dataset, newest).as_slice()) {
                    faults.push(format!("dataset {dataset}, entity {entity}: not version {newest}"));
                }
            }
            seen += page.entries.len() as u64;
            cursor = page.next;
            if !page.more {
                break;
            }
        }
        let want = plan.entities().min(plan.depth(dataset));
        if seen != want {
            faults.push(format!("dataset {dataset}: {seen} entities, not {want}"));
        }
        if faults.len() > 20 {
            break;
        }
    }
    Ok(())
}

/// The most memory this process ever held, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or(0)
        << 10
}

/// What the files of a directory hold on disk, in bytes.
fn size(dir: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        total += if path.is_dir() { size(&path)? } else { path.metadata()?.blocks() * 512 };
    }
    Ok(total)
}
