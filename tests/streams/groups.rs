//! Groups: a device reads many datasets as one, from the position that the server keeps for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Answer, Server, texts};

/// A device's copy of a group: by dataset, its entities and payloads.
pub type Copy = BTreeMap<String, BTreeMap<String, Value>>;

/// A device: what it holds and the ack that it keeps together with that.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub name: String,
    pub copy: Copy,
    pub ack: Option<String>,
}

impl Device {
    pub fn new(name: &str) -> Device {
        Device { name: name.to_owned(), ..Device::default() }
    }

    /// Asks with the newest ack.
    pub fn ask(&self, server: &Server, limit: usize, wait: f64) -> Value {
        ask(server, &self.name, self.ack.as_deref(), limit, wait).ok()
    }

    /// Applies an answer, but for its ack.
    pub fn apply(&mut self, answer: &Value) {
        for part in answer["datasets"].as_array().expect("datasets") {
            let dataset = self.copy.entry(part["dataset"].as_str().expect("a name").to_owned()).or_default();
            match part["status"].as_str() {
                Some("reset") => dataset.clear(),
                Some("page") => {}
                _ => panic!("{part}"),
            }
            for entry in part["entries"].as_array().expect("entries") {
                let entity = entry["entity"].as_str().expect("an entity");
                match entry["op"].as_str() {
                    Some("delete") => drop(dataset.remove(entity)),
                    _ => drop(dataset.insert(entity.to_owned(), entry["payload"].clone())),
                }
            }
        }
    }

    pub fn keep(&mut self, answer: &Value) {
        self.ack = Some(answer["ack"].as_str().expect("an ack").to_owned());
    }

    /// Asks until there is nothing more; the number of answers with something in them.
    pub fn catch_up(&mut self, server: &Server, limit: usize) -> usize {
        for answers in 0..1000 {
            let answer = self.ask(server, limit, 0.0);
            self.apply(&answer);
            self.keep(&answer);
            if answer["more"] == false && answer["datasets"] == json!([]) {
                return answers;
            }
        }
        panic!("it does not come to an end");
    }
}

pub fn ask(server: &Server, device: &str, ack: Option<&str>, limit: usize, wait: f64) -> Answer {
    let mut body = json!({"device": device, "limit": limit, "wait": wait});
    if let Some(ack) = ack {
        body["ack"] = json!(ack);
    }
    server.post("/v1/groups/g/sync", &body)
}

pub fn group(server: &Server, members: &[&str]) {
    server.put("/v1/groups/g", &json!({"datasets": members})).ok();
}

/// What the members hold, those that do not exist left out.
pub fn state(server: &Server, members: &[&str]) -> Copy {
    let of = |member: &&str| {
        let answer = server.get(&format!("/v1/datasets/{member}/changes?limit=10000"));
        let entries = if answer.status == 404 { json!([]) } else { answer.ok()["entries"].clone() };
        let entries = entries.as_array().unwrap().iter();
        let entities = entries.map(|entry| (entry["entity"].as_str().unwrap().to_owned(), entry["payload"].clone()));
        (member.to_string(), entities.collect())
    };
    members.iter().map(of).collect()
}

fn statuses(answer: &Value) -> Vec<(&str, &str)> {
    texts(&answer["datasets"], "dataset").into_iter().zip(texts(&answer["datasets"], "status")).collect()
}

#[test]
fn a_group_is_a_list_with_a_tag_of_its_own() {
    let server = Server::start(&[]);
    server.get("/v1/groups/g").problem(404, "not_found");
    server.post("/v1/groups/g/sync", &json!({"device": "d"})).problem(404, "not_found");
    let list = json!({"datasets": ["b", "a/1", {"base64": "/w=="}, "b"]});
    let made = server.put("/v1/groups/g", &list);
    assert_eq!((made.status, &made.body), (201, &json!({"datasets": ["a/1", "b", {"base64": "/w=="}]})));
    let tag = made.header("etag").unwrap().to_owned();
    let got = server.get("/v1/groups/g");
    assert_eq!((got.header("etag"), &got.body), (Some(&tag[..]), &made.body));
    assert_eq!(server.request("GET", "/v1/groups/g", &[("if-none-match", &tag)], None).status, 304);
    let same = server.put("/v1/groups/g", &list);
    assert_eq!((same.status, same.header("etag")), (200, Some(&tag[..])));
    let other = json!({"datasets": ["a/1", "c"]});
    let changed = server.request("PUT", "/v1/groups/g", &[("if-match", &tag)], Some(&other));
    assert_ne!(changed.header("etag"), Some(&tag[..]));
    let now = changed.header("etag").unwrap().to_owned();
    assert_eq!(changed.ok(), other);
    let late = server.request("PUT", "/v1/groups/g", &[("if-match", &tag)], Some(&list));
    assert_eq!(late.header("etag"), Some(&now[..]));
    late.problem(412, "conflict");
    assert_eq!(server.get("/v1/groups/g").ok(), other);
    for wrong in
        [json!({}), json!({"datasets": ["\u{0}g"]}), json!({"datasets": [""]}), json!({"datasets": [{"base64": "?"}]})]
    {
        server.put("/v1/groups/g", &wrong).problem(400, "invalid");
    }
    let many: Vec<String> = (0..4097).map(|n| format!("d{n}")).collect();
    server.put("/v1/groups/g", &json!({"datasets": many})).problem(400, "invalid");
    server.put("/v1/groups/g", &json!({"datasets": many[..4096]})).ok();
    assert_eq!(server.put("/v1/groups/g", &json!({"datasets": []})).ok(), json!({"datasets": []}));
    assert!(!server.get("/v1/datasets").ok().to_string().contains("\\u0000"), "it is not among the datasets");
}

#[test]
fn a_new_device_gets_an_account_in_as_few_answers_as_the_limit_allows() {
    let server = Server::start(&[]);
    let names: Vec<String> = (0..200).map(|n| format!("session-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let changes: Vec<Value> = names
        .iter()
        .flat_map(|name| {
            (0..3).map(move |n| json!({"dataset": name, "op": "create", "entity": format!("m{n}"), "payload": n}))
        })
        .collect();
    server.post("/v1/commits", &json!({"changes": changes})).ok();
    group(&server, &names);
    let mut phone = Device::new("phone");
    let first = phone.ask(&server, 1000, 0.0);
    assert_eq!((first["more"].clone(), statuses(&first).len()), (json!(false), 200));
    assert_eq!(phone.catch_up(&server, 250), 3, "600 entries by 250");
    assert_eq!(phone.copy, state(&server, &names));
    server.write("session-7", "m3", "x");
    let answer = phone.ask(&server, 250, 0.0);
    assert_eq!(statuses(&answer), [("session-7", "page")]);
    // Without the ack it comes again, as it is or fresher.
    assert_eq!(phone.ask(&server, 250, 0.0)["datasets"], answer["datasets"]);
    server.remove("session-7", "m3");
    phone.apply(&answer);
    let again = phone.ask(&server, 250, 0.0);
    assert_eq!(texts(&again["datasets"][0]["entries"], "op"), ["delete"], "it may have been applied");
    phone.catch_up(&server, 250);
    assert_eq!(phone.copy, state(&server, &names));
    // Another device is not concerned.
    let mut tablet = Device::new("tablet");
    tablet.catch_up(&server, 1000);
    assert_eq!(tablet.copy, phone.copy);
}

#[test]
fn members_come_and_go() {
    let server = Server::start(&[]);
    server.write("a", "e", "1");
    server.write("b", "e", "1");
    server.write("b", "f", "1");
    group(&server, &["a", "b"]);
    let mut device = Device::new("d");
    device.catch_up(&server, 100);
    // One leaves while its answer is not acknowledged.
    server.write("b", "g", "1");
    let unacknowledged = device.ask(&server, 100, 0.0);
    group(&server, &["a"]);
    device.apply(&unacknowledged);
    device.keep(&unacknowledged);
    server.write("b", "h", "1");
    server.remove("b", "f");
    assert_eq!(device.catch_up(&server, 100), 0, "it is not told of one that left");
    // It comes back: what the device holds of it, if anything, is no good.
    group(&server, &["a", "b", "c"]);
    let late = unacknowledged["ack"].as_str();
    let answer = ask(&server, "d", late, 100, 0.0).ok();
    assert_eq!(statuses(&answer), [("b", "reset"), ("c", "reset")]);
    device.catch_up(&server, 100);
    assert_eq!(device.copy, state(&server, &["a", "b", "c"]));
}

#[test]
fn a_dataset_that_does_not_exist_is_empty_before_and_after() {
    let server = Server::start(&[]);
    group(&server, &["a", "b"]);
    server.write("a", "e", "1");
    let mut device = Device::new("d");
    device.catch_up(&server, 100);
    assert_eq!(device.copy, state(&server, &["a", "b"]));
    let quiet = device.ask(&server, 100, 0.05);
    assert_eq!((&quiet["datasets"], &quiet["more"]), (&json!([]), &json!(false)));
    server.write("b", "e", "1");
    server.delete_dataset("a");
    let answer = device.ask(&server, 100, 0.0);
    assert_eq!(statuses(&answer), [("a", "reset"), ("b", "reset")]);
    device.catch_up(&server, 100);
    assert_eq!(device.copy, state(&server, &["a", "b"]));
    assert_eq!(device.copy["a"], BTreeMap::new());
}

#[test]
fn a_stale_member_begins_anew_page_by_page() {
    let mut server = Server::start(&[]);
    for n in 0..60 {
        server.write("a", &format!("e{n}"), "1");
        server.write("b", &format!("e{n}"), "1");
    }
    group(&server, &["a", "b"]);
    let mut device = Device::new("d");
    device.catch_up(&server, 100);
    // Made anew, below where the device is in other datasets; and one that compaction took the tombstones of.
    server.delete_dataset("a");
    for n in 30..60 {
        server.write("a", &format!("e{n}"), "2");
    }
    for n in 0..50 {
        server.remove("b", &format!("e{n}"));
    }
    let none = json!({"entries": 0, "bytes": null, "age_ms": null});
    let retention = json!({"retention": {"history": none, "tombstones": none}});
    server.request("PATCH", "/v1/datasets/b", &[], Some(&retention)).ok();
    assert!(server.stop().success());
    server.command(&["compact", "b", "--grace", "none"]);
    server.start_again(&[]);
    let first = device.ask(&server, 10, 0.0);
    assert_eq!(statuses(&first)[0].1, "reset", "{first}");
    device.apply(&first);
    // Again, and more comes meanwhile; only then it is acknowledged.
    server.remove("a", "e31");
    let again = device.ask(&server, 12, 0.0);
    device.apply(&again);
    device.keep(&again);
    device.catch_up(&server, 7);
    assert_eq!(device.copy, state(&server, &["a", "b"]));
    assert_eq!((device.copy["a"].len(), device.copy["b"].len()), (29, 10));
}

#[test]
fn acks_out_of_order_and_of_others_move_nothing() {
    let server = Server::start(&[]);
    for n in 0..50 {
        server.write("a", &format!("e{n}"), "1");
    }
    group(&server, &["a"]);
    let mut device = Device::new("d");
    let mut acks = Vec::new();
    for _ in 0..4 {
        let answer = device.ask(&server, 10, 0.0);
        device.apply(&answer);
        device.keep(&answer);
        acks.push(device.ack.clone().unwrap());
    }
    let due = ask(&server, "d", device.ack.as_deref(), 100, 0.0).ok()["datasets"].clone();
    assert_eq!(texts(&due[0]["entries"], "entity")[0], "e40");
    for ack in acks.iter().rev().map(|ack| Some(ack.as_str())).chain([None]) {
        assert_eq!(ask(&server, "d", ack, 100, 0.0).ok()["datasets"], due);
    }
    let ack = device.ack.clone().unwrap();
    ask(&server, "other", Some(&ack), 10, 0.0).problem(400, "invalid");
    for wrong in ["", "a", "c1", &ack[..ack.len() - 1], &format!("{ack}A"), &ack[1..]] {
        ask(&server, "d", Some(wrong), 10, 0.0).problem(400, "invalid");
    }
    server.put("/v1/groups/h", &json!({"datasets": ["a"]})).ok();
    server.post("/v1/groups/h/sync", &json!({"device": "d", "ack": ack})).problem(400, "invalid");
    for wrong in
        [json!({}), json!({"device": ""}), json!({"device": "x".repeat(256)}), json!({"device": "d", "view": "every"})]
    {
        server.post("/v1/groups/g/sync", &wrong).problem(400, "invalid");
    }
}

#[test]
fn a_busy_member_does_not_keep_the_others_from_being_told() {
    let server = Server::start(&[]);
    let members: Vec<String> = std::iter::once("busy".to_owned()).chain((0..9).map(|n| format!("quiet-{n}"))).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    group(&server, &members);
    let mut device = Device::new("d");
    device.catch_up(&server, 100);
    for member in &members[1..] {
        server.write(member, "e", "1");
    }
    // As much comes to the busy one each time as an answer holds.
    for round in 0..12 {
        for n in 0..5 {
            server.write("busy", &format!("e{round}-{n}"), "1");
        }
        let answer = device.ask(&server, 5, 0.0);
        device.apply(&answer);
        device.keep(&answer);
    }
    assert!(members[1..].iter().all(|member| device.copy[*member].len() == 1), "{:?}", device.copy);
    device.catch_up(&server, 5);
    assert_eq!(device.copy, state(&server, &members));
}

#[test]
fn it_waits_for_any_member_and_for_the_list() {
    let server = Server::start(&[]);
    server.write("a", "e", "1");
    group(&server, &["a", "b"]);
    let mut device = Device::new("d");
    device.catch_up(&server, 100);
    let begun = Instant::now();
    assert_eq!(device.ask(&server, 100, 0.2)["datasets"], json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let woken_by = |change: &dyn Fn()| {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| device.ask(&server, 100, 30.0));
            server.until_waited_for();
            change();
            waiting.join().unwrap()
        })
    };
    let begun = Instant::now();
    assert_eq!(statuses(&woken_by(&|| drop(server.write("b", "e", "1")))), [("b", "reset")]);
    let acked = device.catch_up(&server, 100);
    assert_eq!(acked, 1);
    let device = device;
    let woken = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| device.ask(&server, 100, 30.0));
        server.until_waited_for();
        server.write("c", "e", "1");
        group(&server, &["a", "b", "c"]);
        waiting.join().unwrap()
    });
    assert_eq!(statuses(&woken), [("c", "reset")]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_member_that_cannot_be_read_so_does_not_touch_the_others_or_the_wait() {
    let server = Server::start(&[]);
    server.write("window", "e", "1");
    let retention = json!({"retention": {"keep": "window"}});
    server.request("PATCH", "/v1/datasets/window", &[], Some(&retention)).ok();
    server.write("a", "e", "1");
    group(&server, &["a", "window"]);
    let answer = ask(&server, "d", None, 100, 0.0).ok();
    assert_eq!(statuses(&answer), [("a", "reset"), ("window", "failed")]);
    let begun = Instant::now();
    let quiet = ask(&server, "d", answer["ack"].as_str(), 100, 0.3).ok();
    assert_eq!(statuses(&quiet), [("window", "failed")]);
    assert!(begun.elapsed() >= Duration::from_millis(300), "no answer again and again");
}

#[test]
fn after_a_restore_a_device_of_the_lost_history_begins_anew() {
    let mut server = Server::start(&[]);
    for name in ["a", "b"] {
        server.write(name, "kept", "1");
    }
    group(&server, &["a", "b"]);
    let (mut ahead, mut behind) = (Device::new("ahead"), Device::new("behind"));
    ahead.catch_up(&server, 100);
    behind.catch_up(&server, 100);
    let backup = server.path("backup");
    server.stop();
    server.command(&["backup", backup.to_str().unwrap()]);
    server.start_again(&[]);
    // What is lost later: in one dataset it is acknowledged, in the other the last answer says it.
    server.write("a", "lost", "1");
    ahead.catch_up(&server, 100);
    server.write("b", "lost", "1");
    ahead.catch_up(&server, 100);
    assert_eq!(ahead.copy["a"].len(), 2);
    server.stop();
    std::fs::remove_dir_all(server.path("data")).unwrap();
    server.command(&["restore", backup.to_str().unwrap()]);
    server.start_again(&[]);
    let quiet = behind.ask(&server, 100, 0.0);
    assert_eq!(quiet["datasets"], json!([]), "who is of the history that is left goes on");
    let answer = ahead.ask(&server, 100, 0.0);
    assert_eq!(statuses(&answer), [("a", "reset"), ("b", "reset")]);
    server.write("a", "new", "1");
    for mut device in [ahead, behind] {
        device.catch_up(&server, 100);
        assert_eq!(device.copy, state(&server, &["a", "b"]), "{}", device.name);
    }
}

#[test]
fn an_ack_is_one_that_was_given_here_also_before_a_restart() {
    let mut server = Server::start(&[]);
    for n in 0..20 {
        server.write("a", &format!("e{n}"), "1");
    }
    group(&server, &["a"]);
    let mut device = Device::new("d");
    let first = device.ask(&server, 10, 0.0);
    device.apply(&first);
    device.keep(&first);
    let ack = device.ack.clone().unwrap();
    // What anybody could compute: the same, or another place, with a checksum over what is known to all.
    let bytes = URL_SAFE_NO_PAD.decode(&ack[1..]).unwrap();
    for code in [4, 16] {
        let body = &bytes[..bytes.len() - code];
        let mut hasher = crc32fast::Hasher::new();
        for part in [&b"g"[..], b"d", body] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let forged = [body, &hasher.finalize().to_le_bytes()].concat();
        let forged = format!("a{}", URL_SAFE_NO_PAD.encode(forged));
        ask(&server, "d", Some(&forged), 10, 0.0).problem(400, "invalid");
    }
    // Another server with the same in it.
    let other = Server::start(&[]);
    for n in 0..20 {
        other.write("a", &format!("e{n}"), "1");
    }
    group(&other, &["a"]);
    ask(&other, "d", Some(&ack), 10, 0.0).problem(400, "invalid");
    server.stop();
    server.start_again(&[]);
    assert_eq!(statuses(&device.ask(&server, 100, 0.0)), [("a", "page")], "it goes on from there");
    device.catch_up(&server, 100);
    assert_eq!(device.copy, state(&server, &["a"]));
}

#[test]
fn the_device_that_moved_longest_ago_is_forgotten_when_there_are_too_many() {
    let server = Server::start(&[]);
    server.write("a", "e", "1");
    group(&server, &["a"]);
    let acks = |name: &str| {
        let mut device = Device::new(name);
        device.catch_up(&server, 10);
        device
    };
    let (first, second) = (acks("first"), acks("second"));
    let many = |from: usize, to: usize| {
        std::thread::scope(|scope| {
            for part in 0..8 {
                scope.spawn(move || {
                    for n in (from..to).filter(|n| n % 8 == part) {
                        acks(&format!("d{n}"));
                    }
                });
            }
        });
    };
    many(0, 1022);
    let is_known = |device: &Device| device.ask(&server, 10, 0.0)["datasets"] == json!([]);
    assert!([&first, &second].into_iter().all(|device| is_known(&Device { ack: None, ..device.clone() })));
    // Who moves on stays.
    server.write("a", "f", "1");
    let mut first = first;
    first.catch_up(&server, 10);
    acks("new");
    first.ack = None;
    assert!(is_known(&first));
    let answer = Device::new("second").ask(&server, 10, 0.0);
    assert_eq!(statuses(&answer), [("a", "reset")]);
    assert!(is_known(&Device::new("new")));
}
