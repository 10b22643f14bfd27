//! Faults while a real Prometheus writes through the proxy to the simulated Azure: one by one, or
//! mixed by a schedule that a seed repeats. What must hold at the end is judged by count, in
//! [`crate::verdict`].
//!
//! * `catalog`: every fault, by name.
//! * `schedule`: which comes when.
//! * `test_bed`: Azure, the proxy and Prometheus, and how a fault is begun and ended there.
//! * `play`: the two ways to play them.

mod catalog;
mod play;
mod schedule;
mod test_bed;

pub use catalog::{CATALOG, FaultAction, FaultInjection, Place};
pub use play::{mixed, one_by_one};
pub use schedule::{Act, schedule, seed};
pub use test_bed::{RunOptions, TestBed};
