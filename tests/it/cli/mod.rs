//! The command line, as a process: arguments and input in; output, errors and exit code out.

mod a_clock_far_ahead;
mod a_store_is_a_directory;
mod backup_and_restore_begin_a_new_lineage;
mod broken_pipe_ends_quietly;
mod changes_all_pages_to_the_end;
mod changes_follow_ends_well_on_a_signal;
mod changes_from_a_stale_cursor;
mod changes_goes_on_from_its_cursor;
mod changes_leaves_payloads_out;
mod changes_since_a_time;
mod changes_views;
mod compact_reports_what_it_dropped;
mod consumer_errors_name_it;
mod consumer_fetch_tells_of_a_new_consumer;
mod consumers_keep_their_position;
mod datasets_by_prefix;
mod delete_forgets_a_dataset;
mod entities_by_page;
mod export_gives_the_same_state;
mod export_of_a_window;
mod get_finds_an_entity;
mod history_is_oldest_first;
mod import_conflict_stops;
mod import_ends_well_on_a_signal;
mod import_limits_a_line;
mod import_names_the_bad_line;
mod import_repeats_by_id;
mod import_reports_keys;
mod import_timestamp_keys;
mod locked_store;
mod names_that_are_not_text;
mod only_import_creates_a_store;
mod payloads_are_verbatim;
mod people_see_escaped_tables;
mod recent_is_newest_first;
mod retention_changes_what_is_named;
mod retention_is_obeyed;
mod stat_tells_what_is_there;
mod store_from_the_environment;
mod usage_errors;
mod verbose_tells_what_the_engine_does;
mod verify_finds_damage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory of one's own, with a store in `data` once something made one.
struct Store {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Store {
    /// No store yet.
    fn new() -> Store {
        Store { dir: TempDir::new().expect("a directory can be made") }
    }

    /// A store with these lines imported.
    fn of(lines: &str) -> Store {
        let store = Store::new();
        store.import(lines).ok();
        store
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        command(&self.data(), args)
    }

    fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), "")
    }

    fn import(&self, lines: &str) -> Ran {
        run(self.command(&["import", "-", "--json"]), lines)
    }

    /// What a command that ends well prints with `--json`.
    fn json(&self, args: &[&str]) -> Vec<Value> {
        self.run(&[args, &["--json"]].concat()).ok().values()
    }

    /// The entries that a command prints, without the line of its page.
    fn entries(&self, args: &[&str]) -> Vec<Value> {
        let mut lines = self.json(args);
        let page = lines.pop().expect("there is a page line");
        assert!(page.get("page").is_some(), "{page}");
        lines
    }

    /// The error of a command that ends with this exit code.
    fn error(&self, code: i32, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).error(code)
    }
}

impl Ran {
    #[track_caller]
    fn ok(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    fn values(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }

    #[track_caller]
    fn error(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        let mut value: Value = serde_json::from_str(&self.err).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        value["error"].take()
    }
}

fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.env_remove("TIDELOG_DATA").arg("--data").arg(data).args(["--memory", "32M"]).args(args);
    command
}

fn run(mut command: Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // A command that stops early closes its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    writer.join().expect("writing ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// A line that puts one entity.
fn put(dataset: &str, entity: &str, payload: &str) -> String {
    format!("{{\"dataset\":\"{dataset}\",\"op\":\"put\",\"entity\":\"{entity}\",\"payload\":{payload}}}\n")
}

/// A line that deletes one entity.
fn delete(dataset: &str, entity: &str) -> String {
    format!("{{\"dataset\":\"{dataset}\",\"op\":\"delete\",\"entity\":\"{entity}\"}}\n")
}

/// One field of each value, as text.
fn texts<'a>(values: &'a [Value], field: &str) -> Vec<&'a str> {
    values.iter().map(|value| value[field].as_str().unwrap_or("(no text)")).collect()
}

/// A key of a value.
fn key(value: &Value) -> u64 {
    value.as_str().expect("a key is text").parse().expect("a key is digits")
}

/// What Ctrl-C does.
#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::INT)
        .expect("it can be told");
}
