//! Every input that is kept, with the compiler of the workspace.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::TARGETS;

/// Far more than any input takes, also on a busy machine and not optimized.
const LONGEST: Duration = Duration::from_secs(60);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn what_is_kept_in_the_corpus_passes() {
    let mut failed = Vec::new();
    for target in TARGETS {
        for file in files(&folder("corpus").join(target.name)) {
            let input = fs::read(&file).expect("an input");
            let begun = Instant::now();
            let outcome = catch_unwind(|| (target.check)(&input));
            if outcome.is_err() || begun.elapsed() > LONGEST {
                failed.push(file);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_target_has_inputs_and_a_program_and_nothing_else_is_there() {
    let names: BTreeSet<_> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
    let stems = |folder: PathBuf| -> BTreeSet<String> {
        let stem = |file: PathBuf| file.file_stem().map(|it| it.to_string_lossy().into_owned());
        files(&folder).into_iter().filter_map(stem).collect()
    };
    assert_eq!(stems(folder("corpus")), names);
    assert_eq!(stems(folder("libfuzzer/fuzz_targets")), names);
    for name in &names {
        let count = files(&folder("corpus").join(name)).len();
        assert!(count >= 5, "{name} has {count} inputs");
        let program = folder("libfuzzer/fuzz_targets").join(format!("{name}.rs"));
        let program = fs::read_to_string(program).expect("a program");
        assert!(program.contains(&format!("\"{name}\"")), "{program}");
        let manifest = fs::read_to_string(folder("libfuzzer/Cargo.toml")).expect("a manifest");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

#[test]
fn the_corpus_stays_small() {
    let sizes = TARGETS.iter().flat_map(|target| {
        let files = files(&folder("corpus").join(target.name));
        files
            .into_iter()
            .map(|it| fs::metadata(it).expect("a file").len())
    });
    let sizes: Vec<u64> = sizes.collect();
    assert!(sizes.len() < 200, "{} files", sizes.len());
    assert!(sizes.iter().sum::<u64>() < 300_000, "{sizes:?}");
}

/// What is searched is what ships: the programs have a lock file of their own, as they are a
/// workspace of their own.
#[test]
fn the_programs_are_made_of_the_versions_of_the_workspace() {
    let packages = |lock: &str| -> BTreeSet<String> {
        let lock = fs::read_to_string(folder(lock)).expect("a lock file");
        let packages = lock.split("[[package]]").skip(1);
        packages
            .map(|package| package.lines().skip(1).take(2).collect())
            .collect()
    };
    let (own, all) = (
        packages("libfuzzer/Cargo.lock"),
        packages("../../Cargo.lock"),
    );
    let only_here: Vec<_> = own.difference(&all).collect();
    assert_eq!(
        only_here.len(),
        3,
        "arbitrary and libfuzzer apart: {only_here:#?}"
    );
}
