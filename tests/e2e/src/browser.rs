//! A real browser, which looks at a page (`tests/browser/look.mjs`).

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::tools;

/// The colours that a person prefers.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// Dark text on a light ground.
    Light,
    /// Light text on a dark ground.
    Dark,
}

/// What a person finds on a page.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// In the browser's tab.
    pub title: String,
    /// All visible text.
    pub text: String,
    /// Each heading with its level, as `H1 Serving`.
    pub headings: Vec<String>,
    /// How many scripts it has.
    pub scripts: u32,
    /// By how many pixels it is wider than the window.
    pub overflow: i32,
    /// The texts of what the Tab key reaches, in order.
    pub focused: Vec<String>,
    /// The URLs that it loads, beside its own.
    pub requests: Vec<String>,
    /// Errors and other messages of the browser's console.
    pub messages: Vec<String>,
    /// Rules of accessibility that it breaks, as axe-core found.
    pub violations: Vec<Violation>,
    /// How many rules of accessibility it keeps.
    pub rules: u32,
}

/// A broken rule of accessibility.
#[derive(Debug, Deserialize)]
pub struct Violation {
    /// The rule's name in axe-core.
    pub rule: String,
    /// What it asks for.
    pub help: String,
    /// The elements that break it.
    pub nodes: Vec<String>,
}

/// Opens a page in a window of this width, in CSS pixels, and writes a picture of it where that is wanted.
///
/// # Panics
/// When the browser or its packages are missing, or fail.
#[must_use]
pub fn look(url: &str, width: u32, scheme: Scheme, picture: Option<&Path>) -> Page {
    let mut command = Command::new(tools::node());
    command
        .arg(tools::repository().join("tests/browser/look.mjs"))
        .arg(tools::browser_packages())
        .arg(tools::chromium())
        .args([url, &width.to_string()])
        .arg(match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        })
        .args(picture);
    let output = command.output().expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}
