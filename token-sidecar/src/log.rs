//! The log, on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// How much is said; each level says what those before it say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing but why the process cannot start.
    Off,
    /// What keeps assertions from being signed.
    Error,
    /// What will do so if nobody acts.
    Warning,
    /// Starts, ends and new certificates.
    Info,
    /// Every request.
    Debug,
}

/// Where lines go: nowhere below the level.
#[derive(Debug, Clone, Copy)]
pub struct Log(pub Level);

impl Log {
    /// Assertions cannot be signed.
    pub fn error(self, line: impl Display) {
        self.say(Level::Error, "error: ", &line);
    }

    /// Somebody should act.
    pub fn warning(self, line: impl Display) {
        self.say(Level::Warning, "warning: ", &line);
    }

    /// Something that an operator looks for in a log.
    pub fn info(self, line: impl Display) {
        self.say(Level::Info, "", &line);
    }

    /// Something that only a search for a fault needs.
    pub fn debug(self, line: impl Display) {
        self.say(Level::Debug, "", &line);
    }

    fn say(self, level: Level, prefix: &str, line: &dyn Display) {
        if self.0 >= level {
            // A closed standard error is no reason to end.
            let _ = writeln!(io::stderr(), "token-sidecar: {prefix}{line}");
        }
    }
}
