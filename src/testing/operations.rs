//! Operations on a real engine, against a plain model of it.

mod model;
mod world;

use super::input::Input;
use crate::types::{Cap, Keep, Retention};
use world::World;

/// Most operations of one input: a longer one finds nothing that two short ones do not.
const MAX_OPERATIONS: usize = 200;

/// The bytes as a list of operations: batches with and without expectations and idempotency ids, deleted datasets,
/// retention, compaction, seals, clean and unclean ends, pages of four clients, cursors that nobody made. At the end
/// every client reads on to the end and everything is compared with the model.
pub fn operations(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        step(&mut world, &mut input);
    }
    world.finish()
}

fn step(world: &mut World, input: &mut Input<'_>) {
    match input.below(16) {
        0..=5 => world.append(input),
        6..=8 => {
            let (which, limit) = (input.below(4), input.below(9));
            world.page(which, limit);
        }
        9 => world.seal(),
        10 => {
            let dataset = input.below(5);
            world.compact(dataset);
        }
        11 => {
            let dataset = input.below(3);
            world.set_retention(dataset, retention(input));
        }
        12 => {
            let dataset = input.below(3);
            world.delete_dataset(dataset);
        }
        13 => match input.below(4) {
            0 => world.reopen(),
            1 => world.crash(false),
            2 => world.crash(true),
            _ => world.pass_time(u64::from(input.u8())),
        },
        14 => {
            let (which, at, with) = (input.below(4), input.below(64), input.u8());
            world.forge(which, at, with);
        }
        _ => {
            let dataset = input.below(3);
            world.check(dataset);
        }
    }
}

fn retention(input: &mut Input<'_>) -> Retention {
    let mut cap = || {
        let few = |n: u8| (n % 8 < 6).then_some(u64::from(n % 8));
        let (entries, bytes, age) = (input.u8(), input.u8(), input.u8());
        Cap {
            entries: few(entries),
            bytes: if bytes >= 192 { few(bytes).map(|n| n * 100) } else { None },
            age_ms: if age >= 192 { few(age).map(|n| n * 100) } else { None },
        }
    };
    Retention { keep: Keep::Live, history: cap(), tombstones: cap() }
}
