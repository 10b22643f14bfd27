use std::collections::BTreeSet;

use super::super::fields_of;
use super::{Authentication, OF_A_TYPE};

/// A field that is missing here would be called unknown in place of one that does not go with the type.
#[test]
fn the_fields_of_all_types_are_listed() {
    let listed: BTreeSet<String> = OF_A_TYPE.iter().map(ToString::to_string).collect();
    assert_eq!(listed, fields_of::<Authentication>());
    assert_eq!(listed.len(), OF_A_TYPE.len(), "a field is listed twice");
}
