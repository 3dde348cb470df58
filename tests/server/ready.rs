use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Server, put};

/// From now on no file of the process can be written to, as on a disk that fails.
fn fail_its_writes(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().expect("an id"));
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit can be set");
}

#[test]
fn a_store_that_takes_no_more_writes_is_not_ready_and_goes_on_reading() {
    let server = Server::told_of_limits();
    let entity = "/v1/datasets/d/entities/e";
    server.commit(put("d", "e", "1"));
    assert_eq!(server.get("/readyz").status, 200);
    fail_its_writes(server.pid());

    // The one whose write failed, and those that come after it.
    server.post("/v1/commits", put("d", "e", "2")).problem(500, "outcome_unknown");
    server.post("/v1/commits", put("d", "e", "3")).problem(503, "poisoned");
    let unready = server.get("/readyz");
    unready.problem(503, "poisoned");
    assert!(unready.header("retry-after").is_some(), "{unready:?}");

    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get(entity).text(), "1");
    let page = server.get("/v1/datasets/d/changes").ok();
    assert_eq!((&page["entries"][0]["payload"], &page["page"]["more"]), (&1.into(), &false.into()));
}

#[test]
fn a_store_whose_disk_is_full_is_not_ready_until_there_is_room_again() {
    let Some((server, disk)) = Server::on_a_small_disk(64, &["--memory", "32M"]) else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    server.commit(put("d", "e", "1"));
    assert_eq!(server.get("/readyz").status, 200);
    disk.fill();
    let unready = server.get("/readyz");
    unready.problem(503, "no_space");
    assert!(unready.header("retry-after").is_some(), "{unready:?}");
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/v1/datasets/d/entities/e").text(), "1");

    disk.free();
    let until = Instant::now() + Duration::from_secs(20);
    while server.get("/readyz").status != 200 {
        assert!(Instant::now() < until, "it does not become ready again");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.commit(put("d", "e", "2"));
}
