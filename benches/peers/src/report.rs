//! The generated part of docs/performance.md.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::engines::Kind;
use crate::measure::{Ctx, Row, Series, number};
use crate::plot;

const BEGIN: &str = "<!-- begin: made by `make peers` -->";
const END: &str = "<!-- end: made by `make peers` -->";

/// What prototypes measured of the peers on such a machine. A peer far below it was set up badly here.
const EXPECTED: &[(&str, Kind, f64)] = &[
    ("durable", Kind::Raw, 720e3),
    ("durable", Kind::Rocks, 105e3),
    ("durable", Kind::Fjall, 111e3),
    ("durable", Kind::Sqlite, 14e3),
    ("durable", Kind::Redb, 19e3),
    ("single", Kind::Rocks, 29e3),
    ("buffered", Kind::Rocks, 230e3),
    ("buffered", Kind::Fjall, 217e3),
    ("sealed", Kind::Rocks, 45e3),
    ("sealed", Kind::Fjall, 43e3),
    ("sealed", Kind::Sqlite, 60e3),
    ("scan", Kind::Rocks, 2.1e6),
    ("scan", Kind::Fjall, 2.7e6),
];
/// Below this part of it the table is void until that is explained.
const VOID: f64 = 0.8;

/// Puts the results into `dir`/performance.md, between the markers, and the plots beside it.
pub fn write(rows: &[Row], dir: &Path) {
    assert!(!rows.is_empty(), "nothing was measured: `make peers` first");
    let plots = dir.join("performance");
    std::fs::create_dir_all(&plots).expect("a directory for plots");
    let mut made = String::new();
    for (name, title, svg) in plot::all(rows) {
        std::fs::write(plots.join(&name), svg).expect("a plot is written");
        writeln!(made, "![{title}](performance/{name})\n").expect("memory takes it");
    }
    let generated = format!("{BEGIN}\n\n{}{}{}{made}{END}", machine(rows), table(rows), goals(rows) + &notes(rows));
    let page = dir.join("performance.md");
    let text = std::fs::read_to_string(&page).unwrap_or_else(|_| format!("{BEGIN}\n{END}\n"));
    let (before, rest) = text.split_once(BEGIN).expect("the page has the first marker");
    let (_, after) = rest.split_once(END).expect("the page has the second marker");
    std::fs::write(&page, format!("{before}{generated}{after}")).expect("the page is written");
    println!("{}", page.display());
}

pub fn today() -> String {
    output("date", &["-u", "+%F"])
}

/// The command that measures this row again.
pub fn command(ctx: &Ctx, row: &str) -> String {
    match (row, ctx.quick) {
        ("long", _) => format!("make peers-long ENTRIES={}", ctx.entries),
        _ if !ctx.scratch.starts_with(crate::target()) => {
            format!("tidelog-peers run --scratch {} {row}", ctx.scratch.display())
        }
        (_, true) => format!("QUICK=1 make peers ROWS={row}"),
        _ => format!("make peers ROWS={row}"),
    }
}

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().map(|done| done.stdout).unwrap_or_default();
    String::from_utf8_lossy(&out).trim().to_owned()
}

/// The commit that is measured, with a mark if the tree holds more than that.
pub fn commit() -> String {
    output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=12"])
}

fn machine(rows: &[Row]) -> String {
    let file = |path| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cpu = field(&file("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&file("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0u64) >> 20;
    let kernel = output("uname", &["-sr"]);
    let here = env!("CARGO_MANIFEST_DIR");
    let disk = output("df", &["--output=fstype", here]).lines().last().unwrap_or_default().to_owned();
    let mut dates: Vec<&str> = rows.iter().map(|row| row.date.as_str()).collect();
    dates.sort_unstable();
    dates.dedup();
    let short = if rows.iter().any(|row| row.quick) { " **A short run: no figures to go by.**" } else { "" };
    let minutes = rows.iter().map(|row| row.took_s).sum::<f64>() / 60.0;
    format!(
        "{cpu}, {cores} cores, {memory} GiB, {disk}, {kernel}; {}; {minutes:.0} minutes in all.{short}\n\
         Peers: {}.\n\n",
        dates.join(", "),
        versions()
    )
}

/// The peers' versions, from the lock file.
fn versions() -> String {
    let lock = include_str!("../Cargo.lock");
    let version = |name: &str| {
        let at = lock.find(&format!("name = \"{name}\"\n")).expect("the lock file has it");
        lock[at..].split('"').nth(3).expect("it has a version").to_owned()
    };
    let mut told = vec![
        format!("RocksDB {}", version("librocksdb-sys").split_once('+').map_or(String::new(), |(_, own)| own.into())),
        format!("fjall {}", version("fjall")),
        format!("redb {}", version("redb")),
        format!("SQLite of libsqlite3-sys {}", version("libsqlite3-sys")),
    ];
    let redis = output("redis-server", &["--version"]);
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v="));
    told.push(redis.map_or("Redis not installed".into(), |version| format!("Redis {version}")));
    told.join(", ")
}

/// One line for each row, one column for each engine; beside a peer's figure, how many times it Tidelog's is.
fn table(rows: &[Row]) -> String {
    let mut out = String::from("| work | unit |");
    Kind::ALL.iter().for_each(|kind| write!(out, " {} |", kind.name()).expect("memory takes it"));
    out += "\n| --- | --- |";
    Kind::ALL.iter().for_each(|_| out += " --- |");
    out += "\n";
    for row in rows.iter().filter(|row| !row.unit.is_empty()) {
        write!(out, "| {} | {} |", row.title, row.unit).expect("memory takes it");
        for kind in Kind::ALL {
            write!(out, " {} |", cell(row, kind)).expect("memory takes it");
        }
        out += "\n";
    }
    out + "\nMedians with half their range over the rounds; in brackets, how many times the peer's figure Tidelog's is. \
           `!`: below 0.8 of what prototypes measured of that peer, so its row is void until that is explained.\n\n"
}

fn cell(row: &Row, kind: Kind) -> String {
    let Some(series) = row.series.iter().find(|series| series.engine == kind.name()) else { return String::new() };
    let spread = if series.values.len() > 1 { format!(" ±{:.0} %", series.spread()) } else { String::new() };
    let ours = row.median(Kind::Tidelog.name()).filter(|_| !matches!(kind, Kind::Tidelog | Kind::TidelogDefault));
    let ratio = ours.map_or(String::new(), |ours| format!(" ({}x)", number(ours / series.median())));
    let flag = if is_void(row, kind, series) { " **!**" } else { "" };
    format!("{}{spread}{ratio}{flag}", number(series.median()))
}

fn is_void(row: &Row, kind: Kind, series: &Series) -> bool {
    let expected = EXPECTED.iter().find(|(id, of, _)| *id == row.id && *of == kind);
    expected.is_some_and(|(_, _, expected)| series.median() < expected * VOID)
}

fn goals(rows: &[Row]) -> String {
    let all = rows.iter().flat_map(|row| &row.goals);
    let (count, met) = (all.clone().count(), all.filter(|goal| goal.met()).count());
    let mut out = format!(
        "{met} of {count} goals are met.\n\n| work | what | measured | goal | met |\n| --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        for goal in &row.goals {
            let sign = if goal.at_least { ">=" } else { "<=" };
            let met = if goal.met() { "yes" } else { "**no**" };
            let (value, bound) = (number(goal.value), number(goal.bound));
            writeln!(out, "| {} | {} | {value} | {sign} {bound} | {met} |", row.title, goal.what)
                .expect("memory takes it");
        }
    }
    out + "\n"
}

fn notes(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let commit = if row.commit.is_empty() { String::new() } else { format!(", commit {}", row.commit) };
        writeln!(out, "**{}** (`{}`, {}{commit}, {:.0} s)\n", row.title, row.command, row.date, row.took_s)
            .expect("memory takes it");
        let others = row.series.iter().filter(|series| Kind::ALL.iter().all(|kind| kind.name() != series.engine));
        for series in others {
            writeln!(out, "- {}: {} {}", series.engine, number(series.median()), row.unit).expect("memory takes it");
        }
        row.notes.iter().for_each(|note| writeln!(out, "- {note}").expect("memory takes it"));
        out += "\n";
    }
    out
}
