//! `curl` as a client: tags and conditions, and a stream of events that goes on where it was cut.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Network, Server, once, seed};

/// What curl got: the status, the head and the body.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let found = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(found).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

fn curl(args: &[&str]) -> Got {
    let output = Command::new("curl").args(["-q", "-sS", "--max-time", "60", "-D", "/dev/stderr"]).args(args).output();
    let output = output.expect("curl is installed: scripts/setup-tests installs it");
    assert!(output.status.success(), "{args:?}: {output:?}");
    let head = String::from_utf8(output.stderr).expect("text").replace('\r', "");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Got {
        status: status.unwrap_or_else(|| panic!("a status: {head}")),
        head,
        body: String::from_utf8(output.stdout).expect("text"),
    }
}

#[test]
fn tags_and_conditions() {
    let mut server = Server::start();
    let entity = format!("{}/v1/datasets/team%2Finbox/entities/m1", server.url());
    let made = curl(&[
        "-X",
        "PUT",
        "-d",
        r#"{"subject":"hello"}"#,
        "-H",
        "If-None-Match: *",
        "-H",
        "Tidelog-Origin: phone",
        &entity,
    ]);
    assert_eq!(made.status, 201, "{made:?}");
    let tag = made.header("etag").expect("a tag").to_owned();
    assert_eq!(tag, format!("\"{}\"", made.json()["last"].as_str().expect("a key")));

    let got = curl(&[&entity]);
    assert_eq!((got.status, got.body.as_str()), (200, r#"{"subject":"hello"}"#));
    assert_eq!((got.header("etag"), got.header("tidelog-origin")), (Some(tag.as_str()), Some("phone")));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert!(got.header("tidelog-time").is_some_and(|time| time.parse::<u64>().is_ok()));
    let same = curl(&["-H", &format!("If-None-Match: {tag}"), &entity]);
    assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some(tag.as_str())));

    // Two edit the same version: the second is told.
    let if_match = format!("If-Match: {tag}");
    let changed =
        curl(&["-X", "PUT", "-d", r#"{"subject":"hello you"}"#, "-H", &if_match, "-H", "Idempotency-Key: a", &entity]);
    assert_eq!(changed.status, 200, "{changed:?}");
    let newer = changed.header("etag").expect("a tag").to_owned();
    let late = curl(&["-X", "PUT", "-d", r#"{"subject":"late"}"#, "-H", &if_match, &entity]);
    assert_eq!((late.status, late.header("etag")), (412, Some(newer.as_str())), "{late:?}");
    assert_eq!(late.header("content-type"), Some("application/problem+json"));
    let problem = late.json();
    assert_eq!(problem["type"], "urn:tidelog:problem:conflict");
    assert_eq!((&problem["status"], &problem["entity"]), (&412.into(), &"m1".into()));
    // The same again under the same id is the same commit.
    let again =
        curl(&["-X", "PUT", "-d", r#"{"subject":"hello you"}"#, "-H", &if_match, "-H", "Idempotency-Key: a", &entity]);
    assert_eq!((again.header("etag"), &again.json()["repeated"]), (Some(newer.as_str()), &true.into()), "{again:?}");

    let gone = curl(&["-X", "DELETE", "-H", &format!("If-Match: {newer}"), &entity]);
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(curl(&["-X", "DELETE", &entity]).status, 404);
    assert_eq!(curl(&[&entity]).json()["kind"], "not_found");
    assert_eq!(curl(&["-H", "Origin: https://example.org", &entity]).status, 421, "a page of another site may not");
    assert!(server.stop_and_export().is_empty());
}

/// `curl` reading a stream of events.
struct Events {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// An event: its kind, its id and its data.
#[derive(Debug, Default)]
struct Event {
    event: String,
    id: String,
    data: String,
}

impl Event {
    fn entities(&self) -> Vec<String> {
        let data: Value = serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        let entries = data["entries"].as_array().expect("entries");
        entries.iter().map(|entry| entry["entity"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Events {
    fn of(url: &str, last: Option<&str>) -> Events {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "-N", "--max-time", "60"]);
        if let Some(last) = last {
            command.args(["-H", &format!("Last-Event-ID: {last}")]);
        }
        let mut process =
            command.arg(url).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("curl is installed");
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Events { process, lines }
    }

    /// The next one; none once the stream is cut.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        for line in self.lines.by_ref() {
            let line = line.expect("text");
            match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                Some(("event", value)) => value.clone_into(&mut event.event),
                Some(("id", value)) => value.clone_into(&mut event.id),
                Some(("data", value)) => event.data.push_str(value),
                None if line.is_empty() && !event.data.is_empty() => return Some(event),
                _ => {}
            }
        }
        None
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

#[test]
fn events_go_on_where_they_were_cut() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let url = format!("{}/v1/datasets/inbox/events", network.url());
    once(server.url()).put("inbox", "m1", "1").expect("a commit");
    let mut events = Events::of(&url, None);
    let first = events.next().expect("an event");
    assert_eq!((first.event.as_str(), first.entities()), ("changes", vec!["m1".to_owned()]));
    once(server.url()).put("inbox", "m2", "2").expect("a commit");
    let second = events.next().expect("an event");
    assert_eq!(second.entities(), ["m2"]);
    server.kill();
    assert!(events.next().is_none(), "the stream is cut");

    server.restart();
    network.lead_to(&server);
    let near = once(server.url());
    near.put("inbox", "m3", "3").expect("a commit");
    near.delete("inbox", "m1").expect("a commit");
    let mut events = Events::of(&url, Some(&second.id));
    let missed = events.next().expect("an event");
    assert_eq!(missed.entities(), ["m3", "m1"], "what came meanwhile, and nothing else");
    near.put("inbox", "m4", "4").expect("a commit");
    assert_eq!(events.next().expect("an event").entities(), ["m4"]);
    drop(events);
    // From an id again: as lost answers do, events come again.
    assert_eq!(Events::of(&url, Some(&first.id)).next().expect("an event").entities(), ["m2", "m3", "m1", "m4"]);
    let exported = server.stop_and_export();
    let inbox: Vec<_> = exported[&b"inbox"[..]].keys().map(|entity| &entity[..]).collect();
    assert_eq!(inbox, [b"m2", b"m3", b"m4"]);
}
