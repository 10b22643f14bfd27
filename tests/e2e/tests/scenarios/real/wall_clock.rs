//! A wall clock for one proxy, which a test can set.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use e2e::{ProxyBuilder, tools};
use tempfile::TempDir;

/// The clock; wrong by nothing at first.
pub(super) struct WallClock(TempDir);

impl WallClock {
    /// Compiles what stands between a process and its clock.
    pub(super) fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no wall clock: {error}"))?;
        let clock = Self(folder);
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(clock.library())
            .arg(tools::repository().join("tests/e2e/tests/scenarios/real/wall_clock.c"))
            .output()
            .map_err(|error| format!("cc, a C compiler, cannot run: {error}: `make setup`"))?;
        if !compiled.status.success() {
            return Err(format!(
                "cc failed: {}",
                String::from_utf8_lossy(&compiled.stderr)
            ));
        }
        clock.set(0)?;
        Ok(clock)
    }

    /// A proxy that lives by this clock.
    pub(super) fn given_to(&self, proxy: ProxyBuilder) -> ProxyBuilder {
        proxy
            .set("LD_PRELOAD", self.library())
            .set("WALL_CLOCK_OFFSET_FILE", self.file("offset"))
    }

    /// Sets it, by so many seconds off the true time.
    pub(super) fn set(&self, seconds: i64) -> Result<(), String> {
        // In one step: nobody reads half a number.
        let next = self.file("next");
        fs::write(&next, seconds.to_string())
            .and_then(|()| fs::rename(&next, self.file("offset")))
            .map_err(|error| format!("the wall clock cannot be set: {error}"))
    }

    fn library(&self) -> OsString {
        self.file("wall_clock.so")
    }

    fn file(&self, name: &str) -> OsString {
        self.0.path().join(name).into_os_string()
    }
}
