//! Server-Sent Events.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Event, PATIENCE, Server, texts};

#[test]
fn pages_come_in_order_and_go_on_after_the_last_event() {
    let server = Server::start(&[]);
    for n in 0..25 {
        server.write("team/d", &format!("e{n}"), "x");
    }
    let path = "/v1/datasets/team%2Fd/events?limit=10";
    let mut events = server.events(path, &[]);
    let pages: Vec<Event> = (0..3).map(|_| events.next()).collect();
    let counts: Vec<usize> = pages.iter().map(|page| page.data["entries"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [10, 10, 5]);
    for page in &pages {
        assert_eq!((&page.event[..], &page.id), ("changes", &page.data["page"]["next"].as_str().unwrap().to_owned()));
    }
    assert_eq!(texts(&pages[2].data["entries"], "entity"), ["e20", "e21", "e22", "e23", "e24"]);
    assert_eq!(pages[2].data["page"]["more"], false);
    let key = server.write("team/d", "e3", "y");
    let live = events.next();
    assert_eq!(texts(&live.data["entries"], "key"), [&key]);
    drop(events);
    // What came meanwhile is there for who comes back; the header wins over the query.
    server.remove("team/d", "e4");
    let mut events = server.events(&format!("{path}&since=start"), &[("last-event-id", &live.id)]);
    let missed = events.next();
    assert_eq!(texts(&missed.data["entries"], "op"), ["delete"]);
    let mut again = server.events(&format!("{path}&since={}", pages[0].id), &[("last-event-id", "")]);
    assert_eq!(texts(&again.next().data["entries"], "entity")[0], "e10");
}

#[test]
fn an_idle_stream_shows_that_it_lives_and_a_dataset_may_come_later() {
    let server = Server::start(&["--heartbeat", "0.1"]);
    let mut events = server.events("/v1/datasets/later/events", &[]);
    let first = events.any().expect("a page at once");
    assert_eq!((first.data["entries"].as_array().unwrap().len(), &first.id[..]), (0, "0"));
    for _ in 0..3 {
        assert_eq!(events.any(), Some(Event::default()), "a comment");
    }
    server.write("later", "e", "x");
    assert_eq!(texts(&events.next().data["entries"], "entity"), ["e"]);
    // From now on: what is there already does not come.
    let mut head = server.events("/v1/datasets/later/events?since=head", &[]);
    assert_eq!(head.next().data["entries"], json!([]));
    server.write("later", "f", "x");
    assert_eq!(texts(&head.next().data["entries"], "entity"), ["f"]);
}

#[test]
fn a_position_gone_stale_is_said_and_ends_the_stream() {
    let server = Server::start(&[]);
    server.write("d", "e", "x");
    let mut events = server.events("/v1/datasets/d/events", &[]);
    let id = events.next().id;
    server.delete_dataset("d");
    let stale = events.next();
    assert_eq!((&stale.event[..], &stale.data["kind"]), ("stale", &json!("dataset_not_found")));
    assert_eq!(events.any(), None);
    let last = [("last-event-id", id.as_str())];
    server.request("GET", "/v1/datasets/d/events", &last, None).problem(404, "dataset_not_found");
    server.write("d", "e", "y");
    let answer = server.request("GET", "/v1/datasets/d/events", &last, None);
    assert_eq!(answer.header("link"), Some("</v1/datasets/d/events?since=start>; rel=\"restart\""));
    assert!(answer.header("retry-after").is_some());
    answer.problem(410, "stale_recreated");
    // Deleted and made again faster than anybody looks.
    let mut events = server.events("/v1/datasets/d/events", &[]);
    events.next();
    server.delete_dataset("d");
    server.write("d", "e", "z");
    let stale = events.next();
    assert_eq!(stale.event, "stale", "{stale:?}");
}

#[test]
fn streams_end_when_the_server_stops() {
    let mut server = Server::start(&[]);
    server.write("d", "e", "x");
    let mut streams: Vec<_> = (0..20).map(|_| server.events("/v1/datasets/d/events", &[])).collect();
    streams.iter_mut().for_each(|events| drop(events.next()));
    let begun = Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "they were not waited for in vain");
    for mut events in streams {
        assert_eq!(events.any(), None);
    }
}

#[test]
fn one_client_holds_so_many_and_no_more() {
    let server = Server::start(&["--waiters-per-client", "2"]);
    let one = server.events("/v1/datasets/d/events", &[]);
    let _two = server.events("/v1/datasets/d/events", &[]);
    let refused = server.get("/v1/datasets/d/events");
    assert!(refused.header("retry-after").is_some());
    refused.problem(429, "too_many_waiters");
    drop(one);
    let begun = Instant::now();
    // That it went away shows when something is sent to it.
    while server.get("/v1/datasets/d/changes?wait=0.01").status == 429 {
        assert!(begun.elapsed() < PATIENCE);
        server.write("d", "e", "x");
    }
}

#[test]
fn what_a_stream_cannot_be_is_refused() {
    let server = Server::start(&[]);
    for query in ["wait=1", "limit=0", "limit=10001", "view=all", "since=1&since_time=2", "payload=false"] {
        server.get(&format!("/v1/datasets/d/events?{query}")).problem(400, "invalid");
    }
    server.get("/v1/datasets/d/events?since=nonsense").problem(410, "stale_malformed");
    server.get("/v1/datasets/%00gx/events").problem(400, "invalid");
    server.write("d", "e", "x");
    server.write("d", "e", "y");
    let mut events = server.events("/v1/datasets/d/events?view=every&payloads=false&since_time=0", &[]);
    let page = events.next();
    assert_eq!(page.data["entries"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&page.data["entries"][0]["payload"], &page.data["entries"][0]["payload_len"]),
        (&json!(null), &json!(3))
    );
}
