//! Where figures differ from the record by more than they may.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::figures::{CALLBACKS, Cost, Costs};

/// By how many percent instructions may differ: other compilers and libraries move it a little.
pub const TOLERANCE: u64 = 10;

/// What to do about a difference.
const ADVICE: &str = "The request path is held to tests/cost/recorded.json. Where the change is meant, run `make cost-record`, read the diff and commit it.";

/// What is wrong with `is`, compared with the record `was`; `None` where nothing is.
#[must_use]
pub fn differences(was: &Costs, is: &Costs) -> Option<String> {
    let kinds: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let mut found = String::new();
    for kind in kinds {
        match (was.get(kind), is.get(kind)) {
            (Some(was), Some(is)) => found += &of_kind(kind, was, is),
            (None, _) => found += &format!("{kind}: is not in the record\n"),
            (_, None) => found += &format!("{kind}: is in the record and was not measured\n"),
        }
    }
    (!found.is_empty()).then(|| found + ADVICE)
}

fn of_kind(kind: &str, was: &Cost, is: &Cost) -> String {
    let mut found = String::new();
    let (before, after) = (was.total(), is.total());
    let apart = before.abs_diff(after) * 100 > before * TOLERANCE;
    if apart {
        let verb = if after > before { "grew" } else { "fell" };
        let change = change(before, after);
        found += &format!(
            "{kind}: instructions a request {verb} by more than {TOLERANCE} %: was {before}, is {after} ({change})\n"
        );
        for callback in CALLBACKS {
            found += &of_callback(callback, was, is);
        }
    }
    let calls: BTreeSet<_> = was.host_calls.keys().chain(is.host_calls.keys()).collect();
    for call in calls {
        let count = |cost: &Cost| cost.host_calls.get(call).copied().unwrap_or_default();
        let (before, after) = (count(was), count(is));
        if before != after {
            let verb = if after > before { "more" } else { "fewer" };
            found +=
                &format!("{kind}: {verb} calls of {call} a request: was {before}, is {after}\n");
        }
    }
    let count = |cost: &Cost| cost.allocations.unwrap_or_default();
    let (before, after) = (count(was), count(is));
    for (whose, before, after) in [
        ("of the module's own", before.own, after.own),
        ("for values of the host", before.for_host, after.for_host),
    ] {
        if before != after {
            let verb = if after > before { "more" } else { "fewer" };
            found += &format!(
                "{kind}: {verb} allocations {whose} a request: was {before}, is {after}\n"
            );
        }
    }
    found
}

fn of_callback(callback: &str, was: &Cost, is: &Cost) -> String {
    match (
        was.instructions.get(callback),
        is.instructions.get(callback),
    ) {
        (Some(&was), Some(&is)) => {
            let change = change(was, is);
            format!("    {callback:26} was {was:6}, is {is:6} ({change})\n")
        }
        (Some(was), None) => format!("    {callback:26} was {was:6}, is not exported any more\n"),
        (None, Some(is)) => format!("    {callback:26} was not exported, is {is:6}\n"),
        (None, None) => String::new(),
    }
}

/// In percent, with a sign.
fn change(was: u64, is: u64) -> String {
    let tenths = (i128::from(is) - i128::from(was)) * 1000 / i128::from(was.max(1));
    let (sign, tenths) = (if tenths < 0 { '-' } else { '+' }, tenths.abs());
    format!("{sign}{}.{} %", tenths / 10, tenths % 10)
}

/// The figures as a table: kinds side by side, instructions by callback, host calls by name, allocations.
#[must_use]
pub fn table(costs: &Costs) -> String {
    let mut text = String::new();
    let mut row = |name: &str, figure: &dyn Fn(&Cost) -> Option<u64>| {
        // Writing to a string does not fail.
        let _ = write!(text, "{name:32}");
        for cost in costs.values() {
            let figure = figure(cost).map_or("-".into(), |figure| figure.to_string());
            let _ = write!(text, "{figure:>18}");
        }
        text.push('\n');
    };
    for callback in CALLBACKS {
        row(callback, &|cost| cost.instructions.get(callback).copied());
    }
    row("instructions a request", &|cost| Some(cost.total()));
    let calls: BTreeSet<_> = costs
        .values()
        .flat_map(|cost| cost.host_calls.keys())
        .collect();
    for call in calls {
        row(call, &|cost| cost.host_calls.get(call).copied());
    }
    row("allocations: own", &|cost| Some(cost.allocations?.own));
    row("allocations: for the host", &|cost| {
        Some(cost.allocations?.for_host)
    });
    let heads: String = costs.keys().map(|kind| format!("{kind:>18}")).collect();
    format!("{:32}{heads}\n{text}", "")
}
