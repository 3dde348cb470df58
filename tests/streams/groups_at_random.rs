//! Devices that lose answers, lose acks and repeat requests, while members change, vanish, come and go. At the end each
//! of them holds what the members hold.

use serde_json::{Value, json};

use crate::groups::{Copy, Device, ask, group, state};
use crate::support::{Rng, Server};

const MEMBERS: [&str; 8] = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"];
const STEPS: usize = 600;

/// What happened, so that a run that proves nothing is noticed.
#[derive(Debug, Default)]
struct Seen {
    lost: usize,
    ack_lost: usize,
    repeated: usize,
    at_once: usize,
    resets: usize,
    deleted: usize,
}

struct Run<'a> {
    server: &'a Server,
    rng: Rng,
    members: Vec<&'static str>,
    devices: Vec<(Device, Vec<Option<String>>)>,
    seen: Seen,
}

impl Run<'_> {
    fn write(&mut self) {
        let member = MEMBERS[self.rng.below(MEMBERS.len())];
        match self.rng.below(40) {
            0 => {
                if self.server.request("DELETE", &format!("/v1/datasets/{member}"), &[], None).status == 200 {
                    self.seen.deleted += 1;
                }
            }
            1 => {
                self.members = MEMBERS.into_iter().filter(|_| self.rng.chance(70)).collect();
                group(self.server, &self.members);
            }
            2..=16 => self.server.remove(member, &format!("e{}", self.rng.below(12))),
            _ => {
                let count = 1 + self.rng.below(6);
                let changes: Vec<Value> = (0..count)
                    .map(|_| {
                        let (entity, payload) = (format!("e{}", self.rng.below(12)), self.rng.next() % 1000);
                        json!({"dataset": member, "op": "put", "entity": entity, "payload": payload})
                    })
                    .collect();
                self.server.post("/v1/commits", &json!({"changes": changes})).ok();
            }
        }
    }

    fn ask(&mut self) {
        let index = self.rng.below(self.devices.len());
        let limit = 1 + self.rng.below(15);
        let (device, sent) = &mut self.devices[index];
        // A request of earlier comes late, or twice; whoever sent it hears nothing of it any more.
        if self.rng.chance(25) && !sent.is_empty() {
            let ack = &sent[self.rng.below(sent.len())];
            ask(self.server, &device.name, ack.as_deref(), limit, 0.0).ok();
            self.seen.repeated += 1;
        }
        sent.push(device.ack.clone());
        let mut answers = vec![device.ask(self.server, limit, 0.0)];
        if self.rng.chance(15) {
            // Two at once, both answered from the same place. Whoever does that applies them as they were asked, and
            // each together with its ack.
            answers.push(device.ask(self.server, 1 + self.rng.below(15), 0.0));
            self.seen.at_once += 1;
        }
        let one = answers.len() == 1;
        for answer in answers {
            self.seen.resets += answer.to_string().matches("\"reset\"").count();
            match self.rng.below(10) {
                0..=2 => self.seen.lost += 1,
                3..=4 if one => {
                    // It dies between applying and keeping the ack.
                    device.apply(&answer);
                    self.seen.ack_lost += 1;
                }
                _ => {
                    device.apply(&answer);
                    device.keep(&answer);
                }
            }
        }
    }
}

fn run(seed: u64) -> Seen {
    let server = Server::start(&[]);
    group(&server, &MEMBERS);
    let devices = ["phone", "tablet", "watch"].map(|name| (Device::new(name), Vec::new())).into();
    let mut run = Run { server: &server, rng: Rng(seed), members: MEMBERS.into(), devices, seen: Seen::default() };
    for _ in 0..STEPS {
        if run.rng.chance(60) { run.write() } else { run.ask() }
    }
    let expected = state(&server, &run.members);
    for (mut device, _) in run.devices {
        device.catch_up(&server, 1 + run.rng.below(20));
        let members = run.members.iter().map(|member| member.to_string());
        let held: Copy =
            members.map(|member| (member.clone(), device.copy.remove(&member).unwrap_or_default())).collect();
        assert_eq!(held, expected, "seed {seed}: {}", device.name);
    }
    run.seen
}

#[test]
fn every_device_ends_with_what_the_members_hold() {
    for seed in 0..12 {
        let seen = run(seed);
        eprintln!("seed {seed}: {seen:?}");
        let Seen { lost, ack_lost, repeated, at_once, resets, .. } = seen;
        assert!([lost, ack_lost, repeated, at_once, resets].iter().all(|count| *count > 5), "seed {seed}: {seen:?}");
    }
}
