use crate::support::{Server, put};

#[test]
fn the_store_and_the_server_tell_their_figures() {
    let server = Server::start();
    server.commit(put("d", "e", "1"));
    server.get("/v1/datasets/none").problem(404, "dataset_not_found");
    let store = server.get("/v1/store").ok();
    assert_eq!(store["stat"]["datasets"], 1, "{store}");
    assert_eq!((&store["metrics"]["commits"], &store["metrics"]["entries"]), (&1.into(), &1.into()), "{store}");
    assert_eq!(store["metrics"]["last_compaction"]["chunks_rewritten"], 0, "{store}");
    // A connection that has just ended may still be counted.
    assert!(store["server"]["connections"].as_u64().is_some_and(|open| (1..=3).contains(&open)), "{store}");
    assert_eq!(store["server"]["refused"], 1, "{store}");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in ["tidelog_commits_total 1", "tidelog_datasets 1", "tidelog_http_requests_total{status=\"4xx\"} 1"] {
        assert!(metrics.text().lines().any(|other| other == line), "{line} in\n{}", metrics.text());
    }
}

#[test]
fn the_server_says_whether_it_is_well() {
    let server = Server::start();
    for target in ["/healthz", "/readyz"] {
        assert_eq!((server.get(target).status, server.get(target).text()), (200, "ok\n"));
    }
    server.stop();
}
