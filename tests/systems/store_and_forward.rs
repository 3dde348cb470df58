//! Store and forward: orders come in while their processor is away, comes and dies. None is lost, and their order is kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidelog::client::Client;
use tidelog::{Cap, Entries, Entry, Limits, Op, Retention, SyncKey};

use crate::support::{Dataset, Ledger, Network, Rng, Server, Writer, assert_same, client, once, seed, wait_until};

const ORDERS: &str = "orders";
const SHOPS: usize = 4;
/// Orders of each shop.
const EACH: u64 = 150;

/// The processor's own durable state: what it has done, and what it knows of the orders.
#[derive(Default)]
struct Processor {
    /// Every key in the order in which it was processed.
    done: Vec<SyncKey>,
    known: BTreeMap<Bytes, Entry>,
    /// Deliveries that it had seen before.
    again: usize,
}

impl Processor {
    fn process(&mut self, entries: Entries) {
        for entry in entries {
            match self.done.last() {
                Some(last) if entry.key <= *last => self.again += 1,
                _ => {
                    self.done.push(entry.key);
                    match entry.op {
                        Op::Delete => drop(self.known.remove(&entry.entity)),
                        Op::Create | Op::Update => drop(self.known.insert(entry.entity.clone(), entry)),
                    }
                }
            }
        }
    }

    fn dataset(&self) -> Dataset {
        let payload = |entry: &Entry| entry.payload.clone().expect("an order");
        self.known.iter().map(|(entity, entry)| (entity.clone(), payload(entry))).collect()
    }
}

/// Retention that keeps nothing of the past: only the consumer does.
fn nothing() -> Retention {
    let none = Cap { entries: Some(0), ..Cap::default() };
    let mut retention = Retention::default();
    (retention.history, retention.tombstones) = (none, none);
    retention
}

#[test]
fn orders_wait_for_their_processor() {
    let mut server = Server::start();
    let (near, ledger) = (once(server.url()), Ledger::default());
    let mut shop = Writer::new(near.clone(), &ledger, "shop");
    shop.put(ORDERS, "order-0", "0").commit();
    near.set_retention(ORDERS, &nothing()).expect("a retention");
    // It has been there once, has done the first order, and goes away.
    let mut processor = Processor::default();
    let page = near.fetch("billing", ORDERS, Limits::default(), Duration::ZERO).expect("a page");
    processor.process(page.entries);
    assert_eq!(near.ack("billing", ORDERS, page.position).expect("a position"), page.position);
    for order in 1..=100 {
        shop.put(ORDERS, format!("order-{order}"), order.to_string()).commit();
    }
    shop.delete(ORDERS, "order-0").commit();
    server.kill();
    server.restart();
    server.stop();
    // The delete would be gone, were it not kept for the processor.
    server.cli(&["compact", "--grace", "0s"]);
    server.restart();
    let near = once(server.url());
    loop {
        let page = near.fetch("billing", ORDERS, Limits::entries(7), Duration::ZERO).expect("a page");
        let again = near.fetch("billing", ORDERS, Limits::entries(7), Duration::ZERO).expect("a page");
        assert_eq!(page.entries, again.entries, "what was not acknowledged comes again");
        processor.process(page.entries);
        near.ack("billing", ORDERS, page.position).expect("a position");
        if !page.more {
            break;
        }
    }
    assert_eq!(processor.done, ledger.keys(ORDERS), "all, once, in order");
    let consumers = near.consumers(None, 10).expect("a list").consumers;
    let billing: Vec<_> = consumers.iter().map(|it| (it.name.as_str(), &it.dataset[..], it.evicted)).collect();
    assert_eq!(billing, [("billing", ORDERS.as_bytes(), false)]);
    assert!(near.forget_consumer("billing", ORDERS).expect("an answer"));
    assert!(!near.forget_consumer("billing", ORDERS).expect("an answer"));
    let exported = server.stop_and_export();
    assert_same("what the processor knows", &processor.dataset(), &exported[ORDERS.as_bytes()]);
}

#[test]
fn nothing_is_lost_in_a_storm_and_a_kill() {
    let mut server = Server::start();
    let network = Network::to(&server, seed());
    let (ledger, written) = (Ledger::default(), AtomicBool::new(false));
    Writer::new(once(server.url()), &ledger, "first").put(ORDERS, "first", "true").commit();
    once(server.url()).set_retention(ORDERS, &nothing()).expect("a retention");
    network.lose_percent(4);
    let processor = std::thread::scope(|scope| {
        let (ledger, written, url) = (&ledger, &written, network.url());
        let shops: Vec<_> = (0..SHOPS).map(|shop| scope.spawn(move || order(url, shop, ledger))).collect();
        let processor = scope.spawn(move || come_and_go(url, written));
        wait_until("half of the orders", || ledger.len() as u64 > SHOPS as u64 * EACH / 2);
        server.kill();
        // What is not kept for the consumer goes.
        server.cli(&["compact", "--grace", "0s"]);
        server.restart();
        network.lead_to(&server);
        shops.into_iter().for_each(|shop| shop.join().expect("a shop"));
        written.store(true, Ordering::Release);
        processor.join().expect("the processor")
    });
    println!("{} lost answers, {} deliveries again", network.lost_answers(), processor.again);
    assert!(network.lost_answers() > 0 && processor.again > 0);
    assert_eq!(processor.done, ledger.keys(ORDERS), "all, once, in order");
    let exported = server.stop_and_export();
    assert_eq!(exported, ledger.state());
    assert_same("what the processor knows", &processor.dataset(), &exported[ORDERS.as_bytes()]);
}

fn order(url: &str, shop: usize, ledger: &Ledger) {
    let mut rng = Rng::new(seed() * 6000 + shop as u64);
    let name = format!("shop-{shop}");
    let mut writer = Writer::new(client(url, &name), ledger, &name);
    for at in 0..EACH {
        writer.put(ORDERS, format!("order-{shop}-{at}"), format!("{{\"shop\":{shop},\"total\":{}}}", rng.below(1000)));
        if rng.chance(60) || at + 1 == EACH {
            writer.commit();
        }
    }
}

/// Comes, works for a while, and dies: at times after it has processed what it did not get to acknowledge.
fn come_and_go(url: &str, written: &AtomicBool) -> Processor {
    let mut rng = Rng::new(seed() * 7000);
    let mut processor = Processor::default();
    loop {
        let here: Client = client(url, "processor");
        let limits = Limits::entries(rng.within(1, 60) as usize);
        for _ in 0..rng.within(1, 8) {
            let last = written.load(Ordering::Acquire);
            let wait = Duration::from_millis(if last { 0 } else { 200 });
            let page = here.fetch("billing", ORDERS, limits, wait).expect("a page");
            let (more, position) = (page.more, page.position);
            processor.process(page.entries);
            if rng.chance(30) {
                break;
            }
            here.ack("billing", ORDERS, position).expect("a position");
            if last && !more {
                return processor;
            }
        }
        std::thread::sleep(Duration::from_millis(rng.below(30)));
    }
}
