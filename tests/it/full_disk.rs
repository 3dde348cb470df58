//! A full disk costs the commits that it has no room for, and no memory.

use std::sync::Arc;

use tidelog::Error;

use crate::support::{Hooks, batch, peak_bytes, put, small, store};

#[test]
fn commits_that_found_no_room_take_no_memory() {
    let hooks = Hooks::default();
    let options = small().vfs(Arc::new(hooks.clone())).memory(64 << 20).tail_bytes(4 << 20);
    let (_dir, engine) = store(options);
    put(&engine, "d", "there", "x");
    hooks.fill_disk();
    let payload = "x".repeat(2 << 20);
    // Nobody else commits, so it is this thread that gives them memory.
    let refused = || {
        let refused = engine.append(batch("d", "large", &payload));
        assert!(matches!(refused, Err(Error::NoSpace { .. })), "{refused:?}");
    };
    refused(); // what is made once is not counted
    let once = peak_bytes(refused);
    let often = peak_bytes(|| (0..32).for_each(|_| refused()));
    assert!(often < once + payload.len(), "{often} bytes at once for 32 refusals, {once} for one");
}
