//! The Azure clouds: their Entra hosts, exchange audiences and names.

use core::fmt;
use core::str::FromStr;

/// An Azure cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// azure.com
    Public,
    /// Azure Government, azure.us
    UsGovernment,
    /// Azure operated by 21Vianet, azure.cn
    China,
}

impl Cloud {
    /// The host of the cloud's Entra.
    /// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>
    #[must_use]
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.chinacloudapi.cn",
        }
    }

    /// The cloud of an Entra host, by any of its aliases: in any case, with or without a port and the
    /// trailing dot of a fully qualified name (RFC 1034 §3.1).
    #[must_use]
    pub fn of_authority(authority: &str) -> Option<Self> {
        let canonical = canonical_authority(authority);
        match canonical.split(':').next().unwrap_or_default() {
            "login.microsoftonline.com"
            | "login.microsoft.com"
            | "login.windows.net"
            | "sts.windows.net" => Some(Self::Public),
            "login.microsoftonline.us" | "login.usgovcloudapi.net" => Some(Self::UsGovernment),
            "login.chinacloudapi.cn" | "login.partner.microsoftonline.cn" => Some(Self::China),
            _ => None,
        }
    }

    /// The audience of a managed identity's token that serves as an application's client assertion.
    /// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity>
    #[must_use]
    pub fn exchange_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

/// The canonical form of an Entra host with an optional port: in lower case, without port 443 and
/// without a trailing dot. It is used in an assertion's audience, which is compared as a string
/// (RFC 7523 §3), and in the key of a slot.
#[must_use]
pub fn canonical_authority(authority: &str) -> String {
    let text = authority.to_ascii_lowercase();
    let text = text.strip_suffix(":443").unwrap_or(&text);
    match text.split_once(':') {
        Some((host, port)) => format!("{}:{port}", host.strip_suffix('.').unwrap_or(host)),
        None => text.strip_suffix('.').unwrap_or(text).to_owned(),
    }
}

/// The cloud's name in settings.
impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::UsGovernment => "usgovernment",
            Self::China => "china",
        })
    }
}

/// Accepts the names in settings and those of `az cloud list` and of the Azure SDKs, in any case.
impl FromStr for Cloud {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "public" | "azurecloud" | "azurepubliccloud" | "azurepublic" => Ok(Self::Public),
            "usgovernment" | "azureusgovernment" | "azureusgovernmentcloud" | "azuregovernment" => {
                Ok(Self::UsGovernment)
            }
            "china" | "azurechinacloud" | "azurechina" => Ok(Self::China),
            _ => Err("is no cloud; give `public`, `usgovernment` or `china`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_found_by_each_of_its_names_and_by_its_entra_host() {
        for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::China] {
            assert_eq!(cloud.to_string().parse(), Ok(cloud));
            assert_eq!(Cloud::of_authority(cloud.authority()), Some(cloud));
        }
        assert_eq!("AzureUSGovernment".parse(), Ok(Cloud::UsGovernment));
        assert_eq!("AzureChinaCloud".parse(), Ok(Cloud::China));
        assert!("germany".parse::<Cloud>().is_err());
        assert_eq!(Cloud::of_authority("login.example.com"), None);
    }

    #[test]
    fn every_form_of_an_entra_host_gives_the_same_cloud() {
        for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::China] {
            let host = cloud.authority();
            for written in [
                format!("{host}:443"),
                format!("{host}:8443"),
                format!("{host}."),
                format!("{host}.:443"),
                host.to_ascii_uppercase(),
                format!("{}.:443", host.to_ascii_uppercase()),
            ] {
                assert_eq!(Cloud::of_authority(&written), Some(cloud), "{written}");
            }
        }
        for other in [
            "login.microsoftonline.us..",
            "login.microsoftonline.us.example:443",
            ":443",
            "",
        ] {
            assert_eq!(Cloud::of_authority(other), None, "{other}");
        }
    }
}
