//! Checks repositories and tags of images against the grammar of
//! <https://github.com/distribution/reference/blob/main/reference.go>.

use crate::origin::VERSION;

/// Checks a registry with an optional port and an optional path. An empty text becomes the registry of
/// the examples.
///
/// # Errors
/// If the text is neither.
pub fn repository(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("registry.example.com/entra-auth".to_owned());
    }
    let (registry, path) = text.split_once('/').unwrap_or((text, "entra-auth"));
    let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
    let hosts = host.split('.').all(|label| {
        let is_inner = |it: char| it.is_ascii_alphanumeric() || it == '-';
        !label.is_empty() && label.chars().all(is_inner) && label.trim_matches('-') == label
    });
    if !(hosts && port.parse::<u16>().is_ok() && path.split('/').all(is_component)) {
        return Err(
            "is no registry with a path in lower case, such as registry.example.com/team"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Lower-case letters and digits, separated by a dot, by one or two underscores, or by hyphens.
fn is_component(text: &str) -> bool {
    let is_alphanumeric = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    let mut between = text.split(is_alphanumeric).collect::<Vec<_>>();
    let ends = (
        between.pop(),
        (!between.is_empty()).then(|| between.remove(0)),
    );
    let is_separator =
        |it: &&str| [".", "_", "__"].contains(it) || it.chars().all(|character| character == '-');
    ends == (Some(""), Some("")) && between.iter().all(is_separator)
}

/// Checks a tag. An empty text becomes the release.
///
/// # Errors
/// If the text is not a tag.
pub fn tag(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(VERSION.to_owned());
    }
    let is_inner = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    // At most 128 characters, less the suffix `-oci` of the module's artifact.
    if !text.chars().all(is_inner) || text.starts_with(['.', '-']) || text.len() > 124 {
        return Err(
            "is no tag: letters, digits, `_`, `.` and `-`, neither of the last two first, 124 at most"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_accepted_and_empty_ones_become_the_default() {
        for good in [
            "registry.example.com/entra-auth",
            "localhost:5000/a/b-c/d__e.f",
            "team.azurecr.io/x",
            "team.azurecr.io",
        ] {
            assert_eq!(repository(good).as_deref(), Ok(good));
        }
        assert_eq!(
            repository("").as_deref(),
            Ok("registry.example.com/entra-auth")
        );
        for good in ["latest", "v1.2.3-rc.1_x", "_"] {
            assert_eq!(tag(good).as_deref(), Ok(good));
        }
        assert_eq!(tag("").as_deref(), Ok(VERSION));
    }

    #[test]
    fn invalid_names_are_refused() {
        for bad in [
            "https://registry.example.com/x",
            "registry.example.com/Team",
            "registry.example.com/",
            "registry.example.com/a//b",
            "registry.example.com/a_-b",
            "registry.example.com/-a",
            "registry.example.com:port/a",
            "registry.example.com/a:1",
            "-registry/a",
            " registry.example.com/a",
        ] {
            repository(bad).expect_err(bad);
        }
        for bad in [".1", "-1", "a/b", "a b", "a:b", &"1".repeat(125)] {
            tag(bad).expect_err(bad);
        }
    }
}
