//! The separate Azures, and what of each the token protocols name.

/// A separate Azure.
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
    /// The host of its Entra.
    /// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>
    #[must_use]
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "login.microsoftonline.com",
            Self::UsGovernment => "login.microsoftonline.us",
            Self::China => "login.chinacloudapi.cn",
        }
    }

    /// The cloud of an Entra host, under any of its names.
    #[must_use]
    pub fn of_authority(host: &str) -> Option<Self> {
        match host.to_ascii_lowercase().as_str() {
            "login.microsoftonline.com"
            | "login.microsoft.com"
            | "login.windows.net"
            | "sts.windows.net" => Some(Self::Public),
            "login.microsoftonline.us" | "login.usgovcloudapi.net" => Some(Self::UsGovernment),
            "login.chinacloudapi.cn" | "login.partner.microsoftonline.cn" => Some(Self::China),
            _ => None,
        }
    }

    /// What a managed identity's token must be for, to be taken as an application's assertion.
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
