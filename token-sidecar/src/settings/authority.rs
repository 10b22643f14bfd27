//! Which token endpoint assertions are for: the one audience that is ever signed.

use std::net::IpAddr;

use entra_token_core::cloud::{Cloud, plainest};
use entra_token_core::identity::Exchange;
use http::uri::{Authority, Scheme};

use super::config_error::{ConfigError, quoted};
use super::variables::{AUTHORITY_HOST, CLOUD};

/// The v2 token endpoint of a tenant, from `AZURE_AUTHORITY_HOST` or else `AZURE_CLOUD`; the
/// public cloud's if neither says anything.
pub fn token_endpoint(
    cloud: Option<&str>,
    authority_host: Option<&str>,
    tenant: &str,
) -> Result<String, ConfigError> {
    let base = match (authority_host, cloud) {
        (Some(host), _) => base_of_host(host, AUTHORITY_HOST)?,
        (None, Some(cloud)) => base_of_cloud(cloud)?,
        (None, None) => format!("https://{}", Cloud::Public.authority()),
    };
    Ok(format!("{base}{}", Exchange::path(tenant)))
}

fn base_of_cloud(value: &str) -> Result<String, ConfigError> {
    match value.parse::<Cloud>() {
        Ok(cloud) => Ok(format!("https://{}", cloud.authority())),
        Err(_) if value.contains(['.', ':']) => base_of_host(value, CLOUD),
        Err(_) => Err(ConfigError::new(
            CLOUD,
            format!("is {}, which is unknown", quoted(value)),
            "Use public, usgovernment, china or a host.",
        )),
    }
}

fn base_of_host(value: &str, setting: &'static str) -> Result<String, ConfigError> {
    let no_host = || {
        ConfigError::new(
            setting,
            format!("is {}, which is no host", quoted(value)),
            "Give a host, as https://login.microsoftonline.com.",
        )
    };
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::HTTP, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::HTTPS, rest),
        Some(_) => return Err(no_host()),
        None => (Scheme::HTTPS, value),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: Authority = rest.parse().map_err(|_| no_host())?;
    let has_port = authority.as_str().len() > authority.host().len();
    let port_is_good = !has_port || authority.port_u16().is_some_and(|port| port != 0);
    let has_good_bytes = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
    };
    if authority.host().is_empty() || !port_is_good || !has_good_bytes(rest) {
        return Err(no_host());
    }
    if scheme == Scheme::HTTP && !is_loopback(authority.host()) {
        return Err(ConfigError::new(
            setting,
            format!("is {}, which is not encrypted", quoted(value)),
            "Use https; plain http is for loopback hosts only.",
        ));
    }
    // As the filter names it in what it asks for, whatever its spelling.
    let authority = if scheme == Scheme::HTTPS {
        plainest(authority.as_str())
    } else {
        authority.as_str().to_ascii_lowercase()
    };
    Ok(format!("{scheme}://{authority}"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
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
    fn what_is_no_host_is_a_mistake_that_names_the_setting() {
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
            assert!(refused.starts_with("AZURE_AUTHORITY_HOST is "), "{refused}");
        }
        let refused = endpoint(Some("germany"), None).unwrap_err();
        assert!(refused.contains("AZURE_CLOUD is \"germany\""), "{refused}");
    }
}
