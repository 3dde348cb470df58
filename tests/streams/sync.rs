//! Many datasets in one request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Server, texts};

fn statuses(answer: &Value) -> Vec<&str> {
    texts(&answer["datasets"], "status")
}

#[test]
fn one_budget_goes_round_until_all_have_come() {
    let server = Server::start(&[]);
    let names: Vec<String> = (0..7).map(|n| format!("d{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        for entity in 0..5 * n {
            server.write(name, &format!("e{entity}"), "x");
        }
    }
    server.write("d0", "e", "x");
    let mut cursors: Vec<Value> = vec![json!("start"); 7];
    let (mut first, mut counts, mut answers) = (0, BTreeMap::<String, usize>::new(), 0);
    loop {
        let datasets: Vec<Value> =
            names.iter().zip(&cursors).map(|(name, since)| json!({"dataset": name, "since": since})).collect();
        let answer = server.post("/v1/sync", &json!({"datasets": datasets, "limit": 10, "first": first})).ok();
        answers += 1;
        let mut entries = 0;
        for (index, part) in answer["datasets"].as_array().unwrap().iter().enumerate() {
            assert_eq!(part["dataset"], names[index]);
            if part["status"] == "page" {
                cursors[index] = part["page"]["next"].clone();
                entries += part["entries"].as_array().unwrap().len();
                *counts.entry(names[index].clone()).or_default() += part["entries"].as_array().unwrap().len();
            } else {
                assert_eq!(part["status"], "not_reached");
            }
        }
        assert!(entries <= 10, "{entries}");
        first = answer["first"].as_u64().unwrap();
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [1, 5, 10, 15, 20, 25, 30]);
    assert!((11..=18).contains(&answers), "{answers} answers for 106 entries by 10");
}

#[test]
fn a_stale_one_does_not_touch_the_others() {
    let server = Server::start(&[]);
    server.write("good", "e", "x");
    server.write("gone", "e", "x");
    let ask = |since: &Value| {
        json!({"datasets": [
            {"dataset": "gone", "since": since}, {"dataset": "good"}, {"dataset": "never"}, {"dataset": "good", "since": "rubbish"},
        ]})
    };
    let answer = server.post("/v1/sync", &ask(&json!("start"))).ok();
    assert_eq!(statuses(&answer), ["page", "page", "failed", "failed"]);
    let since = answer["datasets"][0]["page"]["next"].clone();
    server.delete_dataset("gone");
    server.write("gone", "e", "y");
    let answer = server.post("/v1/sync", &ask(&since)).ok();
    assert_eq!(statuses(&answer), ["failed", "page", "failed", "failed"]);
    let kinds: Vec<_> = [0, 2, 3].map(|n| answer["datasets"][n]["problem"]["kind"].as_str().unwrap()).into();
    assert_eq!(kinds, ["stale_recreated", "dataset_not_found", "stale_malformed"]);
    assert_eq!(answer["datasets"][0]["problem"]["status"], 410);
    assert_eq!(texts(&answer["datasets"][1]["entries"], "entity"), ["e"]);
    assert_eq!(answer["more"], false);
}

#[test]
fn it_waits_for_any_of_them_and_no_longer_than_asked() {
    let server = Server::start(&[]);
    server.write("a", "e", "x");
    let ask = json!({"datasets": [{"dataset": "a", "since": "head"}, {"dataset": "b", "since": "head"}], "wait": 0.2});
    let begun = Instant::now();
    let answer = server.post("/v1/sync", &ask).ok();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(statuses(&answer), ["page", "failed"]);
    for dataset in ["a", "b"] {
        let mut ask = ask.clone();
        ask["wait"] = json!(30);
        std::thread::scope(|scope| {
            let (server, ask) = (&server, &ask);
            let waiting = scope.spawn(move || server.post("/v1/sync", ask).ok());
            server.until_waited_for();
            server.write(dataset, "new", "x");
            let answer = waiting.join().unwrap();
            let index = usize::from(dataset == "b");
            assert_eq!(texts(&answer["datasets"][index]["entries"], "entity"), ["new"], "{answer}");
        });
    }
    // The same of one dataset alone.
    for dataset in ["a", "c"] {
        std::thread::scope(|scope| {
            let (server, path) = (&server, format!("/v1/datasets/{dataset}/changes?since=head&wait=30"));
            let waiting = scope.spawn(move || server.get(&path).ok());
            server.until_waited_for();
            server.write(dataset, "new", "y");
            assert_eq!(texts(&waiting.join().unwrap()["entries"], "entity"), ["new"], "{dataset}");
        });
    }
    // One that is stale is not waited over.
    let ask = json!({"datasets": [{"dataset": "a", "since": "head"}, {"dataset": "b", "since": "?"}], "wait": 30});
    assert_eq!(statuses(&server.post("/v1/sync", &ask).ok()), ["page", "failed"]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let server = Server::start(&[]);
    for ask in [
        json!({}),
        json!({"datasets": [{"dataset": "d", "since": 7}]}),
        json!({"datasets": [{}]}),
        json!({"datasets": [{"dataset": "\u{0}gx"}]}),
        json!({"datasets": [], "limit": 0}),
        json!({"datasets": [], "wait": -1}),
        json!({"datasets": [], "device": "d"}),
    ] {
        server.post("/v1/sync", &ask).problem(400, "invalid");
    }
    assert_eq!(
        server.post("/v1/sync", &json!({"datasets": []})).ok(),
        json!({"datasets": [], "more": false, "first": 0})
    );
}
