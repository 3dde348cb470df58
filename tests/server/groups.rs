//! What tokens may do with groups. What groups say is looked at in `tests/streams`.

use serde_json::{Value, json};

use crate::support::{Answer, Server, put};

struct Tokens(Server);

impl Tokens {
    fn send(&self, token: &str, method: &str, target: &str, body: &Value) -> Answer {
        self.0.request(method, target).token(token).json(body).answer()
    }

    fn group(&self, token: &str, datasets: &[&str]) -> Answer {
        self.send(token, "PUT", "/v1/groups/g", &json!({"datasets": datasets}))
    }

    fn sync(&self, token: &str, ack: Option<&str>) -> Answer {
        let mut asked = json!({"device": "phone"});
        if let Some(ack) = ack {
            asked["ack"] = ack.into();
        }
        self.send(token, "POST", "/v1/groups/g/sync", &asked)
    }
}

fn tokens() -> Tokens {
    Tokens(Server::with_tokens(&[
        ("a", "write a/"),
        ("b", "write b/"),
        ("ab", "write a/"),
        ("ab", "write b/"),
        ("r", "read"),
        ("all", "write"),
    ]))
}

/// Refused, and nothing named that the token cannot reach.
#[track_caller]
fn refused(answer: &Answer, hidden: &str) {
    let problem = answer.problem(403, "forbidden");
    assert!(!problem.to_string().contains(hidden), "{problem}");
    assert_eq!(answer.header("etag"), None);
}

#[test]
fn a_group_is_for_those_who_reach_all_of_it() {
    let tokens = tokens();
    assert_eq!(tokens.group("ab", &["a/1", "b/secret"]).status, 201);
    for token in ["a", "b"] {
        refused(&tokens.send(token, "GET", "/v1/groups/g", &Value::Null), "/1 b/secret");
        refused(&tokens.sync(token, None), "secret");
    }
    // Neither taken over nor thrown out, whatever is asked.
    refused(&tokens.group("a", &["a/1"]), "secret");
    let tagged = |name: &str, value: &str| {
        let sent = tokens.0.request("PUT", "/v1/groups/g").token("a").header(name, value);
        sent.json(json!({"datasets": ["a/1"]})).answer()
    };
    refused(&tagged("if-match", "\"1\""), "secret");
    refused(&tagged("if-none-match", "*"), "secret");
    // What it names itself may be named to it.
    assert_eq!(tokens.group("a", &["a/1", "b/x"]).problem(403, "forbidden")["dataset"], "b/x");
    tokens.group("r", &["a/1"]).problem(403, "forbidden");
    tokens.sync("r", None).ok();
    assert_eq!(tokens.group("all", &["a/1"]).status, 200);
    assert_eq!(tokens.group("a", &["a/1", "a/2"]).status, 200);
}

#[test]
fn an_empty_group_is_for_those_who_reach_everything() {
    let tokens = tokens();
    refused(&tokens.group("a", &[]), "a/");
    refused(&tokens.group("r", &[]), "a/");
    tokens.send("all", "GET", "/v1/groups/g", &Value::Null).problem(404, "not_found");
    assert_eq!(tokens.group("a", &["a/1"]).status, 201);
    refused(&tokens.group("a", &[]), "a/1");
    assert_eq!(tokens.group("all", &[]).status, 200);
    refused(&tokens.group("a", &["a/1"]), "a/1");
    refused(&tokens.send("a", "GET", "/v1/groups/g", &Value::Null), "a/1");
    refused(&tokens.sync("a", None), "a/1");
    tokens.send("r", "GET", "/v1/groups/g", &Value::Null).ok();
    tokens.sync("r", None).ok();
}

#[test]
fn devices_of_two_tokens_do_not_move_each_other() {
    let tokens = tokens();
    let commit = put("a/1", "e", "1");
    tokens.0.request("POST", "/v1/commits").token("a").json(commit).answer().ok();
    tokens.group("a", &["a/1"]);
    let first = tokens.sync("a", None).ok();
    assert_eq!(first["datasets"][0]["status"], "reset");
    // Both call their device `phone`.
    let ack = tokens.sync("ab", None).ok()["ack"].as_str().expect("an ack").to_owned();
    assert_eq!(tokens.sync("ab", Some(&ack)).ok()["datasets"], json!([]));
    let again = tokens.sync("a", None).ok()["datasets"][0].clone();
    assert_eq!((&again["status"], &again["entries"][0]["entity"]), (&json!("reset"), &json!("e")), "nothing is taken");
    tokens.sync("a", Some(&ack)).problem(400, "invalid");
    let ack = first["ack"].as_str().expect("an ack");
    assert_eq!(tokens.sync("a", Some(ack)).ok()["datasets"], json!([]));
}
