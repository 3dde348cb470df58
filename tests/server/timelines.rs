use crate::support::{Answer, Server, field, put};

fn feed(entries: usize) -> Server {
    let server = Server::start();
    let changes: Vec<String> = (1..=entries).map(|n| put("home/feed", &n.to_string(), &n.to_string())).collect();
    server.commit(format!(r#"{{"changes":[{}]}}"#, changes.join(",")));
    server
}

const FEED: &str = "/v1/timelines/home%2Ffeed";

fn keys(answer: &Answer) -> String {
    field(&answer.ok(), "key").join(" ")
}

/// Where a link of this relation leads.
fn link(answer: &Answer, rel: &str) -> Option<String> {
    let links = answer.header("link")?;
    let link = links.split(", ").find(|link| link.ends_with(&format!("rel=\"{rel}\"")))?;
    Some(link[1..link.find('>').expect("it ends")].to_owned())
}

#[test]
fn a_timeline_is_paged_by_keys() {
    let server = feed(10);
    let get = |query: &str| keys(&server.get(&format!("{FEED}{query}")));
    assert_eq!(get(""), "10 9 8 7 6 5 4 3 2 1");
    assert_eq!(get("?limit=3"), "10 9 8");
    assert_eq!(get("?limit=3&max_id=8"), "7 6 5");
    assert_eq!(get("?since_id=7"), "10 9 8");
    assert_eq!(get("?since_id=2&limit=3"), "10 9 8", "the newest of them");
    assert_eq!(get("?min_id=2&limit=3"), "5 4 3", "the ones next above");
    assert_eq!(get("?since_id=3&max_id=6"), "5 4");
    assert_eq!(
        (get("?since_id=10"), get("?min_id=10"), get("?max_id=1")),
        (String::new(), String::new(), String::new())
    );
    assert_eq!(server.get(&format!("{FEED}?since_id=10")).header("link"), None);
    for query in ["?since_id=x", "?since_id=", "?min_id=1&max_id=5", "?limit=0", "?before=1"] {
        server.get(&format!("{FEED}{query}")).problem(400, "invalid");
    }
    server.get("/v1/timelines/none").problem(404, "dataset_not_found");
}

#[test]
fn links_lead_through_the_whole_timeline_and_back() {
    let server = feed(10);
    let mut target = format!("{FEED}?limit=4");
    let mut seen = Vec::new();
    let mut newest = None;
    loop {
        let answer = server.get(&target);
        seen.push(keys(&answer));
        newest = newest.or_else(|| link(&answer, "prev"));
        match link(&answer, "next") {
            Some(next) => target = next,
            None => break,
        }
    }
    assert_eq!(seen, ["10 9 8 7", "6 5 4 3", "2 1", ""]);
    let newest = newest.expect("the first page leads to what comes");
    assert_eq!(keys(&server.get(&newest)), "");
    server.commit(put("home/feed", "more", "1"));
    assert_eq!(keys(&server.get(&newest)), "11");
}

#[test]
fn what_is_new_is_found_across_many_steps() {
    let server = feed(1000);
    let all = field(&server.get(&format!("{FEED}?since_id=5&limit=10000")).ok(), "key");
    assert_eq!((all.len(), all[0].as_str(), all[994].as_str()), (995, "1000", "6"));
    assert_eq!(
        field(&server.get(&format!("{FEED}?since_id=5&limit=250")).ok(), "key").last().map(String::as_str),
        Some("751")
    );
}
