//! A directory that may not be written to is a typed error, and stays as it was.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tidelog::{Engine, Error};

use crate::support::{Child, child_dir, put, small, store, value};

const NOBODY: u32 = 65_534;

fn assert_refused(result: Result<Engine, Error>) {
    match result.map(|_| ()) {
        Err(Error::Io { what, .. }) => assert!(!what.is_empty()),
        other => panic!("expected an error of the system, got {other:?}"),
    }
}

#[test]
fn a_place_where_nothing_can_be_made() {
    assert_refused(Engine::open("/proc/tidelog/store", small()));
}

#[test]
fn a_store_of_somebody_else() {
    let (dir, engine) = store(small());
    put(&engine, "d", "e", "x");
    engine.close().expect("a clean close");
    let path = dir.path().join("store");
    let open = |path: &std::path::Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o555));
    open(dir.path()).and_then(|()| open(&path)).expect("permissions");
    if path.metadata().expect("the store").uid() == 0 {
        // Root may do anything: somebody else has to try.
        let mut child = Child::run("read_only::child_may_not_write", &path, Some(NOBODY)).expect("a child of nobody");
        child.said("the child was refused");
        child.finish();
    } else {
        assert_refused(Engine::open(&path, small()));
    }
    let mend = std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755));
    mend.and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))).expect("permissions");
    let engine = Engine::open(&path, small()).expect("it opens as before");
    assert_eq!(value(&engine, "d", "e").expect("it is there"), "x");
}

#[test]
fn child_may_not_write() {
    let Some(path) = child_dir() else { return };
    assert_refused(Engine::open(&path, small()));
    println!("\nthe child was refused");
}
