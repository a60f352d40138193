//! A small generator of its own, so that a seed names a story.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// One time in so many.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// `CPM_SEEDS=n` runs n seeds instead of those of the suite, `CPM_FIRST=n` begins with another than 0.
pub fn seeds(of_the_suite: u64) -> core::ops::Range<u64> {
    let variable = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = variable("CPM_FIRST").unwrap_or(0);
    first..first + variable("CPM_SEEDS").unwrap_or(of_the_suite)
}
