//! Lists as `key1=value1,key2=value2`: W3C Baggage (<https://www.w3.org/TR/baggage/#header-content>)
//! without its properties. A list may hold secrets, so messages number its entries and show none.

use entra_auth_settings_input::Problem;

use crate::settings::percent;

/// An entry as it is written, without the white space around key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Its number, from one.
    pub(super) number: usize,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The entries of a list. An empty one, as after a last comma, is left out.
pub(super) fn entries(list: &str) -> impl Iterator<Item = Result<Entry<'_>, Problem>> {
    let entries = list.split(',').enumerate();
    let entries = entries.filter(|(_, entry)| !entry.trim().is_empty());
    entries.map(|(before, entry)| {
        let number = before + 1;
        let (key, value) = entry.split_once('=').ok_or_else(|| {
            Problem::new(
                format!("has no = in entry {number}"),
                "Write key1=value1,key2=value2; a comma inside a value is %2C.",
            )
        })?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(Problem::new(
                format!("has no key in entry {number}"),
                "Write key1=value1,key2=value2.",
            ));
        }
        // A property of W3C Baggage, which OpenTelemetry excludes; or a semicolon that is not encoded.
        if entry.contains(';') {
            return Err(Problem::new(
                format!("has a semicolon in entry {number}"),
                "Write it as %3B.",
            ));
        }
        Ok(Entry { number, key, value })
    })
}

/// A percent-encoded part of an entry, decoded.
pub(super) fn decoded(part: &str, number: usize) -> Result<String, Problem> {
    let bytes = percent::decoded(part).ok_or_else(|| {
        Problem::new(
            format!("has a % in entry {number} that begins no escape"),
            "Percent-encode it: % is %25.",
        )
    })?;
    String::from_utf8(bytes).map_err(|_| {
        Problem::new(
            format!("has an escape in entry {number} that is no UTF-8"),
            "Percent-encode the bytes of UTF-8: é is %C3%A9.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<(&str, String)>, Problem> {
        let pair = |entry: Result<Entry<'static>, Problem>| {
            let Entry { number, key, value } = entry?;
            Ok((key, decoded(value, number)?))
        };
        let list: &'static str = list.to_owned().leak();
        entries(list).map(pair).collect()
    }

    #[test]
    fn a_list_is_read_as_w3c_baggage() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("a=1", &[("a", "1")]),
            ("a=1,b=2", &[("a", "1"), ("b", "2")]),
            (" a = 1 ,\tb= 2 ", &[("a", "1"), ("b", "2")]),
            ("a=1,,b=2,", &[("a", "1"), ("b", "2")]),
            ("a=", &[("a", "")]),
            ("a=b=c==", &[("a", "b=c==")]),
            ("a=x%20y%2Cz%3Bw%25", &[("a", "x y,z;w%")]),
            ("a=x y+z", &[("a", "x y+z")]),
            ("a=%C3%A9", &[("a", "é")]),
        ];
        for (list, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(k, v)| (*k, (*v).to_owned()))
                .collect();
            assert_eq!(read(list).unwrap(), expected, "{list}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_by_the_number_of_the_entry_and_not_shown() {
        let cases = [
            ("s3cret", "has no = in entry 1"),
            ("a=1,s3cret", "has no = in entry 2"),
            ("a=1,,s3cret", "has no = in entry 3"),
            ("=s3cret", "has no key in entry 1"),
            ("a=s3cret;p=1", "has a semicolon in entry 1"),
            ("a=s3cret%", "begins no escape"),
            ("a=s3cret%2", "begins no escape"),
            ("a=1,b=s3cret%zz", "a % in entry 2 that begins no escape"),
            ("a=s3cret%E9", "that is no UTF-8"),
        ];
        for (list, reason) in cases {
            let problem = read(list).unwrap_err();
            assert!(problem.wrong.contains(reason), "{list}: {problem}");
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
        }
    }
}
