//! `consumer`: durable consumers.

use tidelog::json::{self, ListPage};
use tidelog::{Engine, Error, Stale, StaleReason};

use crate::args::{Args, Consumer};
use crate::changes;
use crate::failure::{Failure, OfConsumer, Outcome};
use crate::output::Output;
use crate::store;
use crate::table::{Column, Table};
use crate::text::shown;

/// Rows asked for at once.
const ROWS: usize = 1000;

pub fn run(args: &Args, command: &Consumer, out: &mut Output) -> Outcome {
    match command {
        Consumer::Fetch { name, dataset, page } => {
            let (dataset, limits) = (args.name(dataset)?, page.limits());
            store::with(args, out, |engine, out| {
                // A note is for people; programs have `consumer list`.
                let is_new = !out.is_json() && !is_registered(engine, name, &dataset)?;
                let page = engine
                    .consumer_fetch(name, &dataset, limits)
                    .map_err(|error| failed(name, &dataset, error, None))?;
                if is_new && is_registered(engine, name, &dataset)? {
                    let (name, dataset) = (shown(name.as_bytes(), 255), shown(&dataset, 512));
                    eprintln!(
                        "registered consumer '{name}' of dataset '{dataset}': changes are kept for it until it is \
                         removed (`consumer remove`)"
                    );
                }
                changes::entries(out, &dataset, &page.entries, true)?;
                changes::end(out, &page, "yes: acknowledge this page and fetch again")
            })
        }
        Consumer::Ack { name, dataset, key } => {
            let (dataset, upto) = (args.name(dataset)?, json::key(key)?);
            store::with(args, out, |engine, out| {
                let position = engine.consumer_ack(name, &dataset, upto).map_err(|error| {
                    let message = not_visible(engine, &error);
                    failed(name, &dataset, error, message)
                })?;
                if out.is_json() {
                    out.named("ack", &json::ack(name, &dataset, position))
                } else {
                    let (name, dataset) = (shown(name.as_bytes(), 255), shown(&dataset, 512));
                    out.text(format_args!("consumer '{name}' is done with dataset '{dataset}' up to key {position}"))
                }
            })
        }
        Consumer::List => list(args, out),
        Consumer::Remove { name, dataset } => {
            let dataset = args.name(dataset)?;
            store::with(args, out, |engine, out| {
                engine.consumer_remove(name, &dataset).map_err(|error| failed(name, &dataset, error, None))?;
                if out.is_json() {
                    out.named("remove", &json::consumer_name(name, &dataset))
                } else {
                    let (name, dataset) = (shown(name.as_bytes(), 255), shown(&dataset, 512));
                    out.text(format_args!("removed consumer '{name}' of dataset '{dataset}'"))
                }
            })
        }
    }
}

fn failed(name: &str, dataset: &[u8], error: Error, message: Option<String>) -> Failure {
    Failure::Consumer(Box::new(OfConsumer { name: name.to_owned(), dataset: dataset.to_vec(), error, message }))
}

/// What to say of an acknowledgement that is ahead of the store.
fn not_visible(engine: &Engine, error: &Error) -> Option<String> {
    let Error::Stale(Stale { reason: StaleReason::Future, position, .. }) = error else { return None };
    let visible = engine.visible();
    Some(format!(
        "key {position} cannot be acknowledged: the last visible key of this store is {visible}; give the key of an \
         entry that was fetched from it"
    ))
}

/// Whether a consumer is in the list.
fn is_registered(engine: &Engine, name: &str, dataset: &[u8]) -> Outcome<bool> {
    // A list begins behind a place, and this is one shortly before the consumer's.
    let mut after = dataset[..dataset.len().saturating_sub(1)].to_vec();
    loop {
        let rows = engine.consumers(Some((name, &after)), ROWS)?;
        if rows.iter().any(|row| row.name == name && row.dataset == dataset) {
            return Ok(true);
        }
        match rows.into_iter().next_back() {
            Some(row) if row.name == name && *row.dataset < *dataset => after = row.dataset,
            _ => return Ok(false),
        }
    }
}

const COLUMNS: &[Column] =
    &[Column::Left("CONSUMER"), Column::Left("DATASET"), Column::Right("KEY"), Column::Left("STATE")];

fn list(args: &Args, out: &mut Output) -> Outcome {
    store::with(args, out, |engine, out| {
        let mut last: Option<(String, Vec<u8>)> = None;
        loop {
            let after = last.as_ref().map(|(name, dataset)| (name.as_str(), dataset.as_slice()));
            let rows = engine.consumers(after, ROWS)?;
            let mut table = Table::new(COLUMNS);
            if last.is_some() {
                table = table.without_headings();
            }
            for row in &rows {
                if out.is_json() {
                    out.line(&json::consumer(row))?;
                } else {
                    let state = if row.evicted { "evicted: read again from 0" } else { "" };
                    let (name, dataset) = (shown(row.name.as_bytes(), 48), shown(&row.dataset, 48));
                    table.row([name, dataset, row.position.to_string(), state.to_owned()]);
                }
            }
            if !table.is_empty() {
                out.table(&table)?;
            }
            let full = rows.len() >= ROWS;
            match rows.into_iter().next_back() {
                Some(row) if full => last = Some((row.name, row.dataset)),
                _ => break,
            }
        }
        if out.is_json() { out.line(&ListPage::end(false)) } else { Ok(()) }
    })
}
