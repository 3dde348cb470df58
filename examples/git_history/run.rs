//! The whole story: a history goes in, and three clients come out with the right files.

use std::path::Path;
use std::time::{Duration, Instant};

use tidelog::{Batch, Cap, CompactionReport, Engine, Error, Limits, Options, Retention, StaleReason, SyncKey};

use super::clients::{Client, Comparison, Transfer};
use super::git::{Repo, Result};
use super::import::{Counts, DATASET, Import, Sizes};

/// An entity that no path can be: paths have no zero byte.
const TEMPORARY: &[u8] = b"\0temporary";

/// What to run on.
pub struct Settings<'a> {
    pub repo: &'a Path,
    /// A directory for the store; it must not hold one yet.
    pub data: &'a Path,
    /// The engine's `memory` option, in bytes.
    pub memory: usize,
    /// Largest blob to take, in bytes; the engine's own limit may be lower.
    pub max_blob: usize,
}

/// What came of it.
pub struct Report {
    pub repo: Repo,
    pub commits: usize,
    pub sizes: Sizes,
    pub counts: Counts,
    /// Paths of HEAD that are not in the store.
    pub absent: usize,
    pub import_time: Duration,
    /// After how many commits the compaction ran, what it did, and the floor that it left.
    pub compacted_at: usize,
    pub compaction: CompactionReport,
    pub floor: SyncKey,
    /// Whether a temporary entity had to be created and deleted, for want of a deleted file.
    pub temporary: bool,
    pub clients: Vec<Outcome>,
}

/// How one client fared.
pub struct Outcome {
    pub name: String,
    pub read: Transfer,
    pub comparison: Comparison,
    /// The typed error that it got on the way.
    pub refused: Option<Error>,
}

impl Outcome {
    pub fn is_right(&self) -> bool {
        self.comparison.is_exact() && self.read.unannounced == 0
    }
}

/// Records the history of a repository and plays the three clients. `progress` is told how many commits of how many
/// are done.
pub fn run(settings: &Settings<'_>, progress: &mut dyn FnMut(usize, usize)) -> Result<Report> {
    let repo = Repo::open(settings.repo)?;
    let commits = repo.commits()?;
    let total = commits.len();
    let sizes = Sizes::new(settings.memory, settings.max_blob);
    let engine = open(settings)?;

    // Two clients read early: one in the first half of the history, whose cursor is then compacted away, and one
    // that misses the last 100 commits, or half of them all.
    let behind = 100.min(total / 2);
    let compacted_at = total - behind;
    let left_at = (compacted_at / 2).max(1);
    let mut progress = |done| progress(done, total);
    let mut import_time = Duration::ZERO;
    let mut timed = |import: &mut Import<'_>, upto| -> Result<()> {
        let began = Instant::now();
        import.until(upto, &mut progress)?;
        import_time += began.elapsed();
        Ok(())
    };

    let mut import = Import::new(&engine, &repo, &commits, sizes)?;
    timed(&mut import, left_at)?;
    let mut stale = Client::new(repo.hash);
    stale.catch_up(&engine, Limits::default())?;
    timed(&mut import, compacted_at)?;
    let (compaction, temporary) = compact_away(&engine, &stale)?;
    let floor = engine.stat(DATASET)?.floor;
    let mut late = Client::new(repo.hash);
    late.catch_up(&engine, Limits::default())?;
    timed(&mut import, total)?;

    let (counts, absent) = (import.counts, import.absent);
    let finish = |name: String, client: Client, refused| -> Result<Outcome> {
        let read = client.read;
        let comparison = client.compare(&repo, |path| absent.contains_key(path))?;
        Ok(Outcome { name, read, comparison, refused })
    };
    let mut clients = Vec::new();

    let mut fresh = Client::new(repo.hash);
    fresh.catch_up(&engine, Limits::default())?;
    clients.push(finish("fresh, reads from 0".into(), fresh, None)?);

    late.catch_up(&engine, Limits::entries(50))?;
    clients.push(finish(format!("behind by {behind} commits, in pages of 50"), late, None)?);

    let refused = expect_stale(&engine, &mut stale)?;
    stale.start_again();
    stale.catch_up(&engine, Limits::default())?;
    clients.push(finish("cursor compacted away, starts again".into(), stale, Some(refused))?);

    engine.set_retention(DATASET, Retention::default())?;
    engine.close()?;
    let absent = absent.len();
    Ok(Report {
        repo,
        commits: total,
        sizes,
        counts,
        absent,
        import_time,
        compacted_at,
        compaction,
        floor,
        temporary,
        clients,
    })
}

/// Opens a store with the dataset in it, empty, which keeps all of its history for now.
fn open(settings: &Settings<'_>) -> Result<Engine> {
    let options = Options::default()
        .memory(settings.memory)
        // Entries are trimmed when the example says so, not up to 15 minutes later, and not before.
        .grace(Duration::ZERO, 0)
        .background_compaction(false);
    let engine = Engine::open(settings.data, options)?;
    match engine.stat(DATASET) {
        Err(Error::DatasetNotFound { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(format!("{} holds a history already; name a new directory", settings.data.display()).into());
        }
    }
    engine.set_retention(DATASET, Retention::unlimited())?;
    Ok(engine)
}

/// Drops all history and all tombstones, so that the client's cursor becomes stale. A cursor is only ever too old if
/// deletes that it has not seen are gone: if the history has none, a temporary entity is created and deleted. Tells
/// what the compactions did, and whether that was necessary.
fn compact_away(engine: &Engine, client: &Client) -> Result<(CompactionReport, bool)> {
    let none = Cap { entries: Some(0), ..Cap::default() };
    let mut retention = Retention::unlimited();
    (retention.history, retention.tombstones) = (none, none);
    engine.set_retention(DATASET, retention)?;
    let first = engine.compact(Some(DATASET.as_bytes()))?;
    let position = client.cursor().position().unwrap_or(SyncKey::ZERO);
    let temporary = engine.stat(DATASET)?.floor <= position;
    if temporary {
        engine.append(once(|batch| batch.create(DATASET, TEMPORARY, "")))?;
        engine.append(once(|batch| batch.delete(DATASET, TEMPORARY)))?;
        engine.compact(Some(DATASET.as_bytes()))?;
    }
    engine.set_retention(DATASET, Retention::unlimited())?;
    Ok((first, temporary))
}

fn once(add: impl FnOnce(&mut Batch) -> &mut Batch) -> Batch {
    let mut batch = Batch::new();
    add(&mut batch);
    batch
}

/// Lets a client read whose cursor is too old. Anything but the error that says so is a failure.
fn expect_stale(engine: &Engine, client: &mut Client) -> Result<Error> {
    match client.catch_up(engine, Limits::default()) {
        Err(Error::Stale(stale)) if stale.reason == StaleReason::Trimmed => Ok(Error::Stale(stale)),
        Err(error) => Err(format!("the cursor that was compacted away was refused for another reason: {error}").into()),
        Ok(()) => Err("the cursor that was compacted away was served".into()),
    }
}
