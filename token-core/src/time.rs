//! Two clocks, always read together and never read here.
//!
//! Lifetimes and deadlines count on the monotonic clock; the moments that a server names
//! (`expires_on`) lie on the wall clock. A token is over when either clock says so.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the monotonic clock of this process, in milliseconds from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mono(pub u64);

/// A point on the wall clock, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wall(pub u64);

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For lifetimes, deadlines and waits.
    pub mono: Mono,
    /// For what servers say of absolute time.
    pub wall: Wall,
}

/// A duration in whole milliseconds; what does not fit is as good as for ever.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! clock {
    ($name:ident) => {
        impl $name {
            /// The moment `wait` later; saturates.
            #[must_use]
            pub fn after(self, wait: Duration) -> Self {
                Self(self.0.saturating_add(millis(wait)))
            }

            /// The moment `span` earlier; saturates at the clock's start.
            #[must_use]
            pub fn before(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(millis(span)))
            }

            /// How long from `earlier` until this moment; zero when it lies ahead.
            #[must_use]
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_millis(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

clock!(Mono);
clock!(Wall);
