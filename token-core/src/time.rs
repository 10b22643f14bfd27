//! Points in time on two clocks. The caller reads the clocks, always both together.
//!
//! Lifetimes and deadlines use the monotonic clock; the times in a server's reply (`expires_on`) use
//! the wall clock. A token has expired when it has expired on either clock.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the monotonic clock of this process, in milliseconds from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// A point on the wall clock, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub u64);

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, for lifetimes, deadlines and waits.
    pub mono: Mono,
    /// The wall clock, for the times in servers' replies.
    pub wall: Wall,
}

/// A duration in whole milliseconds; saturates.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! clock {
    ($name:ident) => {
        impl $name {
            /// This time plus `wait`; saturates.
            #[must_use]
            pub fn after(self, wait: Duration) -> Self {
                Self(self.0.saturating_add(millis(wait)))
            }

            /// This time minus `span`; saturates at the clock's start.
            #[must_use]
            pub fn before(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(millis(span)))
            }

            /// The time from `earlier` to this time; zero if `earlier` is later.
            #[must_use]
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_millis(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

clock!(Mono);
clock!(Wall);
