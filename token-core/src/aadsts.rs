//! What the error numbers of Microsoft Entra (`AADSTS…`) mean for whoever waits for a token.
//!
//! They come from Entra itself, and through endpoints that ask Entra on a machine's behalf, as
//! IMDS does. Entra's texts and HTTP statuses change; these numbers are what it documents:
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The code of the failure.
    pub(crate) code: &'static str,
    /// Whether a person has to act before asking again helps.
    pub(crate) permanent: bool,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

impl Verdict {
    const fn permanent(code: &'static str, advice: &'static str) -> Self {
        Self {
            code,
            permanent: true,
            advice,
        }
    }

    const fn passing(code: &'static str, advice: &'static str) -> Self {
        Self {
            code,
            permanent: false,
            advice,
        }
    }
}

/// Entra is in trouble, and says so; also by the error `temporarily_unavailable`.
pub(crate) const UNAVAILABLE: Verdict = Verdict::passing(
    "entra_unavailable",
    "Nothing is to be done here; if it lasts, see https://azure.status.microsoft.",
);

/// Judges by the first number that is known: those of `error_codes`, then those of the text.
pub(crate) fn verdict(error_codes: &[u64], description: &str) -> Option<Verdict> {
    error_codes
        .iter()
        .copied()
        .chain(numbers(description))
        .find_map(meaning)
}

/// Every `AADSTS<number>` of a text, with all of its digits: 70021 is not 700211.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split("AADSTS").skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    })
}

fn meaning(number: u64) -> Option<Verdict> {
    Some(match number {
        7_000_215 => Verdict::permanent(
            "client_secret_wrong",
            "Put the secret's value, not its id, into the file that AAD_CLIENT_SECRET_FILE names.",
        ),
        7_000_222 => Verdict::permanent(
            "client_secret_expired",
            "Make a new secret in the app registration (Certificates & secrets) and put it into \
             the file that AAD_CLIENT_SECRET_FILE names.",
        ),
        700_016 => Verdict::permanent(
            "application_not_found",
            "Correct AAD_CLIENT_ID or AAD_TENANT_ID: the tenant has no such application.",
        ),
        90_002 => Verdict::permanent(
            "tenant_not_found",
            "Correct AAD_TENANT_ID, or set AZURE_CLOUD to the cloud that the tenant is in.",
        ),
        // No certificate at all, and another one than those that are registered.
        700_026 | 700_027 => Verdict::permanent(
            "certificate_refused",
            "Upload the certificate that AAD_CLIENT_CERTIFICATE_PATH names to the app \
             registration (Certificates & secrets); renew it first if it has expired.",
        ),
        500_011 => Verdict::permanent(
            "audience_not_found",
            "Correct AUDIENCE: the tenant knows no resource of that name.",
        ),
        70_011 => Verdict::permanent(
            "scope_invalid",
            "Correct AUDIENCE: write the resource, as https://monitor.azure.com, and no path.",
        ),
        7_000_112 => Verdict::permanent(
            "application_disabled",
            "Enable the application in the portal (Enterprise applications, Properties, Enabled \
             for users to sign in), or correct AAD_CLIENT_ID.",
        ),
        7_000_218 => Verdict::permanent(
            "credential_missing",
            "Set AAD_CLIENT_SECRET_FILE or AAD_CLIENT_CERTIFICATE_PATH: the application proves \
             nothing about itself.",
        ),
        900_023 => Verdict::permanent(
            "tenant_id_invalid",
            "Correct AAD_TENANT_ID: it is neither the id of a tenant nor one of its domains.",
        ),
        90_038 => Verdict::permanent(
            "wrong_cloud",
            "Set AZURE_CLOUD to the cloud that the tenant is in.",
        ),
        // A new assertion is made for each attempt, so only the clock can be at fault for long.
        700_024 => Verdict::passing(
            "assertion_not_valid_now",
            "Set this machine's clock (NTP): the client assertion is not valid at this time.",
        ),
        // There is none at all (70025), or the longer numbers say which of the three does not
        // match (7002138: the subject but for its case); a new credential takes minutes to reach
        // all of Entra.
        70_021 | 70_025 | 700_211 | 700_212 | 700_213 | 7_002_138 => Verdict::passing(
            "federated_credential_not_found",
            "Add a federated credential with this issuer, subject and audience to the \
             application or managed identity of AAD_CLIENT_ID; it works minutes later.",
        ),
        90_006 | 90_012 | 90_024 | 90_033 => UNAVAILABLE,
        90_055 => Verdict::passing(
            "throttled",
            "Too much is asked of the tenant: look for what else asks for tokens in a loop.",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn code(error_codes: &[u64], description: &str) -> Option<&'static str> {
        verdict(error_codes, description).map(|verdict| verdict.code)
    }

    #[test]
    fn the_number_is_found_in_either_place_and_the_first_known_one_counts() {
        assert_eq!(code(&[700_016], ""), Some("application_not_found"));
        assert_eq!(code(&[], "AADSTS90002: x"), Some("tenant_not_found"));
        assert_eq!(code(&[1], "AADSTS2 AADSTS90038"), Some("wrong_cloud"));
        assert_eq!(code(&[90_002], "AADSTS700016: x"), Some("tenant_not_found"));
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
            assert_eq!(verdict(&[], description), None, "{description}");
        }
        assert_eq!(
            code(&[], "AADSTS700213"),
            Some("federated_credential_not_found")
        );
    }

    #[test]
    fn every_verdict_advises_in_one_sentence() {
        for number in 0..8_000_000 {
            if let Some(verdict) = meaning(number) {
                let advice = verdict.advice;
                assert!(
                    advice.ends_with('.') && !advice.contains(". ") && !advice.contains('\n'),
                    "{number}: {advice}"
                );
            }
        }
    }
}
