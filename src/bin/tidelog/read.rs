//! Reading without a cursor: `get`, `history`, `entities`, `recent`, `datasets`, `stat`.

use std::ffi::OsStr;

use tidelog::json::{self, ListPage};
use tidelog::{Engine, Limits};

use crate::args::{Args, Entities, Entity, History, Recent};
use crate::changes;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::store;
use crate::table::{Column, Table};
use crate::text::{number, shown, size, utc};

/// Rows asked for at once.
const ROWS: usize = 1000;

pub fn get(args: &Args, get: &Entity, out: &mut Output) -> Outcome {
    let (dataset, entity) = (args.name(&get.dataset)?, args.name(&get.entity)?);
    store::with(args, out, |engine, out| {
        let Some(entry) = engine.get(&dataset, &entity)? else {
            return Err(Failure::NoEntity { dataset, entity });
        };
        if out.is_json() {
            return out.line(&json::entry(&dataset, &entry));
        }
        let mut table = Table::of_facts();
        table.fact("entity", shown(&entry.entity, usize::MAX));
        table.fact("key", entry.key);
        table.fact("op", entry.op.name());
        table.fact("time", format!("{} UTC", utc(entry.time_ms)));
        if let Some(origin) = &entry.origin {
            table.fact("origin", shown(origin, usize::MAX));
        }
        table.fact("bytes", number(entry.payload_len as u64));
        table.fact("payload", shown(entry.payload.as_deref().unwrap_or_default(), 2000));
        out.table(&table)
    })
}

pub fn history(args: &Args, history: &History, out: &mut Output) -> Outcome {
    let (dataset, entity) = (args.name(&history.of.dataset)?, args.name(&history.of.entity)?);
    let limit = history.limit.get();
    store::with(args, out, |engine, out| {
        let entries = engine.history(&dataset, &entity, limit.saturating_add(1))?;
        if entries.is_empty() {
            return Err(Failure::NoEntity { dataset, entity });
        }
        let more = entries.len() > limit;
        changes::entries(out, &dataset, &entries[usize::from(more)..], true)?;
        if out.is_json() {
            out.line(&ListPage::end(more))
        } else if more {
            out.text(format_args!("(older entries are left out: raise --limit to see them)"))
        } else {
            Ok(())
        }
    })
}

pub fn entities(args: &Args, entities: &Entities, out: &mut Output) -> Outcome {
    let dataset = args.name(&entities.dataset)?;
    let mut after = entities.after.as_deref().map(|after| args.name(after)).transpose()?;
    let mut left = entities.limit.map_or(usize::MAX, |limit| limit.get());
    store::with(args, out, |engine, out| {
        let mut headings = true;
        loop {
            // One more than is shown tells whether there are more.
            let wanted = left.min(ROWS);
            let mut rows = engine.entities(&dataset, after.as_deref(), wanted + 1)?;
            let more = rows.len() > wanted;
            rows.truncate(wanted);
            left -= rows.len();
            let mut table = Table::new(&[Column::Right("KEY"), Column::Left("ENTITY")]);
            for row in &rows {
                if out.is_json() {
                    out.line(&json::entity(&dataset, row))?;
                } else {
                    table.row([row.key.to_string(), shown(&row.entity, usize::MAX)]);
                }
            }
            if !table.is_empty() {
                out.table(&if headings { table } else { table.without_headings() })?;
                headings = false;
            }
            let last = match rows.pop() {
                Some(last) if more => last.entity,
                _ if out.is_json() => return out.line(&ListPage::end(false)),
                _ => return Ok(()),
            };
            if left == 0 && out.is_json() {
                return out.line(&ListPage::after(&last));
            } else if left == 0 {
                return out.text(format_args!("(more: go on with {})", after_option(&last)));
            }
            after = Some(last.to_vec());
        }
    })
}

/// The option that goes on behind an entity: as base64, if it is not shown as it is.
fn after_option(entity: &[u8]) -> String {
    let text = shown(entity, usize::MAX);
    if text.as_bytes() == entity {
        return format!("--after '{text}'");
    }
    format!("--after {} --base64, and the dataset's name in base64 too", json::encode_base64(entity))
}

pub fn recent(args: &Args, recent: &Recent, out: &mut Output) -> Outcome {
    let dataset = args.name(&recent.dataset)?;
    let mut before = recent.before.as_deref().map(json::key).transpose()?;
    let mut left = recent.limit.get();
    store::with(args, out, |engine, out| {
        let mut headings = true;
        while left > 0 {
            // A page may hold less than asked for, because of its bytes.
            let entries = engine.recent(&dataset, before, Limits::entries(left.min(ROWS)))?;
            let Some(last) = entries.last() else { break };
            before = Some(last.key);
            left -= entries.len().min(left);
            changes::entries(out, &dataset, &entries, headings)?;
            headings = false;
        }
        let more = match before {
            Some(_) if left == 0 => !engine.recent(&dataset, before, Limits::entries(1).without_payloads())?.is_empty(),
            _ => false,
        };
        match before {
            Some(before) if more && out.is_json() => out.line(&ListPage::before(before)),
            Some(before) if more => out.text(format_args!("(more: go on with --before {before})")),
            _ if out.is_json() => out.line(&ListPage::end(false)),
            _ if headings => out.text(format_args!("no entries")),
            _ => Ok(()),
        }
    })
}

pub fn datasets(args: &Args, prefix: Option<&OsStr>, out: &mut Output) -> Outcome {
    let prefix = prefix.map(|prefix| args.name(prefix)).transpose()?.unwrap_or_default();
    store::with(args, out, |engine, out| {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = engine.datasets(&prefix, after.as_deref(), ROWS)?;
            for name in &page.names {
                if out.is_json() {
                    out.line(&json::dataset(name))?;
                } else {
                    out.text(format_args!("{}", shown(name, usize::MAX)))?;
                }
            }
            match page.names.last() {
                Some(name) if page.more => after = Some(name.to_vec()),
                _ => break,
            }
        }
        if out.is_json() { out.line(&ListPage::end(false)) } else { Ok(()) }
    })
}

pub fn stat(args: &Args, dataset: Option<&OsStr>, out: &mut Output) -> Outcome {
    let dataset = dataset.map(|dataset| args.name(dataset)).transpose()?;
    store::with(args, out, |engine, out| match &dataset {
        Some(dataset) => stat_of_dataset(engine, dataset, out),
        None => stat_of_store(engine, out),
    })
}

fn stat_of_dataset(engine: &Engine, dataset: &[u8], out: &mut Output) -> Outcome {
    let stat = engine.stat(dataset)?;
    if out.is_json() {
        return out.named("stat", &json::dataset_stat(dataset, &stat));
    }
    let mut table = Table::of_facts();
    table.fact("dataset", shown(dataset, usize::MAX));
    table.fact("head", stat.head);
    table.fact("first", stat.first);
    table.fact("history floor", stat.history_floor);
    table.fact("floor", stat.floor);
    table.fact("entries", number(stat.entries));
    table.fact("bytes", size(stat.bytes));
    table.fact("superseded", number(stat.superseded));
    table.fact("tombstones", number(stat.tombstones));
    table.fact("newest", format!("{} UTC", utc(stat.time_ms)));
    crate::retention::facts(&mut table, &stat.retention);
    out.table(&table)
}

fn stat_of_store(engine: &Engine, out: &mut Output) -> Outcome {
    let stat = engine.store_stat()?;
    if out.is_json() {
        return out.named("stat", &json::store_stat(&stat));
    }
    let mut table = Table::of_facts();
    table.fact("store", stat.dir.display());
    table.fact("datasets", number(stat.datasets));
    table.fact("visible", stat.visible);
    table.fact("lineage", stat.lineage);
    table.fact("log", size(stat.log_bytes));
    table.fact("index store", size(stat.store_bytes));
    out.table(&table)
}
