//! `retention`: how much of a dataset's past is kept.

use tidelog::units::duration;
use tidelog::{Cap, Error, json};

use crate::args::{Args, Caps, Keep, Retention};
use crate::failure::Outcome;
use crate::output::Output;
use crate::store;
use crate::table::Table;
use crate::text::{number, shown, size};
use crate::values::Setting;

pub fn run(args: &Args, command: &Retention, out: &mut Output) -> Outcome {
    match command {
        Retention::Show { dataset } => {
            let dataset = args.name(dataset)?;
            store::with(args, out, |engine, out| print(out, &dataset, &engine.retention(&dataset)?))
        }
        Retention::Set(set) => {
            let dataset = args.name(&set.dataset)?;
            store::with(args, out, |engine, out| {
                let mut retention = match engine.retention(&dataset) {
                    Err(Error::DatasetNotFound { .. }) => tidelog::Retention::default(),
                    known => known?,
                };
                apply(&set.caps, &mut retention);
                engine.set_retention(&dataset, retention)?;
                print(out, &dataset, &engine.retention(&dataset)?)
            })
        }
    }
}

fn apply(caps: &Caps, retention: &mut tidelog::Retention) {
    let set = |cap: &mut Option<u64>, setting: Option<Setting>| {
        if let Some(Setting(number)) = setting {
            *cap = number;
        }
    };
    match caps.keep {
        Some(Keep::Live) => retention.keep = tidelog::Keep::Live,
        Some(Keep::Window) => retention.keep = tidelog::Keep::Window,
        None => {}
    }
    set(&mut retention.history.entries, caps.history_entries);
    set(&mut retention.history.bytes, caps.history_bytes);
    set(&mut retention.history.age_ms, caps.history_age);
    set(&mut retention.tombstones.entries, caps.tombstone_entries);
    set(&mut retention.tombstones.bytes, caps.tombstone_bytes);
    set(&mut retention.tombstones.age_ms, caps.tombstone_age);
}

fn print(out: &mut Output, dataset: &[u8], retention: &tidelog::Retention) -> Outcome {
    if out.is_json() {
        return out.named("retention", &json::retention_of(dataset, retention));
    }
    let mut table = Table::of_facts();
    table.fact("dataset", shown(dataset, usize::MAX));
    facts(&mut table, retention);
    out.table(&table)
}

/// Adds a retention to a table.
pub fn facts(table: &mut Table, retention: &tidelog::Retention) {
    let keep = match retention.keep {
        tidelog::Keep::Live => "live",
        tidelog::Keep::Window => "window",
    };
    table.fact("keep", keep);
    table.fact("history", cap(&retention.history));
    table.fact("tombstones", cap(&retention.tombstones));
}

fn cap(cap: &Cap) -> String {
    let parts: Vec<String> = [
        cap.entries.map(|entries| format!("{} entries", number(entries))),
        cap.bytes.map(size),
        cap.age_ms.map(duration),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "no limit".to_owned() } else { format!("at most {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Caps = Caps {
        keep: None,
        history_entries: None,
        history_bytes: None,
        history_age: None,
        tombstone_entries: None,
        tombstone_bytes: None,
        tombstone_age: None,
    };

    /// The default with one change made to it.
    fn with(change: impl Fn(&mut tidelog::Retention)) -> tidelog::Retention {
        let mut retention = tidelog::Retention::default();
        change(&mut retention);
        retention
    }

    #[test]
    fn each_flag_sets_its_own_cap_and_no_other() {
        let setting = Some(Setting(Some(7)));
        for (caps, expected) in [
            (NONE, with(|_| {})),
            (Caps { keep: Some(Keep::Window), ..NONE }, with(|r| r.keep = tidelog::Keep::Window)),
            (Caps { history_entries: setting, ..NONE }, with(|r| r.history.entries = Some(7))),
            (Caps { history_bytes: setting, ..NONE }, with(|r| r.history.bytes = Some(7))),
            (Caps { history_age: setting, ..NONE }, with(|r| r.history.age_ms = Some(7))),
            (Caps { tombstone_entries: setting, ..NONE }, with(|r| r.tombstones.entries = Some(7))),
            (Caps { tombstone_bytes: setting, ..NONE }, with(|r| r.tombstones.bytes = Some(7))),
            (Caps { tombstone_age: setting, ..NONE }, with(|r| r.tombstones.age_ms = Some(7))),
            (Caps { history_entries: Some(Setting(None)), ..NONE }, with(|r| r.history.entries = None)),
        ] {
            let mut retention = tidelog::Retention::default();
            apply(&caps, &mut retention);
            assert_eq!(retention, expected, "{caps:?}");
        }
    }

    #[test]
    fn caps_read_as_they_are_meant() {
        assert_eq!(cap(&Cap::default()), "no limit");
        let both = Cap { entries: Some(100_000), bytes: None, age_ms: Some(86_400_000) };
        assert_eq!(cap(&both), "at most 100,000 entries, 1d");
    }
}
