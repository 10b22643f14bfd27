//! The failure codes of Microsoft Entra's error numbers (`AADSTS…`).
//!
//! They come from Entra, and from endpoints that call Entra on a machine's behalf, such as IMDS.
//! Entra's texts and HTTP statuses change; the numbers are documented:
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use super::FailureCode;

/// The failure code of the first known number, first in `error_codes`, then in the text.
pub(super) fn code(error_codes: &[u64], description: &str) -> Option<FailureCode> {
    error_codes
        .iter()
        .copied()
        .chain(numbers(description))
        .find_map(meaning)
}

/// Whether a text contains an `AADSTS` number.
pub(super) fn is_in(text: &str) -> bool {
    numbers(text).next().is_some()
}

/// Every `AADSTS<number>` in a text, with all its digits: 70021 is not 700211.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split("AADSTS").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    })
}

fn meaning(number: u64) -> Option<FailureCode> {
    Some(match number {
        7_000_215 => FailureCode::ClientSecretWrong,
        7_000_222 => FailureCode::ClientSecretExpired,
        700_016 => FailureCode::ApplicationNotFound,
        90_002 => FailureCode::TenantNotFound,
        // No certificate was sent; the certificate is not registered.
        700_026 | 700_027 => FailureCode::CertificateRefused,
        500_011 => FailureCode::AudienceNotFound,
        70_011 => FailureCode::ScopeInvalid,
        7_000_112 => FailureCode::ApplicationDisabled,
        7_000_218 => FailureCode::CredentialMissing,
        900_023 => FailureCode::TenantIdInvalid,
        90_038 => FailureCode::WrongCloud,
        700_024 => FailureCode::AssertionNotValidNow,
        // 70025: the application has no federated credential. The longer numbers tell whether the
        // issuer, the subject or the audience differs (7002138: the subject differs only in case).
        70_021 | 70_025 | 700_211 | 700_212 | 700_213 | 7_002_138 => {
            FailureCode::FederatedCredentialNotFound
        }
        90_006 | 90_012 | 90_024 | 90_033 => FailureCode::EntraUnavailable,
        90_055 => FailureCode::Throttled,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn text(error_codes: &[u64], description: &str) -> Option<&'static str> {
        code(error_codes, description).map(FailureCode::as_str)
    }

    #[test]
    fn the_number_is_found_in_either_place_and_the_first_known_one_counts() {
        assert_eq!(text(&[700_016], ""), Some("application_not_found"));
        assert_eq!(text(&[], "AADSTS90002: x"), Some("tenant_not_found"));
        assert_eq!(text(&[1], "AADSTS2 AADSTS90038"), Some("wrong_cloud"));
        assert_eq!(text(&[90_002], "AADSTS700016: x"), Some("tenant_not_found"));
    }

    #[test]
    fn a_number_counts_with_all_its_digits() {
        for description in [
            "AADSTS5000111: x",
            "AADSTS7001",
            "AADSTS",
            "AADSTSx",
            "AADSTS99999999999999999999999",
            "7000215",
            "",
        ] {
            assert_eq!(code(&[], description), None, "{description}");
        }
        assert_eq!(
            text(&[], "AADSTS700213"),
            Some("federated_credential_not_found")
        );
    }
}
