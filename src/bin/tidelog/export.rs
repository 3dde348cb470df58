//! `export`: the live state as lines for `import`.

use std::io::IsTerminal;

use tidelog::json::{self, Exported};
use tidelog::{Cursor, Engine, Entry, Keep, Limits, Op, View};

use crate::args::Args;
use crate::failure::Outcome;
use crate::output::Output;
use crate::progress::Progress;
use crate::store;
use crate::text::counted;

/// Changes in a commit, at most.
const CHANGES: usize = 100;
/// Bytes of entities and payloads in a commit, at most, unless one entry alone has more.
const BYTES: usize = 256 << 10;
/// Names asked for at once.
const NAMES: usize = 1000;

pub fn run(args: &Args, out: &mut Output) -> Outcome {
    store::with(args, out, |engine, out| {
        // A bar and the lines themselves do not share a terminal.
        let total = if std::io::stdout().is_terminal() { None } else { Some(engine.store_stat()?.datasets) };
        let progress = total.map(|total| Progress::of(args, "exporting", Some(total)));
        let (mut datasets, mut entries) = (0, 0);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = engine.datasets("", after.as_deref(), NAMES)?;
            for name in &page.names {
                entries += dataset(engine, name, out)?;
                datasets += 1;
                if let Some(progress) = &progress {
                    progress.at(datasets);
                }
            }
            match page.names.last() {
                Some(name) if page.more => after = Some(name.to_vec()),
                _ => break,
            }
        }
        drop(progress);
        out.flush()?;
        if !out.is_json() {
            let (entries, datasets) = (counted(entries, "entry", "entries"), counted(datasets, "dataset", "datasets"));
            eprintln!("exported {entries} of {datasets}");
        }
        Ok(())
    })
}

/// Exports one dataset, and counts its entries.
fn dataset(engine: &Engine, name: &[u8], out: &mut Output) -> Outcome<u64> {
    let limits = Limits::entries(CHANGES).bytes(BYTES);
    let (mut cursor, limits, exported) = match engine.retention(name)?.keep {
        // From the oldest and not the start, which is gone if it was a window once.
        Keep::Live => (Cursor::oldest(), limits.view(View::Latest), Exported::State),
        // It has no state apart from its log.
        Keep::Window => (Cursor::oldest(), limits.view(View::Every), Exported::Log),
    };
    let mut entries = 0;
    // Until the window ends: before that, the pages are no consistent state.
    loop {
        let page = engine.changes(name, &cursor, limits)?;
        let is_due = |entry: &Entry| exported == Exported::Log || entry.op != Op::Delete;
        let read: Vec<Entry> = page.entries.into_iter().filter(is_due).collect();
        for run in read.chunk_by(same_origin) {
            out.line(&json::export(name, run, exported))?;
        }
        entries += read.len() as u64;
        if !page.more {
            return Ok(entries);
        }
        cursor = page.next;
    }
}

/// A commit has one origin.
fn same_origin(a: &Entry, b: &Entry) -> bool {
    a.origin == b.origin
}
