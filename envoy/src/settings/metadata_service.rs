//! `AZURE_POD_IDENTITY_AUTHORITY_HOST`: where the instance metadata service (IMDS) is, as in the
//! Azure SDKs. It is http by nature: a link-local address inside the host.

use super::authority::{Authority, Endpoint, Scheme};
use super::mistake::{Problem, quoted};

/// Where IMDS is unless the variable says otherwise (Azure: "Instance Metadata Service").
pub const DEFAULT: &str = "http://169.254.169.254";

/// Reads the variable.
pub fn parse(value: &str) -> Result<Endpoint, Problem> {
    let Authority { scheme, host, port } = Authority::parse(value)?;
    if scheme == Some(Scheme::Https) {
        return Err(Problem::new(
            format!("is {}, but metadata services speak http", quoted(value)),
            format!("Write http://, or leave it unset for {DEFAULT}."),
        ));
    }
    Ok(Endpoint {
        scheme: Scheme::Http,
        host,
        port: port.unwrap_or(Scheme::Http.default_port()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_service_is_found_with_or_without_port_and_slash() {
        let cases = [
            (DEFAULT, "169.254.169.254", 80),
            ("http://169.254.169.254/", "169.254.169.254", 80),
            ("http://127.0.0.1:4040", "127.0.0.1:4040", 4040),
            ("http://[fd00::1]:80", "[fd00::1]", 80),
            ("imds.example:8080", "imds.example:8080", 8080),
        ];
        for (value, authority, port) in cases {
            let service = parse(value).unwrap();
            assert_eq!(
                (service.authority().as_str(), service.port),
                (authority, port)
            );
        }
    }

    #[test]
    fn an_https_metadata_service_is_refused() {
        let problem = parse("https://127.0.0.1").unwrap_err();
        assert!(problem.wrong.contains("speak http"));
    }
}
