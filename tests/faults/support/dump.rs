//! Everything that a store says, as text: two stores say the same exactly if their dumps are equal.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tidelog::{Cursor, Engine, EntryRef, Error, Limits, Result, View};

/// Small pages, so that cursors are passed on.
const PAGE: usize = 7;

/// Every answer to every kind of read. Damage and refusals of the disk are errors; any other error is an answer.
pub fn dump(engine: &Engine) -> Result<String> {
    let mut out = String::new();
    let names = engine.datasets(b"", None, 1000)?;
    writeln!(out, "visible {}, datasets {:?}, more {}", engine.visible().get(), names.names, names.more).expect("text");
    for consumer in engine.consumers(None, 1000)? {
        writeln!(out, "{consumer:?}").expect("text");
    }
    for name in &names.names {
        dataset(engine, name, &mut out)?;
    }
    Ok(out)
}

fn dataset(engine: &Engine, name: &[u8], out: &mut String) -> Result<()> {
    writeln!(out, "dataset {}", name.escape_ascii()).expect("text");
    answer(out, "stat", engine.stat(name).map(|stat| format!("{stat:?}")))?;
    answer(out, "retention", engine.retention(name).map(|retention| format!("{retention:?}")))?;
    let floor = engine.stat(name).map_or(0.into(), |stat| stat.history_floor);
    changes(engine, name, Cursor::START, View::Latest, out)?;
    changes(engine, name, Cursor::START, View::Every, out)?;
    changes(engine, name, Cursor::after(floor), View::Every, out)?;
    let recent = engine.recent(name, None, Limits::entries(1000));
    answer(out, "recent", recent.as_ref().map(entries_text).map_err(copied))?;
    let mut entities: Vec<_> = recent.unwrap_or_default().into_iter().map(|entry| entry.entity).collect();
    match engine.entities(name, None, 1000) {
        Ok(rows) => {
            writeln!(out, "  entities {rows:?}").expect("text");
            entities.extend(rows.into_iter().map(|row| row.entity));
        }
        Err(error) => answer(out, "entities", Err(error))?,
    }
    entities.sort();
    entities.dedup();
    for entity in entities {
        let found = engine.get(name, &entity).map(|entry| entries_text(entry.as_slice()));
        answer(out, &format!("get {}", entity.escape_ascii()), found)?;
        let history = engine.history(name, &entity, 1000).map(|entries| entries_text(&entries));
        answer(out, &format!("history {}", entity.escape_ascii()), history)?;
    }
    Ok(())
}

fn changes(engine: &Engine, name: &[u8], from: Cursor, view: View, out: &mut String) -> Result<()> {
    let mut cursor = from;
    loop {
        let page = engine.changes(name, &cursor, Limits::entries(PAGE).view(view));
        let (next, more) = page.as_ref().map_or((from, false), |page| (page.next, page.more));
        let told = page.map(|page| {
            let (position, head, pending) = (page.position.get(), page.head.get(), page.pending);
            format!("to {position} of {head}, {pending:?}{}", entries_text(&page.entries))
        });
        answer(out, &format!("{view:?}"), told)?;
        if !more {
            return Ok(());
        }
        cursor = next;
    }
}

fn entries_text<'a>(entries: impl IntoIterator<Item: Into<EntryRef<'a>>>) -> String {
    entries.into_iter().map(Into::into).fold(String::new(), |mut text, entry| {
        let payload = entry.payload.map(|payload| match payload.len() {
            ..=40 => format!("'{}'", payload.escape_ascii()),
            len => format!("{len} bytes {:x?}", &Sha256::digest(payload)[..8]),
        });
        let (key, op, entity, time) = (entry.key.get(), entry.op.name(), entry.entity.escape_ascii(), entry.time_ms);
        let (len, new, last) = (entry.payload_len, entry.new, entry.last);
        let origin = entry.origin.map(|origin| origin.escape_ascii().to_string());
        write!(text, "\n    {key} {op} {entity} {payload:?} {len} {time} {origin:?} new {new} last {last}")
            .expect("a string takes it");
        text
    })
}

/// An answer is what was said, or a refusal that is the store's rule and not the disk's state.
fn answer(out: &mut String, what: &str, told: Result<String>) -> Result<()> {
    let told = match told {
        Ok(told) => told,
        Err(
            error @ (Error::Invalid { .. } | Error::Stale(_) | Error::DatasetNotFound { .. } | Error::NotFound { .. }),
        ) => error.to_string(),
        Err(error) => return Err(error),
    };
    writeln!(out, "  {what}: {told}").expect("a string takes it");
    Ok(())
}

fn copied(error: &Error) -> Error {
    match error {
        Error::Damaged { file, offset, what } => {
            Error::Damaged { file: file.clone(), offset: *offset, what: what.clone() }
        }
        other => Error::NotFound { what: other.to_string() },
    }
}
