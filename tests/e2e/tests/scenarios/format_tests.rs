//! A mistake in a scenario is refused, and named with its file and field.

use std::fs;

use crate::scenario;

const EXPECT: &str = "\n[expect]\ncode = 'x'\n";

/// What is written, and what the refusal names.
const MISTAKES: [(&str, &str); 14] = [
    ("[[reply]]\nstatus = 500\n[expect]\ncode = 'x'", "`about`"),
    ("about = ''\nabuot = ''\n[expect]\ncode = 'x'", "`abuot`"),
    (
        "about = ''\n[expect]\nserved = true\ncode = 'x'",
        "expect: ",
    ),
    ("about = ''\n[expect]\npermanent = true", "`code`"),
    ("about = ''\n[expect]\ncode = 7", "line 3"),
    (
        "[[reply]]\ntimes = 2",
        "reply 1: give one of `right`, `wire`",
    ),
    (
        "[[reply]]\nwire = 'hang'\nstatus = 500",
        "reply 1: give one of",
    ),
    ("[[reply]]\nwire = 'slow'", "`hang`"),
    ("[[reply]]\nwire = 'hang'\nbody = ''", "`body`"),
    (
        "[[reply]]\nstatus = 500\nbody_file = 'no'",
        "`body_file` no",
    ),
    (
        "[[reply]]\nstatus = 500\ntimes = 1\nfor_seconds = 1",
        "`times` or `for_seconds`",
    ),
    (
        "[[reply]]\nstatus = 500\n[[reply]]\nstatus = 501",
        "reply 1: only the last",
    ),
    (
        "[[reply]]\nwire = 'refused'\ntimes = 1\n[[reply]]\nstatus = 500",
        "`refused`",
    ),
    (
        "[[reply]]\nstatus = 500\n[real]\nin_full = true",
        "`in_full`",
    ),
];

pub(crate) fn every_mistake_is_named() -> Result<(), String> {
    for (text, name) in MISTAKES {
        let refusal = refusal(text)?;
        if !refusal.contains("scenario.toml") || !refusal.contains(name) {
            return Err(format!("no {name} in the refusal of:\n{text}\n{refusal}"));
        }
    }
    Ok(())
}

/// Why this text is no scenario; what it leaves out of the beginning and the end is right.
fn refusal(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let scenario = folder.path().join("one");
    let begin = if text.contains("[expect]") {
        ""
    } else {
        "about = ''\n"
    };
    let end = if text.contains("[expect]") {
        ""
    } else {
        EXPECT
    };
    fs::create_dir(&scenario)
        .and_then(|()| {
            fs::write(
                scenario.join("scenario.toml"),
                format!("{begin}{text}{end}"),
            )
        })
        .map_err(|error| error.to_string())?;
    match scenario::read_all(folder.path()) {
        Ok(_) => Err(format!("taken as a scenario:\n{text}")),
        Err(refusal) => Ok(refusal),
    }
}
