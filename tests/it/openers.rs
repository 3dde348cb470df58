//! One opener per directory; a second gets `Locked` at once and changes nothing.

use std::io::BufRead;

use tidelog::{Engine, Error, verify};

use crate::support::{Child, child_dir, put, small, store, temp, value};

fn assert_locked<T>(result: Result<T, Error>, dir: &std::path::Path) {
    match result {
        Err(Error::Locked { dir: named }) => assert!(named.ends_with(dir.file_name().expect("a name")), "{named:?}"),
        Err(error) => panic!("expected `Locked`, got {error:?}"),
        Ok(_) => panic!("expected `Locked`, it opened"),
    }
}

#[test]
fn a_second_opener_in_this_process_is_refused() {
    let (dir, engine) = store(small());
    let path = dir.path().join("store");
    put(&engine, "d", "e", "x");
    assert_locked(Engine::open(&path, small()), &path);
    assert_locked(verify(&path, &small(), &mut |_, _| {}), &path);
    put(&engine, "d", "e", "y");
    assert_eq!(value(&engine, "d", "e").expect("it is there"), "y", "the first opener is not disturbed");
    engine.close().expect("a clean close");
    let again = Engine::open(&path, small()).expect("it is free again");
    assert_eq!(value(&again, "d", "e").expect("it is there"), "y");
}

#[test]
fn a_clone_keeps_it_open_and_the_last_drop_frees_it() {
    let (dir, engine) = store(small());
    let path = dir.path().join("store");
    put(&engine, "d", "e", "x");
    let clone = engine.clone();
    drop(engine);
    assert_locked(Engine::open(&path, small()), &path);
    drop(clone);
    let again = Engine::open(&path, small()).expect("it is free again");
    assert_eq!(value(&again, "d", "e").expect("it is there"), "x");
}

#[test]
fn another_process_is_refused_and_refuses() {
    let dir = temp();
    let path = dir.path().join("store");
    let mut child = Child::run("openers::child_holds_the_store", &path, None).expect("a child");
    child.said("the child has opened it");
    assert_locked(Engine::open(&path, small()), &path);
    child.finish();
    let engine = Engine::open(&path, small()).expect("it is free again");
    assert_eq!(value(&engine, "d", "e").expect("it is there"), "from the child");
    let mut child = Child::run("openers::child_is_refused", &path, None).expect("a child");
    child.said("the child was refused");
    child.finish();
}

#[test]
fn child_holds_the_store() {
    let Some(path) = child_dir() else { return };
    let engine = Engine::open(&path, small()).expect("a new store");
    put(&engine, "d", "e", "from the child");
    println!("\nthe child has opened it");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("the parent speaks");
    engine.close().expect("a clean close");
}

#[test]
fn child_is_refused() {
    let Some(path) = child_dir() else { return };
    assert_locked(Engine::open(&path, small()), &path);
    println!("\nthe child was refused");
}
