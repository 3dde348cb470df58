//! `changes`, and how entries and pages look.

use std::time::Duration;

use tidelog::{Cursor, Engine, EntryRef, Limits, Page, json};

use crate::args::{Args, Changes};
use crate::failure::Outcome;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::store;
use crate::table::{Column, Table};
use crate::text::{number, shown, size, utc};

/// How often a follower looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(200);

pub fn run(args: &Args, changes: &Changes, out: &mut Output) -> Outcome {
    let dataset = args.name(&changes.dataset)?;
    let cursor = start(changes)?;
    let limits = changes.page.limits();
    let interrupt = if changes.follow { Some(Interrupt::listen()?) } else { None };
    store::with(args, out, |engine, out| match &interrupt {
        Some(interrupt) => follow(engine, &dataset, cursor, limits, interrupt, out),
        None if changes.all => all(engine, &dataset, cursor, limits, out),
        None => {
            let page = engine.changes(&dataset, &cursor, limits)?;
            entries(out, &dataset, &page.entries, true)?;
            end(out, &page, AGAIN)
        }
    })
}

fn start(changes: &Changes) -> Outcome<Cursor> {
    Ok(match (changes.since.as_deref(), changes.since_time) {
        (_, Some(time_ms)) => Cursor::since_time(time_ms),
        (None | Some("start"), None) => Cursor::START,
        (Some("oldest"), None) => Cursor::oldest(),
        (Some("head"), None) => Cursor::head(),
        (Some(text), None) => text.parse()?,
    })
}

fn all(engine: &Engine, dataset: &[u8], mut cursor: Cursor, limits: Limits, out: &mut Output) -> Outcome {
    let mut headings = true;
    loop {
        let page = engine.changes(dataset, &cursor, limits)?;
        entries(out, dataset, &page.entries, headings)?;
        headings &= page.entries.is_empty();
        if !page.more {
            return end(out, &page, AGAIN);
        }
        cursor = page.next;
    }
}

fn follow(
    engine: &Engine,
    dataset: &[u8],
    mut cursor: Cursor,
    limits: Limits,
    interrupt: &Interrupt,
    out: &mut Output,
) -> Outcome {
    let mut headings = true;
    while !interrupt.came() {
        let page = engine.changes(dataset, &cursor, limits)?;
        entries(out, dataset, &page.entries, headings)?;
        headings &= page.entries.is_empty();
        if out.is_json() {
            out.line(&json::page(&page))?;
        }
        out.flush()?;
        cursor = page.next;
        if !page.more {
            let mut watch = engine.watch(&[(dataset, page.position)])?;
            while !watch.wait(LOOK) && !interrupt.came() {}
        }
    }
    Ok(())
}

const ENTRY: &[Column] = &[
    Column::Right("KEY"),
    Column::Left("OP"),
    Column::Left("NEW"),
    Column::Left("ENTITY"),
    Column::Right("BYTES"),
    Column::Left("TIME (UTC)"),
    Column::Left("ORIGIN"),
    Column::Left("PAYLOAD"),
];

/// Prints entries: one a line, or as a table.
pub fn entries<'a, I>(out: &mut Output, dataset: &[u8], entries: I, headings: bool) -> Outcome
where
    I: IntoIterator<Item: Into<EntryRef<'a>>>,
{
    let mut entries = entries.into_iter().map(Into::into).peekable();
    if out.is_json() {
        for entry in entries {
            out.line(&json::entry(dataset, entry))?;
        }
        return Ok(());
    }
    if entries.peek().is_none() {
        return Ok(());
    }
    let mut table = Table::new(ENTRY);
    if !headings {
        table = table.without_headings();
    }
    for entry in entries {
        table.row([
            entry.key.to_string(),
            entry.op.name().to_owned(),
            if entry.new { "new" } else { "" }.to_owned(),
            shown(entry.entity, 48),
            entry.payload_len.to_string(),
            utc(entry.time_ms),
            entry.origin.map_or_else(String::new, |origin| shown(origin, 16)),
            entry.payload.map_or_else(String::new, |payload| shown(payload, 60)),
        ]);
    }
    out.table(&table)
}

/// How to go on after a page that is not the last.
const AGAIN: &str = "yes: ask again with --since and the cursor above";

/// Prints the end of a page; `again` tells people how to go on.
pub fn end(out: &mut Output, page: &Page, again: &str) -> Outcome {
    if out.is_json() {
        return out.line(&json::page(page));
    }
    if page.entries.is_empty() && !page.more {
        out.text(format_args!("no changes"))?;
    }
    let (entries, bytes) = (page.pending.entries, page.pending.bytes);
    let mut table = Table::of_facts();
    table.fact("next", page.next);
    // The position is a key of the store, so it may stand above the dataset's newest: in between there is nothing.
    table.fact("read to", format!("key {}; the dataset's newest is {}", page.position, page.head));
    table.fact("more", if page.more { again } else { "no" });
    table.fact("pending", format!("{} entries, {}", number(entries), size(bytes)));
    table.fact("headroom", number(page.headroom));
    out.text(format_args!(""))?;
    out.table(&table)
}
