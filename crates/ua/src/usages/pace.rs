//! When soft state is refreshed, and how long one waits after a failure.

use core::time::Duration;
use cpm_base::Random;

use crate::config::ConfigError;

/// When registrations, publications and subscriptions are refreshed, and tried again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// A refresh comes earlier than needed by a random part of its time, in percent, so that many clients that began
    /// together do not refresh together: up to 10. Allowed: 0 to 50.
    pub jitter_percent: u8,
    /// The base of the wait after a failure (RFC 5626 §4.5): 30 s. Allowed: 1 s and more.
    pub retry_base: Duration,
    /// The base when another registration of the same address stands: 90 s. Not less than `retry_base`.
    pub retry_base_others: Duration,
    /// The greatest wait: 1800 s. Not less than `retry_base_others`.
    pub retry_max: Duration,
    /// The wait after a failure is shorter than its upper bound by a random part, in percent: up to 50. Allowed: 0 to 50.
    pub retry_jitter_percent: u8,
    /// A longer `Retry-After` than this counts as this: 1 h. A single answer silences nobody for days.
    pub max_retry_after: Duration,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        RefreshPolicy {
            jitter_percent: 10,
            retry_base: Duration::from_secs(30),
            retry_base_others: Duration::from_secs(90),
            retry_max: Duration::from_secs(1800),
            retry_jitter_percent: 50,
            max_retry_after: Duration::from_secs(3600),
        }
    }
}

impl RefreshPolicy {
    /// Whether the values are in their ranges.
    ///
    /// # Errors
    /// Names the field that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let fields = [
            (self.jitter_percent <= 50, "refresh.jitter_percent"),
            (self.retry_base >= Duration::from_secs(1), "refresh.retry_base"),
            (self.retry_base_others >= self.retry_base, "refresh.retry_base_others"),
            (self.retry_max >= self.retry_base_others, "refresh.retry_max"),
            (self.retry_jitter_percent <= 50, "refresh.retry_jitter_percent"),
            (self.max_retry_after >= Duration::from_secs(1), "refresh.max_retry_after"),
        ];
        match fields.into_iter().find(|(fine, _)| !fine) {
            Some((_, name)) => Err(ConfigError(name)),
            None => Ok(()),
        }
    }

    /// How long after it was granted something that lives `expires` seconds is refreshed: 600 s before its end when it is
    /// long, half-way through when it is short (TS 24.229 §5.1.1.4), less the jitter. Half a second at least.
    pub(crate) fn refresh_after(&self, expires: u32, random: &mut Random) -> Duration {
        let margin = if expires > 1200 { 600 } else { expires / 2 };
        let latest = Duration::from_secs(u64::from(expires.saturating_sub(margin)));
        shortened(latest, self.jitter_percent, random).max(Duration::from_millis(500))
    }

    /// The wait after the `failures`th failure in a row (RFC 5626 §4.5), not less than the server asked for.
    pub(crate) fn retry_after(
        &self,
        failures: u32,
        others_stand: bool,
        asked: Option<u32>,
        random: &mut Random,
    ) -> Duration {
        let base = if others_stand { self.retry_base_others } else { self.retry_base };
        // Beyond 2^16 times 1 s every bound is the greatest wait.
        let factor = 1u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX);
        let bound = base.saturating_mul(factor).min(self.retry_max);
        let wait = shortened(bound, self.retry_jitter_percent, random);
        let asked = Duration::from_secs(u64::from(asked.unwrap_or(0))).min(self.max_retry_after);
        wait.max(asked)
    }
}

/// Shorter by up to `percent`, uniformly.
fn shortened(bound: Duration, percent: u8, random: &mut Random) -> Duration {
    /// Steps of the dice per percent.
    const STEPS: u64 = 1000;
    const PARTS: u128 = 100_000;
    if percent == 0 {
        return bound;
    }
    let sides = u64::from(percent).saturating_mul(STEPS).saturating_add(1);
    let draw = random.public_u64().checked_rem(sides).unwrap_or(0);
    let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    let less = u128::from(micros).saturating_mul(u128::from(draw)) / PARTS;
    bound.saturating_sub(Duration::from_micros(u64::try_from(less).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpm_base::Seed;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn without_jitter_the_times_are_the_latest() {
        let policy = RefreshPolicy { jitter_percent: 0, retry_jitter_percent: 0, ..RefreshPolicy::default() };
        let mut random = Random::new(Seed::new([1; 32]));
        for (expires, at) in [(3600, 3000), (1201, 601), (1200, 600), (60, 30), (1, 1)] {
            assert_eq!(policy.refresh_after(expires, &mut random), secs(at));
        }
        assert_eq!(policy.refresh_after(0, &mut random), Duration::from_millis(500));
        let waits = (1..8).map(|n| policy.retry_after(n, false, None, &mut random).as_secs());
        assert!(waits.eq([60, 120, 240, 480, 960, 1800, 1800]));
        assert_eq!(policy.retry_after(u32::MAX, false, None, &mut random), secs(1800));
        assert_eq!(policy.retry_after(1, true, None, &mut random), secs(180));
        assert_eq!(policy.retry_after(1, false, Some(100), &mut random), secs(100));
        assert_eq!(policy.retry_after(1, false, Some(u32::MAX), &mut random), secs(3600));
    }

    #[test]
    fn jitter_stays_in_its_range_and_uses_it() {
        let policy = RefreshPolicy::default();
        let mut random = Random::new(Seed::new([2; 32]));
        let refreshes = (0..500).map(|_| policy.refresh_after(3600, &mut random));
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        for at in refreshes {
            assert!(at >= secs(2700) && at <= secs(3000), "{at:?}");
            (least, most) = (least.min(at), most.max(at));
        }
        assert!(least < secs(2730) && most > secs(2970), "{least:?} {most:?}");
        for _ in 0..500 {
            let wait = policy.retry_after(1, false, None, &mut random);
            assert!(wait >= secs(30) && wait <= secs(60), "{wait:?}");
        }
    }

    #[test]
    fn ranges() {
        let good = RefreshPolicy::default();
        assert_eq!(good.validate(), Ok(()));
        let bad = [
            (RefreshPolicy { jitter_percent: 51, ..good }, "refresh.jitter_percent"),
            (RefreshPolicy { retry_base: Duration::ZERO, ..good }, "refresh.retry_base"),
            (RefreshPolicy { retry_base_others: secs(29), ..good }, "refresh.retry_base_others"),
            (RefreshPolicy { retry_max: secs(89), ..good }, "refresh.retry_max"),
            (RefreshPolicy { retry_jitter_percent: 51, ..good }, "refresh.retry_jitter_percent"),
            (RefreshPolicy { max_retry_after: Duration::ZERO, ..good }, "refresh.max_retry_after"),
        ];
        for (policy, name) in bad {
            assert_eq!(policy.validate(), Err(ConfigError(name)));
        }
    }
}
