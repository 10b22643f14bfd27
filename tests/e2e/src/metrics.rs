//! Reads Prometheus' text format, as Envoy and Prometheus write it.

use std::collections::BTreeMap;

/// All samples of one page of metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(Vec<Sample>);

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads a page; lines that are no samples are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(Sample::parse).collect())
    }

    /// Every sample.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.0.iter()
    }

    /// The samples of one name that carry all of these labels.
    pub fn with<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let carries = |sample: &Sample, (label, value): &(&str, &str)| {
            sample
                .labels
                .get(*label)
                .is_some_and(|found| found == value)
        };
        self.0
            .iter()
            .filter(move |sample| sample.name == name)
            .filter(move |sample| labels.iter().all(|label| carries(sample, label)))
    }

    /// The sum over all label values; nothing when there is no such metric.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.sum_with(name, &[])
    }

    /// The sum over the samples that carry all of these labels.
    #[must_use]
    pub fn sum_with(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.with(name, labels)
            .map(|sample| sample.value)
            .reduce(|sum, value| sum + value)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at_checked(end)?;
        let mut labels = BTreeMap::new();
        let mut rest = rest.strip_prefix('{').unwrap_or(rest);
        while let Some((label, after)) = rest.split_once("=\"") {
            let (value, after) = quoted(after)?;
            labels.insert(label.trim_start_matches(',').to_owned(), value);
            rest = after;
        }
        let rest = rest.trim_start_matches([',', '}']);
        let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
        Some(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# HELP requests_total All of them.
# TYPE requests_total counter
requests_total{code="200",path="/a b}\"{"} 3
requests_total{code="503"} 4 1700000000000
up 1
size +Inf
"#;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let metrics = Metrics::parse(PAGE);
        assert_eq!(metrics.sum("requests_total"), Some(7.0));
        assert_eq!(
            metrics.sum_with("requests_total", &[("code", "503")]),
            Some(4.0)
        );
        assert_eq!(metrics.sum("up"), Some(1.0));
        assert_eq!(metrics.sum("size"), Some(f64::INFINITY));
        assert_eq!(metrics.sum("requests"), None);
    }

    #[test]
    fn a_label_may_hold_quotes_braces_and_blanks() {
        let metrics = Metrics::parse(PAGE);
        let sample = metrics
            .with("requests_total", &[("code", "200")])
            .next()
            .unwrap();
        assert_eq!(sample.labels["path"], "/a b}\"{");
    }
}
