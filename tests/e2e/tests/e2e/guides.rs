//! What the guides say of tests is true: each test that they name exists.

use std::fs;

use e2e::tools;

/// The `file.rs::name` in backticks of a text.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| {
        let (file, name) = code.split_once("::")?;
        file.ends_with(".rs").then_some((file, name))
    })
}

#[test]
fn every_test_that_a_guide_names_exists() {
    let guides = tools::repository().join("docs/guides");
    let mut count = 0;
    for guide in fs::read_dir(&guides).expect("the guides") {
        let path = guide.expect("a guide").path();
        let text = fs::read_to_string(&path).expect("text");
        for (file, name) in named(&text) {
            let source = fs::read_to_string(tools::repository().join(file));
            let source =
                source.unwrap_or_else(|error| panic!("{}: {file}: {error}", path.display()));
            let test = format!("fn {name}(");
            assert!(
                source.contains(&test),
                "{}: {file} has no {name}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 20, "the guides name {count} tests");
}
