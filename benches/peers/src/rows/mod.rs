//! The rows of the table, each in its own process so that none finds another's memory.

mod append;
mod burst;
mod compact;
mod latest;
mod long;
mod many;
mod read;
mod space;
mod watch;

pub use long::fill_tail;

use crate::measure::{Ctx, Row};

/// Measures one row.
pub type Run = fn(&Ctx) -> Row;

/// All rows in the table's order. `long` runs only when it is named.
pub const ROWS: &[(&str, Run)] = &[
    ("durable", append::durable),
    ("submit", burst::submit),
    ("single", append::single),
    ("burst", burst::buffered),
    ("buffered", append::buffered),
    ("tail", read::tail),
    ("sealed", read::sealed),
    ("latest", latest::latest),
    ("scan", read::scan),
    ("get", read::get),
    ("conditional", append::conditional),
    ("compaction", compact::cost_on_appends),
    ("proportion", compact::proportion),
    ("watch", watch::watch),
    ("many", many::many),
    ("space", space::space),
    ("long", long::long),
];
