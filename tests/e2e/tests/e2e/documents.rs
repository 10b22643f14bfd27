//! The links in the documents lead somewhere: to a file, and to a heading in it.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::tools;

/// Folders with no documents of ours.
const SKIPPED: [&str; 4] = [".git", ".tools", "dist", "target"];

/// Every Markdown file under a folder.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
            documents(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "md") {
            found.push(path);
        }
    }
}

/// The targets of the links in a text that stay in this repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let ends = text.split("](").skip(1);
    let links = ends.filter_map(|rest| rest.split([')', ' ', '\n']).next());
    links.filter(|link| !link.contains(':'))
}

/// The anchor that a heading gets where the documents are shown.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|it| it.is_alphanumeric() || "-_ ".contains(*it));
    kept.collect::<String>().replace(' ', "-")
}

pub(crate) fn has_heading(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .any(|it| it == wanted)
}

/// What is wrong with a link of a document.
fn problem(document: &Path, link: &str) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => document.to_path_buf(),
        file => document.parent()?.join(file),
    };
    if !target.exists() {
        return Some("no such file".to_owned());
    }
    let is_document = target.extension().is_some_and(|it| it == "md");
    let text = fs::read_to_string(&target).unwrap_or_default();
    (is_document && !heading.is_empty() && !has_heading(&text, heading))
        .then(|| "no such heading".to_owned())
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut all = Vec::new();
    documents(&tools::repository(), &mut all);
    let (mut count, mut wrong) = (0, Vec::new());
    for document in &all {
        let text = fs::read_to_string(document).expect("text");
        for link in links(&text) {
            count += 1;
            let problem = problem(document, link);
            wrong.extend(problem.map(|it| format!("{}: {link}: {it}", document.display())));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 100, "only {count} links in {} files", all.len());
}

#[test]
fn a_broken_link_is_found() {
    let readme = tools::repository().join("README.md");
    for (link, wrong) in [
        ("docs/ARCHITECTURE.md#components", false),
        ("#in-an-istio-mesh", false),
        ("docs/ARCHITECTURE.md#no-such-heading", true),
        ("no-such-file.md", true),
    ] {
        assert_eq!(problem(&readme, link).is_some(), wrong, "{link}");
    }
}
