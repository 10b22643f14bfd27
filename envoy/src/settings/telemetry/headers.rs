//! `OTEL_EXPORTER_OTLP_HEADERS`: headers of the requests to a collector. Their values are secrets: they
//! reach Envoy by its environment, as those of `OVERRIDE_REQUEST_HEADERS` do.

use entra_auth_settings_input::Problem;
use entra_token_core::Secret;
use http::HeaderName;

use super::list::{self, Entry};
use crate::settings::headers::{check_name, check_value, twice};

/// A header of each export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHeader {
    /// Its name, in lower case.
    pub name: HeaderName,
    /// Its value, decoded: visible ASCII characters with spaces between them.
    pub value: Secret,
}

/// What the exporter says itself, by name and reason.
const OF_THE_EXPORTER: [(&str, &str); 3] = [
    ("host", "it is the collector's"),
    ("content-type", "it follows from the protocol"),
    ("content-encoding", "exports are not compressed"),
];

/// Reads the list, or says all that is wrong with it.
pub(super) fn parse(value: &str) -> Result<Vec<ExportHeader>, Vec<Problem>> {
    let mut headers: Vec<ExportHeader> = Vec::new();
    let mut problems = Vec::new();
    for entry in list::entries(value) {
        match entry.and_then(header) {
            Ok(header) if headers.iter().any(|other| other.name == header.name) => {
                problems.push(twice(header.name.as_str()));
            }
            Ok(header) => headers.push(header),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.is_empty() {
        true => Ok(headers),
        false => Err(problems),
    }
}

fn header(entry: Entry<'_>) -> Result<ExportHeader, Problem> {
    let Entry { number, key, value } = entry;
    let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| {
        Problem::new(
            format!("has a key in entry {number} that is no header"),
            "Correct the name; pseudo headers as :path cannot be set.",
        )
    })?;
    check_name(&name, &OF_THE_EXPORTER)?;
    if name.as_str().starts_with("grpc-") {
        return Err(Problem::new(
            format!("may not set {name}: gRPC keeps such names for itself"),
            "Remove it.",
        ));
    }
    let value = list::decoded(value, number)?;
    check_value(&name, &value)?;
    Ok(ExportHeader {
        name,
        value: Secret::new(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_names_are_in_lower_case() {
        let headers = parse("Authorization=Basic%20dXNlcjpzM2NyZXQ=, X-Scope-OrgID = a b").unwrap();
        let read: Vec<_> = headers
            .iter()
            .map(|header| (header.name.as_str(), header.value.expose()))
            .collect();
        let expected = [
            ("authorization", "Basic dXNlcjpzM2NyZXQ="),
            ("x-scope-orgid", "a b"),
        ];
        assert_eq!(read, expected);
        assert!(!format!("{headers:?}").contains("dXNl"), "{headers:?}");
    }

    #[test]
    fn what_would_break_an_export_is_refused_and_no_value_is_shown() {
        let cases = [
            ("host=s3cret", "may not set host"),
            ("Content-Type=s3cret", "may not set content-type"),
            ("content-encoding=s3cret", "may not set content-encoding"),
            ("content-length=s3cret", "may not set content-length"),
            ("connection=s3cret", "may not set connection"),
            ("TE=s3cret", "may not set te"),
            ("transfer-encoding=s3cret", "may not set transfer-encoding"),
            ("x-envoy-retry-on=s3cret", "may not set x-envoy-retry-on"),
            ("grpc-timeout=s3cret", "may not set grpc-timeout"),
            (":authority=s3cret", "a key in entry 1 that is no header"),
            ("s3cret x=1", "a key in entry 1 that is no header"),
            ("x-a=s3cret%0Ax-b: 1", "gives x-a a value"),
            ("x-a=s3cret%20", "gives x-a a value"),
            ("x-a=s3cret%C3%A9", "gives x-a a value"),
            ("x-a=s3cret,X-A=s3cret", "names \"x-a\" twice"),
            ("s3cret", "has no = in entry 1"),
        ];
        for (list, reason) in cases {
            let problems = parse(list).unwrap_err();
            assert_eq!(problems.len(), 1, "{list}: {problems:?}");
            assert!(problems[0].wrong.contains(reason), "{list}: {problems:?}");
            assert!(!format!("{problems:?}").contains("s3cret"), "{problems:?}");
        }
        assert_eq!(parse("host=x,te=y,x-a=1").unwrap_err().len(), 2);
    }
}
