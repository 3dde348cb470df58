//! Rules of the source that no compiler checks: who may import whom, how large a file is, where a dependency may be
//! named, and that nothing panics on bytes from disk. A rule that does not run is not kept.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use source::Source;

/// Most lines of a file, its tests left aside, and most lines of a file of tests.
const MAX_LINES: usize = 400;
const MAX_TEST_LINES: usize = 600;

/// The ranks of docs/architecture.md: a module imports lower ranks, or its own without a cycle.
const RANKS: &[(&str, u8)] = &[
    ("error", 0),
    ("limits", 0),
    ("planted", 0),
    ("units", 0),
    ("types", 1),
    ("options", 1),
    ("clock", 1),
    ("codec", 1),
    ("meta", 1),
    ("vfs", 1),
    ("frame", 2),
    ("chunk", 2),
    ("cursor", 2),
    ("window", 2),
    ("log", 3),
    ("store", 3),
    ("tail", 3),
    ("seal", 4),
    ("compact", 4),
    ("conflict", 6),
    ("verify", 4),
    ("engine", 5),
    ("testing", 6),
    ("json", 6),
    ("server", 6),
    ("client", 6),
];

/// What is allowed beside the ranks: a page carries the cursor of the next one, and a cursor names a key. Both are
/// plain values of the interface. The limits are its numbers, what the server writes is that interface as JSON, and a
/// client sends what a batch holds and makes pages.
const ALLOWED: &[(&str, &str)] = &[
    ("types", "cursor"),
    ("json", "limits"),
    ("server", "json"),
    ("server", "units"),
    ("client", "types"),
    ("client", "limits"),
];

/// What is forbidden within a rank: the log and the index store do not know each other.
const STRANGERS: &[(&str, &str)] = &[("log", "store"), ("store", "log")];

/// Modules that use the public interface only, as `crate::Engine`, and no other module.
const OUTSIDERS: &[&str] = &["json", "server", "client"];

/// The only places that may name a dependency.
const CONFINED: &[(&str, &str)] = &[("rocksdb", "src/store/"), ("bincode", "src/meta.rs")];

/// Modules that decode bytes from disk or from a client: they return errors.
const DECODING: &[&str] = &["codec", "frame", "chunk", "cursor", "meta", "log", "store"];
const PANICS: &[&str] = &[".unwrap()", ".expect(", "panic!(", "unreachable!("];
/// What a line must say, with a reason, to panic there all the same.
const EXCUSE: &str = "// cannot fail:";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `dir`, with its path from the root.
fn sources(dir: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
                found.push(Source::new(name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The modules that src/lib.rs declares, tests left aside: what is not among them belongs to the binary.
fn library_modules(sources: &[Source]) -> BTreeSet<String> {
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").expect("there is a src/lib.rs");
    lib.declared_modules().into_iter().collect()
}

/// What breaks the ranks, as "path: why".
fn rank_violations(sources: &[Source], modules: &BTreeSet<String>) -> Vec<String> {
    let ranks: BTreeMap<&str, u8> = RANKS.iter().copied().collect();
    let mut wrong = Vec::new();
    for module in modules.iter().filter(|module| !ranks.contains_key(module.as_str())) {
        wrong.push(format!("src/lib.rs: module `{module}` has no rank; give it one in tests/it/tidy.rs"));
    }
    let mut same_rank = BTreeSet::new();
    for source in sources.iter().filter(|source| modules.contains(source.module())) {
        let from = source.module();
        for (line, to) in source.imports() {
            let pair = (from, to.as_str());
            if to == from || ALLOWED.contains(&pair) {
                continue;
            }
            let at = format!("{}:{line}", source.path);
            match (ranks.get(from), ranks.get(to.as_str())) {
                (_, None) if OUTSIDERS.contains(&from) => {}
                (_, Some(_)) if OUTSIDERS.contains(&from) => {
                    wrong.push(format!("{at}: `{from}` uses the public interface only, not `{to}`"));
                }
                (_, None) => wrong.push(format!("{at}: `crate::{to}` is not a module: import from where it stands")),
                (Some(low), Some(high)) if low < high => {
                    wrong.push(format!("{at}: `{from}` (rank {low}) imports `{to}` (rank {high})"));
                }
                _ if STRANGERS.contains(&pair) => wrong.push(format!("{at}: `{from}` must not know `{to}`")),
                (Some(one), Some(other)) if one == other => {
                    same_rank.insert((from.to_string(), to));
                }
                _ => {}
            }
        }
    }
    wrong.extend(cycles(&same_rank));
    wrong
}

/// Modules from which imports lead back to themselves.
fn cycles(edges: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut wrong = Vec::new();
    let starts: BTreeSet<&str> = edges.iter().map(|(from, _)| from.as_str()).collect();
    for start in starts {
        let (mut open, mut seen) = (vec![start], BTreeSet::new());
        while let Some(at) = open.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| from == at) {
                if to == start {
                    wrong.push(format!("src: `{start}` imports itself through others of its rank"));
                } else if seen.insert(to.as_str()) {
                    open.push(to);
                }
            }
        }
    }
    wrong.dedup();
    wrong
}

fn size_violations(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        let (limit, lines) = match source.is_test() {
            true => (MAX_TEST_LINES, source.lines()),
            false => (MAX_LINES, source.lines_before_tests()),
        };
        if lines > limit {
            wrong.push(format!("{}: {lines} lines, the limit is {limit}: split it", source.path));
        }
    }
    wrong
}

fn confinement_violations(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, place) in CONFINED {
        for source in sources.iter().filter(|source| !source.path.starts_with(place)) {
            for line in source.lines_naming(name) {
                wrong.push(format!("{}:{line}: names `{name}`, which only {place} may", source.path));
            }
        }
    }
    wrong
}

fn panic_violations(sources: &[Source], modules: &BTreeSet<String>) -> Vec<String> {
    let decodes = |source: &&Source| modules.contains(source.module()) && DECODING.contains(&source.module());
    let mut wrong = Vec::new();
    for source in sources.iter().filter(decodes) {
        for (line, code, text) in source.code_lines() {
            let panics = PANICS.iter().find(|panics| code.contains(**panics));
            if let Some(panics) = panics.filter(|_| !excused(text)) {
                wrong.push(format!("{}:{line}: `{panics}` without `{EXCUSE} the reason`", source.path));
            }
        }
    }
    wrong
}

/// Whether the line says why it cannot fail.
fn excused(text: &str) -> bool {
    text.split_once(EXCUSE).is_some_and(|(_, reason)| !reason.trim().is_empty())
}

#[test]
fn modules_import_lower_ranks_only() {
    let sources = sources("src");
    let modules = library_modules(&sources);
    assert!(modules.len() >= 8, "src/lib.rs declares modules: {modules:?}");
    assert_eq!(rank_violations(&sources, &modules), Vec::<String>::new());
}

#[test]
fn files_stay_small() {
    let all: Vec<Source> =
        ["src", "tests", "examples", "benches", "fuzz/fuzz_targets"].map(sources).into_iter().flatten().collect();
    assert!(all.len() > 20, "the sources were found");
    assert_eq!(size_violations(&all), Vec::<String>::new());
}

#[test]
fn dependencies_are_named_where_they_belong() {
    let sources = sources("src");
    assert_eq!(confinement_violations(&sources), Vec::<String>::new());
    let meta: Vec<Source> = sources.into_iter().filter(|source| source.path == "src/meta.rs").collect();
    assert!(!meta[0].lines_naming("bincode").is_empty(), "the search finds what is there");
}

#[test]
fn decoding_returns_errors() {
    let sources = sources("src");
    let modules = library_modules(&sources);
    assert_eq!(panic_violations(&sources, &modules), Vec::<String>::new());
}

#[test]
fn lib_rs_forbids_unsafe_code_and_missing_docs() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![forbid(unsafe_code)]"));
    assert!(lib.contains("#![deny(missing_docs)]"));
}

#[test]
fn fuzz_targets_match_their_manifest() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let named: BTreeSet<PathBuf> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"))
        .map(|rest| PathBuf::from(rest.trim_end_matches('"')))
        .collect();
    let there: BTreeSet<PathBuf> = sources("fuzz/fuzz_targets")
        .iter()
        .filter_map(|source| Path::new(&source.path).file_name().map(PathBuf::from))
        .collect();
    assert_eq!(named, there);
}

mod planted {
    //! Each rule finds a fault that was put there on purpose.

    use super::*;

    fn modules(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn an_import_of_a_higher_rank() {
        for text in [
            "use crate::engine::Engine;",
            "use crate::{error::Error, engine::{Engine, Receipt}};",
            "fn f() { crate::engine::run(); }",
            "use super::super::engine::Engine;",
        ] {
            let source = Source::new("src/frame/body.rs".into(), text);
            let wrong = rank_violations(&[source], &modules(&["frame", "engine", "error"]));
            assert_eq!(wrong, ["src/frame/body.rs:1: `frame` (rank 2) imports `engine` (rank 5)"], "{text}");
        }
    }

    #[test]
    fn strangers_cycles_and_modules_without_a_rank() {
        let known = modules(&["log", "store", "tail"]);
        let strangers = Source::new("src/log/mod.rs".into(), "use crate::store::Rows;");
        assert_eq!(rank_violations(&[strangers], &known), ["src/log/mod.rs:1: `log` must not know `store`"]);
        let there = Source::new("src/tail.rs".into(), "use crate::log::Log;");
        let back = Source::new("src/log/mod.rs".into(), "use super::tail::Tail;");
        assert_eq!(rank_violations(&[there, back], &known).len(), 2);
        let outside = Source::new("src/server/mod.rs".into(), "use crate::Engine;\nuse crate::log::Log;");
        let wrong = rank_violations(&[outside], &modules(&["server", "log"]));
        assert_eq!(wrong, ["src/server/mod.rs:2: `server` uses the public interface only, not `log`"]);
        assert_eq!(rank_violations(&[], &modules(&["novel"])).len(), 1);
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        let text = "//! [`Engine`](crate::engine::Engine)\n/* crate::engine */\nconst A: &str = \"crate::engine::X\";\n\
                    const B: char = '\"'; const C: &str = r#\"\"crate::engine\"#;\n\
                    #[cfg(test)]\nmod tests { use crate::engine::Engine; fn f() { x.unwrap(); } }";
        let source = Source::new("src/frame.rs".into(), text);
        assert_eq!(source.imports(), []);
        assert_eq!(panic_violations(&[source], &modules(&["frame"])), Vec::<String>::new());
    }

    #[test]
    fn a_panic_where_bytes_are_decoded() {
        let text = "fn f() {\n    a.unwrap();\n    b.expect(\"b\"); // cannot fail: checked above\n    c.unwrap(); // cannot fail:\n}";
        let source = Source::new("src/frame.rs".into(), text);
        let wrong = panic_violations(&[source], &modules(&["frame"]));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("src/frame.rs:2") && wrong[1].starts_with("src/frame.rs:4"), "{wrong:?}");
    }

    #[test]
    fn a_dependency_out_of_its_place() {
        let source = Source::new("src/engine/mod.rs".into(), "// rocksdb\nuse rocksdb::DB;\nlet my_rocksdb_like = 1;");
        assert_eq!(
            confinement_violations(&[source]),
            ["src/engine/mod.rs:2: names `rocksdb`, which only src/store/ may"]
        );
    }

    #[test]
    fn a_file_above_the_limit() {
        let long = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert_eq!(size_violations(&[Source::new("src/a.rs".into(), &long)]).len(), 1);
        let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert_eq!(size_violations(&[Source::new("src/a.rs".into(), &tests)]), Vec::<String>::new());
    }
}
