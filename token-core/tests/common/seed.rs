//! The seed of the property tests: another one in each run, so that every run looks at new cases.

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};

use proptest::test_runner::RngSeed;

/// Repeats a run: `proptest` itself reads this variable, too, but does not print what it chose.
const VARIABLE: &str = "PROPTEST_RNG_SEED";

/// The seed that the environment names, else a random one; printed, and so shown by a test that fails.
/// Where there is neither environment nor randomness (wasm32-unknown-unknown) it is always the same.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has an environment; the crate has none"
)]
pub(crate) fn rng_seed() -> RngSeed {
    let seed = match env::var(VARIABLE) {
        Ok(seed) => seed
            .parse()
            .unwrap_or_else(|why| panic!("{VARIABLE}={seed}: {why}")),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    println!("{VARIABLE}={seed}");
    RngSeed::Fixed(seed)
}
