//! Opening and closing.

use tidelog::{Engine, Options};

use crate::args::Args;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Does `work` on the store that must exist, and closes it.
pub fn with(args: &Args, out: &mut Output, work: impl FnOnce(&Engine, &mut Output) -> Outcome) -> Outcome {
    with_options(args, args.options(), out, work)
}

/// The same, with options of one's own.
pub fn with_options(
    args: &Args,
    options: Options,
    out: &mut Output,
    work: impl FnOnce(&Engine, &mut Output) -> Outcome,
) -> Outcome {
    let engine = Engine::open(args.data(), options)?;
    let worked = work(&engine, out);
    let closed = engine.close();
    match (worked, closed) {
        // That nobody reads on is no news; that the store does not close is.
        (Err(Failure::Pipe), Err(closing)) => Err(closing.into()),
        (Err(failure), _) => Err(failure),
        (Ok(()), closed) => Ok(closed?),
    }
}
