//! The inputs, outputs and parameters of the state machine.

use core::time::Duration;

use crate::Generation;
use crate::Token;
use crate::failure::{Failure, NoAnswer};
use crate::http::{Endpoint, Request, Response};

/// How long the machine waits for the outcome of a call beyond the call's own timeout. The caller
/// enforces the timeout; the machine gives the call up only if the caller reports nothing.
pub const CALL_GRACE: Duration = Duration::from_secs(1);

/// When a token is refreshed, and how long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The share of a token's lifetime, before its expiry, at which it is refreshed; 1–99.
    pub refresh_before_expiry_percent: u8,
    /// The timeout of each call.
    pub call_timeout: Duration,
}

/// Identifies a call of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// An event for the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The response to a call.
    HttpResponse(CallId, Response),
    /// A call ended without a response.
    CallFailed(CallId, NoAnswer),
    /// The target accepted the token of this generation.
    Accepted(Generation),
    /// The target refused the token of this generation with 401.
    Unauthorized(Generation),
}

/// An action that the machine requests.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a request and report its outcome as an [`Input`] with the same id.
    Call {
        /// Identifies the call.
        id: CallId,
        /// Where to send the request.
        endpoint: Endpoint,
        /// The request.
        request: Request,
        /// How long to wait for the response.
        timeout: Duration,
    },
    /// The slot has this token now. Boxed, because it is much larger than the other variants.
    Publish(Box<Token>),
    /// Log this and count it.
    Report(Event),
}

/// Something to log and to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new token was acquired.
    Acquired {
        /// The new token's generation.
        generation: Generation,
        /// The token's lifetime, counted from when its request was sent.
        lifetime: Duration,
        /// How many attempts failed before this one.
        after_failures: u32,
    },
    /// The endpoint returned the token that the slot already has.
    Unchanged {
        /// How many attempts failed before this one.
        after_failures: u32,
    },
    /// The wall clock of this machine and the endpoint's differ by this much.
    ClockSkew(Duration),
    /// The endpoint gave a lifetime of zero or less, but a plausible expiry time, which is used.
    LifetimeIgnored,
    /// An attempt failed.
    Failed {
        /// The cause.
        failure: Failure,
        /// The number of consecutive failures, including this one.
        attempt: u32,
        /// The time until the next attempt.
        retry_in: Duration,
        /// Whether to report it to people: the previous attempt, by any VM, succeeded or failed
        /// differently, or the token that was valid then has expired.
        is_new: bool,
    },
}
