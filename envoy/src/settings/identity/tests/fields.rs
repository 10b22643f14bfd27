//! The list of the fields that go with one type or another.

use std::collections::BTreeSet;

use entra_token_core::config::fields_of;

use super::*;

/// A field that is missing there would be called unknown in place of one that does not go with the type.
#[test]
fn the_fields_of_all_types_are_listed() {
    let listed: BTreeSet<String> = OF_A_TYPE.iter().map(ToString::to_string).collect();
    assert_eq!(listed, fields_of::<Identity>());
    assert_eq!(listed.len(), OF_A_TYPE.len(), "a field is listed twice");
}
