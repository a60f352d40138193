//! Counts octets that are looked at, so that tests can show that cost grows with the input and no faster. Outside of
//! tests nothing is counted.

/// So many octets are looked at.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn visit(_octets: usize) {}

#[cfg(test)]
std::thread_local! {
    static STEPS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// So many octets are looked at.
#[cfg(test)]
pub(crate) fn visit(octets: usize) {
    STEPS.set(STEPS.get().saturating_add(octets));
}

/// Octets that were looked at while this ran.
#[cfg(test)]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = STEPS.get();
    let value = run();
    (value, STEPS.get().saturating_sub(before))
}
