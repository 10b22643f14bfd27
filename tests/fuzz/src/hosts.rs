//! Host patterns, and the `:authority` of a request, which any client writes.

use entra_token_core::cluster::AllowedClusters;
use entra_token_core::host::{HostPattern, HostTable};

/// Patterns, a line each, and at last an authority.
pub(crate) fn hosts(lines: &[u8]) {
    let Ok(lines) = str::from_utf8(lines) else {
        return;
    };
    let (patterns, authority) = lines.rsplit_once('\n').unwrap_or(("", lines));
    let patterns: Vec<HostPattern> = patterns
        .lines()
        .take(16)
        .filter_map(|line| line.parse().ok())
        .collect();
    for pattern in &patterns {
        let text = pattern.to_string();
        assert_eq!(text.parse().as_ref(), Ok(pattern), "{text}");
        let table = HostTable::new([(pattern.clone(), ())]);
        // A pattern without a star names itself, and nothing else does.
        if !text.starts_with('*') {
            assert_eq!(table.find(&text), Some(()), "{text}");
            let same = |a: &str| a.parse::<HostPattern>().as_ref() == Ok(pattern);
            assert!(
                table.find(authority).is_none() || same(authority),
                "{text} {authority}"
            );
        }
    }
    let numbered = patterns.iter().cloned().zip(0_usize..);
    if let Some(found) = HostTable::new(numbered).find(authority) {
        // What many lead to, that one alone leads to as well.
        let alone = HostTable::new([(patterns[found].clone(), found)]);
        assert_eq!(alone.find(authority), Some(found), "{authority}");
    }
    let is_any = |pattern: &HostPattern| pattern.is_any();
    let all_any = patterns.iter().all(is_any);
    let allowed = AllowedClusters::OfHosts(patterns);
    for cluster in [authority, &format!("outbound|443||{authority}")] {
        assert!(
            !(allowed.allow(cluster) && all_any),
            "`*` means no cluster: {cluster}"
        );
    }
}
