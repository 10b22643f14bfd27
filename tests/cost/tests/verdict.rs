//! Which figures pass compared with a record, and the message about those that do not.

use cost::figures::{Allocations, Cost, Costs};
use cost::verdict::differences;

fn cost(instructions: &[(&str, u64)], host_calls: &[(&str, u64)], own: u64) -> Costs {
    let owned = |pairs: &[(&str, u64)]| {
        let owned = |(name, count): &(&str, u64)| ((*name).to_owned(), *count);
        pairs.iter().map(owned).collect()
    };
    let cost = Cost {
        instructions: owned(instructions),
        host_calls: owned(host_calls),
        allocations: Some(Allocations { own, for_host: 1 }),
    };
    Costs::from([("upstream".to_owned(), cost)])
}

const HEADERS: &str = "proxy_on_request_headers";
const DONE: &str = "proxy_on_done";
const READ: &str = "proxy_get_header_map_value";

#[test]
fn ten_percent_more_or_less_instructions_passes() {
    let was = cost(&[(HEADERS, 1000)], &[(READ, 1)], 0);
    for is in [900, 1000, 1100] {
        let is = cost(&[(HEADERS, is)], &[(READ, 1)], 0);
        assert_eq!(differences(&was, &is), None);
    }
}

#[test]
fn more_instructions_than_that_is_told_by_callback_with_how_to_accept_it() {
    let was = cost(&[(HEADERS, 900), (DONE, 100)], &[], 0);
    let is = cost(&[(HEADERS, 1001), (DONE, 100)], &[], 0);
    let told = differences(&was, &is).unwrap();
    for part in [
        "upstream: instructions a request grew by more than 10 %: was 1000, is 1101 (+10.1 %)",
        "proxy_on_request_headers   was    900, is   1001 (+11.2 %)",
        "proxy_on_done              was    100, is    100 (+0.0 %)",
        "make cost-record",
    ] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

#[test]
fn much_less_instructions_is_to_be_recorded_too() {
    let was = cost(&[(HEADERS, 900), (DONE, 100)], &[], 0);
    let is = cost(&[(HEADERS, 899)], &[], 0);
    let told = differences(&was, &is).unwrap();
    for part in [
        "upstream: instructions a request fell by more than 10 %: was 1000, is 899 (-10.1 %)",
        "proxy_on_done              was    100, is not exported any more",
        "make cost-record",
    ] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

#[test]
fn one_host_call_more_or_fewer_does_not_pass() {
    let was = cost(&[], &[(READ, 2)], 0);
    let more = cost(&[], &[(READ, 2), ("proxy_get_shared_data", 1)], 0);
    let told = differences(&was, &more).unwrap();
    let line = "upstream: more calls of proxy_get_shared_data a request: was 0, is 1\n";
    assert!(told.starts_with(line), "{told}");
    let told = differences(&was, &cost(&[], &[(READ, 1)], 0)).unwrap();
    let line = "upstream: fewer calls of proxy_get_header_map_value a request: was 2, is 1\n";
    assert!(told.starts_with(line), "{told}");
}

#[test]
fn one_allocation_more_does_not_pass() {
    let (was, is) = (cost(&[], &[], 0), cost(&[], &[], 1));
    let told = differences(&was, &is).unwrap();
    let line = "upstream: more allocations of the module's own a request: was 0, is 1\n";
    assert!(told.starts_with(line), "{told}");
}

#[test]
fn a_kind_that_one_side_lacks_does_not_pass() {
    let (none, one) = (Costs::new(), cost(&[], &[], 0));
    let told = differences(&none, &one).unwrap();
    assert!(told.starts_with("upstream: is not in the record"), "{told}");
    let told = differences(&one, &none).unwrap();
    assert!(told.contains("was not measured"), "{told}");
}
