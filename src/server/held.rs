//! Leave to hold memory that is counted as it is taken.

use tokio::sync::OwnedSemaphorePermit;

use super::app::App;
use super::gates::{self, Use};
use super::problem::Problem;

/// What each wait and each socket may take besides: the bound on connections is enough for that.
const SMALL_WAIT_BYTES: usize = 64 << 10;

/// Leave to hold so many bytes, given back when dropped.
#[derive(Debug)]
pub struct Held {
    of: Use,
    bytes: usize,
    leave: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// For bodies and what they are made into; none yet.
    pub fn for_bodies() -> Held {
        Held { of: Use::Bodies, bytes: 0, leave: None }
    }

    /// For what is held by who waits; none yet.
    pub fn for_waits() -> Held {
        Held { of: Use::Waits, bytes: 0, leave: None }
    }

    /// Leave for so many bytes more.
    ///
    /// # Errors
    ///
    /// `busy`.
    pub fn more(&mut self, app: &App, bytes: usize) -> Result<(), Problem> {
        app.gates.memory(self.of, self.counted(self.bytes + bytes), &mut self.leave)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back so many of them.
    pub fn less(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let counted = self.counted(self.bytes);
        self.leave = self.leave.take().filter(|_| counted > 0).map(|leave| gates::fit(leave, counted));
    }

    /// For how many bytes it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn counted(&self, bytes: usize) -> usize {
        match self.of {
            Use::Bodies => bytes,
            Use::Waits => bytes.saturating_sub(SMALL_WAIT_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Settings;
    use super::*;
    use crate::{Engine, Options};

    #[test]
    fn what_is_given_back_can_be_had_again_and_a_little_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), Options::default()).unwrap();
        let settings = Settings { wait_memory: Some(100_000), body_memory: Some(1000), ..Settings::default() };
        let app = App::new(engine, settings.resolve().unwrap()).unwrap();
        let (mut one, mut two) = (Held::for_waits(), Held::for_waits());
        one.more(&app, SMALL_WAIT_BYTES + 60_000).unwrap();
        two.more(&app, SMALL_WAIT_BYTES).unwrap();
        assert_eq!(two.more(&app, 60_000).unwrap_err().kind(), "busy");
        assert_eq!(two.bytes(), SMALL_WAIT_BYTES, "what was refused is not held");
        one.less(50_000);
        two.more(&app, 60_000).unwrap();
        drop(two);
        one.more(&app, 80_000).unwrap();
        // Bodies have their own, and all of it counts.
        assert_eq!(Held::for_bodies().more(&app, 2000).unwrap_err().kind(), "busy");
    }
}
