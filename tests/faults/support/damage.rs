//! A damaged copy of the sample, and what comes of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tidelog::{Engine, Error, verify};

use super::dump::dump;
use super::sample::{End, Sample, files, options, repeated};

/// What becomes of one file.
#[derive(Debug, Clone)]
pub enum Change {
    /// It holds this instead.
    Content(Vec<u8>),
    Gone,
}

/// Changes to some files of a sample, by their paths in the store.
pub type Damage = Vec<(PathBuf, Change)>;

/// How a damaged copy was told from a sound one, or why it need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    /// Opening was refused.
    Open,
    /// A read was refused.
    Read,
    /// `verify` reports it, and all reads say what they said.
    Verify,
    /// Everything is what it was, and nobody complains.
    Harmless,
    /// The newest commits, and only those that were hit, are gone like torn ones.
    Torn,
}

/// What one damage led to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub noticed: Noticed,
    /// Whether the error or a finding names a damaged file, and an offset in it.
    pub file_named: bool,
    pub offset_named: bool,
}

/// Makes the damaged copy in `dir`, which does not exist and is removed again if all went as promised, and says what
/// came of it, or how a promise was broken.
pub fn suffer(sample: &Sample, damage: &Damage, dir: &Path) -> Result<Outcome, String> {
    copy(sample, damage, dir);
    let outcome = catch_unwind(AssertUnwindSafe(|| look(sample, damage, dir)));
    let outcome = outcome.unwrap_or_else(|_| Err("a panic".to_owned()));
    if outcome.is_ok() {
        std::fs::remove_dir_all(dir).expect("a scratch directory");
    }
    outcome
}

/// RocksDB's files are links: it never writes to one that is there.
fn copy(sample: &Sample, damage: &Damage, dir: &Path) {
    std::fs::create_dir_all(dir.join("db")).expect("a directory");
    std::fs::create_dir(dir.join("log")).expect("a directory");
    let kept = sample.files.iter().filter(|(path, _)| !damage.iter().any(|(changed, _)| changed == path));
    for (path, bytes) in kept {
        match path.starts_with("db") {
            true => std::fs::hard_link(sample.kept().join(path), dir.join(path)).expect("a link"),
            false => std::fs::write(dir.join(path), bytes).expect("a file"),
        }
    }
    for (path, change) in damage {
        if let Change::Content(bytes) = change {
            std::fs::write(dir.join(path), bytes).expect("a file");
        }
    }
}

fn look(sample: &Sample, damage: &Damage, dir: &Path) -> Result<Outcome, String> {
    let before = files(dir);
    let (findings, mut named) = (verified(dir)?, Named::default());
    let verified = !findings.is_empty();
    for (file, offset) in findings {
        named.add(damage, dir, file.as_deref(), offset);
    }
    let mut after = files(dir);
    // The lock is taken in a file that says nothing, and made if it is missing.
    after.retain(|file| before.contains(file) || file.0 != Path::new("LOCK"));
    if after != before {
        return Err("verify changed a file".to_owned());
    }
    let noticed = match opened(dir) {
        Refused::Open(error) => {
            named.add_error(damage, dir, &error)?;
            let mut after = files(dir);
            after.retain(|file| before.contains(file) || file.0 != Path::new("LOCK"));
            if after != before {
                return Err(format!("a refused opening changed a file: {error}"));
            }
            Noticed::Open
        }
        Refused::Read(error) => {
            named.add_error(damage, dir, &error)?;
            Noticed::Read
        }
        Refused::No(said) if said == sample.dump && verified => Noticed::Verify,
        Refused::No(said) if said == sample.dump => Noticed::Harmless,
        Refused::No(said) => return torn(sample, damage, &said),
    };
    if !verified && matches!(noticed, Noticed::Open | Noticed::Read) {
        return Err(format!("verify finds nothing, but at {noticed:?} it is refused"));
    }
    Ok(Outcome { noticed, file_named: named.file, offset_named: named.offset })
}

enum Refused {
    Open(Error),
    Read(Error),
    No(String),
}

fn opened(dir: &Path) -> Refused {
    let engine = match Engine::open(dir, options().create_if_missing(false)) {
        Ok(engine) => engine,
        Err(error) => return Refused::Open(error),
    };
    let said = dump(&engine).and_then(|mut said| {
        let again = engine.append(repeated())?;
        if !again.repeated {
            said.push_str("an idempotency id is forgotten\n");
        }
        Ok(said)
    });
    match said {
        Ok(said) => Refused::No(said),
        Err(error) => Refused::Read(error),
    }
}

/// A file and an offset in it, as far as they are named.
type Place = (Option<PathBuf>, Option<u64>);

/// Where the findings are; an error that ends the look is one.
fn verified(dir: &Path) -> Result<Vec<Place>, String> {
    match verify(dir, &options(), &mut |_, _| {}) {
        Ok(report) => Ok(report.findings.into_iter().map(|finding| (finding.file, finding.offset)).collect()),
        Err(Error::FormatTooNew { file, .. }) => Ok(vec![(Some(file), None)]),
        Err(Error::NotFound { .. }) => Ok(vec![(None, None)]),
        Err(error) => Err(format!("verify ends with {error:?}")),
    }
}

/// The limit that docs/format.md names: the newest commits are proven by what follows them only. If every frame from
/// some place to the log's end was hit, a store that was not closed is what it was before them.
fn torn(sample: &Sample, damage: &Damage, said: &str) -> Result<Outcome, String> {
    let known = sample.unsealed.iter().position(|commit| commit.before == said);
    let segment = sample.segment();
    let hit = |at: usize| {
        let range = sample.unsealed[at].range.start as usize..sample.unsealed[at].range.end as usize;
        let was = &sample.file(&segment.to_string_lossy())[range.clone()];
        damage.iter().any(|(path, change)| {
            path == segment && matches!(change, Change::Content(bytes) if bytes.get(range.clone()) != Some(was))
        })
    };
    match known {
        Some(first) if sample.end == End::Killed && (first..sample.unsealed.len()).all(hit) => {
            Ok(Outcome { noticed: Noticed::Torn, file_named: false, offset_named: false })
        }
        Some(first) => Err(format!("silently older: the commits from unsealed one {first} on are gone")),
        None => {
            let differ = said.lines().zip(sample.dump.lines()).find(|(is, was)| is != was);
            Err(format!(
                "wrong data: {:?} of {} and {} lines",
                differ,
                said.lines().count(),
                sample.dump.lines().count()
            ))
        }
    }
}

#[derive(Default)]
struct Named {
    file: bool,
    offset: bool,
}

impl Named {
    fn add(&mut self, damage: &Damage, dir: &Path, file: Option<&Path>, offset: Option<u64>) {
        let hit = file.is_some_and(|file| damage.iter().any(|(path, _)| dir.join(path) == file));
        self.file |= hit;
        self.offset |= hit && offset.is_some();
    }

    /// Only an error that says "this file is damaged", or is of a newer format, is the right one.
    fn add_error(&mut self, damage: &Damage, dir: &Path, error: &Error) -> Result<(), String> {
        match error {
            Error::Damaged { file, offset, .. } if file.starts_with(dir) => {
                self.add(damage, dir, Some(file), *offset);
                Ok(())
            }
            Error::FormatTooNew { file, .. } => {
                self.add(damage, dir, Some(file), None);
                Ok(())
            }
            error => Err(format!("refused by another error than damage: {error:?}")),
        }
    }
}

/// That nothing has written through a link into the sample.
pub fn assert_untouched(sample: &Sample) {
    assert!(files(&sample.kept()) == sample.files, "a file of the sample was written to");
}
