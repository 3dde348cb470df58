use std::process::Command;

use super::{Store, put, run};

fn tidelog(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
    command.env_remove("TIDELOG_DATA").args(args);
    command
}

#[test]
fn the_option_comes_before_the_environment_and_that_before_the_default() {
    let (default, named) = (Store::of(&put("default", "e", "1")), Store::of(&put("named", "e", "1")));
    let mut command = tidelog(&["datasets"]);
    command.current_dir(default.dir.path());
    assert_eq!(run(command, "").ok().out, "default\n");
    let mut command = tidelog(&["datasets"]);
    command.current_dir(default.dir.path()).env("TIDELOG_DATA", named.data());
    assert_eq!(run(command, "").ok().out, "named\n");
    let mut command = tidelog(&["datasets", "--data"]);
    command.arg(default.data()).env("TIDELOG_DATA", named.data());
    assert_eq!(run(command, "").ok().out, "default\n");
}
