//! The log, on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// The log levels. Each includes the levels before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing. What prevents the start goes to standard error nevertheless, without the log.
    Off,
    /// Conditions in which no assertion can be signed.
    Error,
    /// Conditions that lead to an error unless somebody acts.
    Warning,
    /// Start, end and new certificates.
    Info,
    /// Requests.
    Debug,
}

/// The log: writes lines up to this level.
#[derive(Debug, Clone, Copy)]
pub struct Log(pub Level);

impl Log {
    /// Logs a condition in which no assertion can be signed.
    pub fn error(self, line: impl Display) {
        self.say(Level::Error, "error: ", &line);
    }

    /// Logs a condition that leads to an error unless somebody acts.
    pub fn warning(self, line: impl Display) {
        self.say(Level::Warning, "warning: ", &line);
    }

    /// Logs an event that operators look for.
    pub fn info(self, line: impl Display) {
        self.say(Level::Info, "", &line);
    }

    /// Logs a detail for troubleshooting.
    pub fn debug(self, line: impl Display) {
        self.say(Level::Debug, "", &line);
    }

    fn say(self, level: Level, prefix: &str, line: &dyn Display) {
        if self.0 >= level {
            // The service goes on when standard error is closed.
            let _ = writeln!(io::stderr(), "token-sidecar: {prefix}{line}");
        }
    }
}
