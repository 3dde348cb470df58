use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Server, resident};

/// Clients that ask for pages much larger than expected, and do not read them: what they hold together stays within the
/// memory for pages, and those that read are served once these are cut off.
#[test]
fn clients_that_do_not_read_hold_no_more_than_there_is_for_pages() {
    let server = Server::start_with(&["--page-memory", "16777216", "--page-bytes", "1000000", "--patience", "2"]);
    let entity = "/v1/datasets/d/entities/e";
    assert_eq!(server.request("PUT", entity).body(vec![0; 8 << 20]).answer().status, 201);
    let before = resident(server.pid());
    let slow: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(server.address()).expect("it connects");
            let target = if n % 2 == 0 { entity } else { "/v1/datasets/d/changes?since=oldest" };
            write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it is sent");
            stream
        })
        .collect();
    let mut most = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        most = most.max(resident(server.pid()));
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(slow);
    // A hundred pages of eleven megabytes would be a gigabyte. What is freed goes back to the system late, so twice the option.
    assert!(most < before + (32 << 20), "{} MiB above {} MiB", (most - before) >> 20, before >> 20);
    assert_eq!(server.get(entity).body.len(), 8 << 20);
}
