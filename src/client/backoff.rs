use std::time::{Duration, Instant};

/// The first pause is at most this long; each one after it twice as long as the one before.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause that the client chooses by itself.
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between the attempts of one call.
#[derive(Debug)]
pub(super) struct Backoff {
    retry_for: Duration,
    /// Counted from the first failure: a call may have waited long before that.
    until: Option<Instant>,
    longest: Duration,
}

impl Backoff {
    pub fn new(retry_for: Duration) -> Backoff {
        Backoff { retry_for, until: None, longest: FIRST }
    }

    /// How long to pause before the next attempt; none if the time is over. The server's wish goes before our own;
    /// otherwise the pause is random, so that clients that failed together do not come back together.
    pub fn pause(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.retry_for);
        let pause = retry_after.unwrap_or_else(|| self.longest.mul_f64(random()));
        self.longest = (self.longest * 2).min(LONGEST);
        (now + pause < until).then_some(pause)
    }
}

/// From 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the pauses are those in the middle: they are no secret.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut backoff = Backoff::new(Duration::from_secs(60));
        for at in 0..20 {
            let pause = backoff.pause(None).expect("a minute is not over");
            assert!(pause <= LONGEST && pause <= FIRST * (1 << at.min(10)), "{at}: {pause:?}");
        }
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(backoff.pause(Some(Duration::from_secs(61))), None);
        assert_eq!(Backoff::new(Duration::ZERO).pause(None), None);
    }
}
