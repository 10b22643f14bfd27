//! The URL of the tenant's token endpoint, which is the only audience that is signed.

use entra_auth_settings_input::{Authority, ConfigError, Problem, Scheme};
use entra_token_core::cloud::Cloud;
use entra_token_core::identity::Exchange;

use crate::variables::{AUTHORITY_HOST, CLOUD};

/// The v2.0 token endpoint of a tenant at the host in `AZURE_AUTHORITY_HOST`, else at that of
/// `AZURE_CLOUD`, else in the public cloud. The spelling is the one that the filter asks with: host in
/// lower case, no default port.
///
/// # Errors
/// One of the two variables names no host or an unknown cloud, or a host without TLS that is not this
/// machine.
pub(super) fn token_endpoint(
    cloud: Option<&str>,
    authority_host: Option<&str>,
    tenant: &str,
) -> Result<String, ConfigError> {
    let entra = match (authority_host, cloud) {
        (Some(host), _) => entra_at(host).map_err(|problem| problem.of(AUTHORITY_HOST))?,
        (None, Some(cloud)) => entra_of(cloud).map_err(|problem| problem.of(CLOUD))?,
        (None, None) => url_of(Cloud::Public),
    };
    Ok(format!("{entra}{}", Exchange::path(tenant)))
}

fn url_of(cloud: Cloud) -> String {
    format!("https://{}", cloud.authority())
}

/// Entra's URL from a value of `AZURE_CLOUD`.
fn entra_of(value: &str) -> Result<String, Problem> {
    match value.parse() {
        Ok(cloud) => Ok(url_of(cloud)),
        Err(_) if value.contains(['.', ':']) => entra_at(value),
        Err(_) => Err(Problem::which(
            value,
            "is unknown",
            "Use public, usgovernment, china or a host.",
        )),
    }
}

/// Entra's URL from a host, with or without a scheme.
fn entra_at(value: &str) -> Result<String, Problem> {
    let endpoint = Authority::parse(value)?.endpoint(Scheme::Https);
    Ok(endpoint.encrypted(value)?.url())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(cloud: Option<&str>, host: Option<&str>) -> Result<String, String> {
        token_endpoint(cloud, host, "contoso.com").map_err(|error| error.to_string())
    }

    #[test]
    fn each_cloud_has_its_token_endpoint() {
        let cases = [
            (None, "https://login.microsoftonline.com"),
            (Some("public"), "https://login.microsoftonline.com"),
            (
                Some("AzureUSGovernment"),
                "https://login.microsoftonline.us",
            ),
            (Some("china"), "https://login.chinacloudapi.cn"),
            (
                Some("login.partner.microsoftonline.cn"),
                "https://login.partner.microsoftonline.cn",
            ),
        ];
        for (cloud, base) in cases {
            let expected = format!("{base}/contoso.com/oauth2/v2.0/token");
            assert_eq!(endpoint(cloud, None), Ok(expected));
        }
    }

    #[test]
    fn the_authority_host_wins_over_the_cloud_in_whatever_form_it_is_written() {
        let expected = Ok("https://login.microsoftonline.us/contoso.com/oauth2/v2.0/token".into());
        for host in [
            "https://login.microsoftonline.us/",
            "https://login.microsoftonline.us",
            "login.microsoftonline.us",
            "HTTPS://Login.MicrosoftOnline.US/",
            "login.microsoftonline.us:443",
            "https://login.microsoftonline.us./",
            "https://Login.MicrosoftOnline.us.:443/",
        ] {
            assert_eq!(endpoint(Some("china"), Some(host)), expected);
        }
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for host in [
            "http://127.0.0.1:8080",
            "http://localhost:8080/",
            "http://[::1]:8080",
        ] {
            assert!(endpoint(None, Some(host)).unwrap().starts_with("http://"));
        }
        let refused = endpoint(None, Some("http://login.example.com")).unwrap_err();
        assert!(refused.contains("is not encrypted"), "{refused}");
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_setting() {
        for host in [
            "https://",
            "https://a/b",
            "ftp://a.example",
            "https://user@a.example",
            "a b",
            "a.example:99999",
            "a.example:",
            "a;b.example",
            "a.example\n",
        ] {
            let refused = endpoint(None, Some(host)).unwrap_err();
            assert!(refused.starts_with("AZURE_AUTHORITY_HOST "), "{refused}");
            // The problem and the fix.
            assert_eq!(refused.matches(". ").count(), 1, "{refused}");
        }
        // What stands before the @ may be a password.
        let refused = endpoint(None, Some("https://u:hunter2@a.example")).unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
        let refused = endpoint(Some("germany"), None).unwrap_err();
        assert!(refused.contains("AZURE_CLOUD is \"germany\""), "{refused}");
    }
}
