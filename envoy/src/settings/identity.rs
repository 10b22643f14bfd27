//! `IDENTITY_TYPE` and what names the identity: which managed identity asks for tokens. A type
//! that is not served yet and one that does not exist are mistakes: silently becoming another
//! identity is what aad-auth-proxy did.

use entra_token_core::config::{ResourceId, Uuid};

use super::mistake::{Mistake, Problem, quoted};
use super::variables::Variables;

/// Whose token is asked for at the metadata service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The identity of the machine itself.
    SystemAssigned,
    /// An identity that was assigned to the machine.
    UserAssigned(Selector),
}

/// How IMDS is told which of the machine's identities is meant; it takes one of them at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The client (application) id.
    ClientId(Uuid),
    /// The object (principal) id.
    ObjectId(Uuid),
    /// The Azure resource id, `/subscriptions/…/userAssignedIdentities/<name>`.
    ResourceId(ResourceId),
}

/// The other types of the design, in the spelling of their documentation.
const NOT_SERVED: [&str; 5] = [
    "aadApplication",
    "workloadIdentity",
    "managedIdentityFederated",
    "serviceAccountToken",
    "tsiam",
];

const CLIENT_ID: &str = "AAD_CLIENT_ID";
const OBJECT_ID: &str = "AAD_OBJECT_ID";
const RESOURCE_ID: &str = "AAD_RESOURCE_ID";
/// Set by the Azure SDKs' convention and by workload identity's webhook.
const SDK_CLIENT_ID: &str = "AZURE_CLIENT_ID";

/// Reads the identity, its mistakes and what deserves a warning.
pub fn read(variables: &Variables, warnings: &mut Vec<String>) -> Result<Identity, Vec<Mistake>> {
    let Some(kind) = variables.value("IDENTITY_TYPE") else {
        return Err(vec![
            Problem::new("is not set", "Say systemAssigned or userAssigned.").of("IDENTITY_TYPE"),
        ]);
    };
    match kind.to_ascii_lowercase().as_str() {
        "systemassigned" => {
            for name in [CLIENT_ID, OBJECT_ID, RESOURCE_ID] {
                if variables.value(name).is_some() {
                    warnings.push(format!(
                        "{name} is ignored: IDENTITY_TYPE is systemAssigned, which needs none"
                    ));
                }
            }
            Ok(Identity::SystemAssigned)
        }
        "userassigned" => selector(variables, warnings).map(Identity::UserAssigned),
        other => Err(vec![unusable_type(kind, other).of("IDENTITY_TYPE")]),
    }
}

fn unusable_type(written: &str, lower: &str) -> Problem {
    match NOT_SERVED
        .iter()
        .find(|known| known.to_ascii_lowercase() == lower)
    {
        Some(known) => Problem::new(
            format!("is {known}, which is not served yet by this version"),
            "Use systemAssigned or userAssigned.",
        ),
        None => Problem::new(
            format!("is {}, which is unknown", quoted(written)),
            format!(
                "Use systemAssigned or userAssigned (not served yet: {}).",
                NOT_SERVED.join(", ")
            ),
        ),
    }
}

fn selector(variables: &Variables, warnings: &mut Vec<String>) -> Result<Selector, Vec<Mistake>> {
    let given: Vec<(&'static str, &str)> = [CLIENT_ID, OBJECT_ID, RESOURCE_ID]
        .into_iter()
        .filter_map(|name| Some((name, variables.value(name)?)))
        .collect();
    let from_sdk = variables.value(SDK_CLIENT_ID);
    match (given.as_slice(), from_sdk) {
        ([], None) => Err(vec![
            Problem::new(
                "is not set, but IDENTITY_TYPE is userAssigned",
                "Set it to the identity's client id, or set AAD_OBJECT_ID or AAD_RESOURCE_ID.",
            )
            .of(CLIENT_ID),
        ]),
        ([], Some(id)) => uuid(SDK_CLIENT_ID, id).map(Selector::ClientId),
        ([(CLIENT_ID, id)], sdk) => {
            if sdk.is_some_and(|sdk| !sdk.eq_ignore_ascii_case(id)) {
                warnings.push(format!(
                    "{CLIENT_ID} and {SDK_CLIENT_ID} differ; {CLIENT_ID} is used"
                ));
            }
            uuid(CLIENT_ID, id).map(Selector::ClientId)
        }
        ([(OBJECT_ID, id)], _) => uuid(OBJECT_ID, id).map(Selector::ObjectId),
        ([(_, id)], _) => resource_id(id).map(Selector::ResourceId),
        ([(first, _), (second, _), ..], _) => Err(vec![
            Problem::new(
                format!("is set beside {first}, but one identity is asked for"),
                format!("Keep one of {CLIENT_ID}, {OBJECT_ID} and {RESOURCE_ID}."),
            )
            .of(second),
        ]),
    }
}

fn uuid(variable: &'static str, value: &str) -> Result<Uuid, Vec<Mistake>> {
    if value.starts_with("/subscriptions/") {
        let problem = Problem::new("is a resource id", "Put it into AAD_RESOURCE_ID instead.");
        return Err(vec![problem.of(variable)]);
    }
    value
        .parse()
        .map_err(|why: String| vec![Problem::of_value(value, &why).of(variable)])
}

fn resource_id(value: &str) -> Result<ResourceId, Vec<Mistake>> {
    value
        .parse()
        .map_err(|why: String| vec![Problem::of_value(value, &why).of(RESOURCE_ID)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "abcd1234-1243-abcd-9876-1234abcd5678";
    const OTHER_ID: &str = "12345678-abcd-abcd-abcd-1234567890ab";
    const RESOURCE: &str = "/subscriptions/def/resourcegroups/MC_rg/providers/\
        Microsoft.ManagedIdentity/userAssignedIdentities/agentpool";

    fn identity(pairs: &[(&str, &str)]) -> (Result<Identity, String>, Vec<String>) {
        let variables = pairs.iter().copied().collect();
        let mut warnings = Vec::new();
        let identity = read(&variables, &mut warnings).map_err(|mistakes| {
            assert_eq!(mistakes.len(), 1);
            mistakes[0].to_string()
        });
        (identity, warnings)
    }

    fn user_assigned(more: &[(&str, &str)]) -> (Result<Identity, String>, Vec<String>) {
        let mut pairs = vec![("IDENTITY_TYPE", "userAssigned")];
        pairs.extend(more);
        identity(&pairs)
    }

    fn mistake_of(result: (Result<Identity, String>, Vec<String>)) -> String {
        result.0.unwrap_err()
    }

    #[test]
    fn the_identity_type_is_read_in_any_case() {
        for kind in ["systemAssigned", "systemassigned", "SYSTEMASSIGNED"] {
            let read = identity(&[("IDENTITY_TYPE", kind)]);
            assert_eq!(read, (Ok(Identity::SystemAssigned), vec![]));
        }
        for kind in ["userAssigned", "userassigned", "UserAssigned"] {
            let read = identity(&[("IDENTITY_TYPE", kind), ("AAD_CLIENT_ID", ID)]);
            let expected = Identity::UserAssigned(Selector::ClientId(ID.parse().unwrap()));
            assert_eq!(read, (Ok(expected), vec![]));
        }
    }

    #[test]
    fn a_missing_an_unknown_and_an_unserved_type_are_mistakes() {
        assert!(mistake_of(identity(&[])).starts_with("IDENTITY_TYPE is not set."));
        let unknown = mistake_of(identity(&[("IDENTITY_TYPE", "system-assigned")]));
        assert!(unknown.starts_with("IDENTITY_TYPE is \"system-assigned\", which is unknown."));
        for kind in NOT_SERVED {
            assert!(unknown.contains(kind));
            let unserved = mistake_of(identity(&[("IDENTITY_TYPE", &kind.to_uppercase())]));
            assert!(unserved.contains(&format!("is {kind}, which is not served yet")));
        }
    }

    #[test]
    fn a_user_assigned_identity_is_named_by_one_of_three_ids() {
        let cases = [
            ("AAD_CLIENT_ID", ID, Selector::ClientId(ID.parse().unwrap())),
            ("AAD_OBJECT_ID", ID, Selector::ObjectId(ID.parse().unwrap())),
            (
                "AAD_RESOURCE_ID",
                RESOURCE,
                Selector::ResourceId(RESOURCE.parse().unwrap()),
            ),
            (
                "AZURE_CLIENT_ID",
                ID,
                Selector::ClientId(ID.parse().unwrap()),
            ),
        ];
        for (name, value, selector) in cases {
            let read = user_assigned(&[(name, value)]);
            assert_eq!(read, (Ok(Identity::UserAssigned(selector)), vec![]));
        }
    }

    #[test]
    fn no_id_and_two_ids_are_mistakes() {
        assert!(mistake_of(user_assigned(&[])).starts_with("AAD_CLIENT_ID is not set"));
        let two = user_assigned(&[("AAD_CLIENT_ID", ID), ("AAD_OBJECT_ID", OTHER_ID)]);
        assert!(mistake_of(two).starts_with("AAD_OBJECT_ID is set beside AAD_CLIENT_ID"));
    }

    #[test]
    fn an_id_of_the_wrong_form_is_a_mistake() {
        for value in [
            "<clientId>",
            "abcd1234",
            &ID.replace('-', ""),
            &format!("{{{ID}}}"),
        ] {
            let mistake = mistake_of(user_assigned(&[("AAD_CLIENT_ID", value)]));
            assert!(mistake.contains("is no UUID"), "{mistake}");
        }
        let resource = mistake_of(user_assigned(&[("AAD_CLIENT_ID", RESOURCE)]));
        assert!(resource.contains("Put it into AAD_RESOURCE_ID"));
        for value in [ID, "/subscriptions/x", &format!("{RESOURCE} ")] {
            let mistake = mistake_of(user_assigned(&[("AAD_RESOURCE_ID", value)]));
            assert!(mistake.contains("is no resource id"), "{mistake}");
        }
    }

    #[test]
    fn the_old_client_id_wins_over_the_sdks_and_a_difference_is_warned_about() {
        let differ = user_assigned(&[("AAD_CLIENT_ID", ID), ("AZURE_CLIENT_ID", OTHER_ID)]);
        let expected = Identity::UserAssigned(Selector::ClientId(ID.parse().unwrap()));
        assert_eq!(differ.0, Ok(expected));
        assert_eq!(
            differ.1,
            ["AAD_CLIENT_ID and AZURE_CLIENT_ID differ; AAD_CLIENT_ID is used"]
        );

        let same = user_assigned(&[
            ("AAD_CLIENT_ID", ID),
            ("AZURE_CLIENT_ID", &ID.to_uppercase()),
        ]);
        assert!(same.1.is_empty());
    }

    #[test]
    fn an_id_beside_the_system_assigned_identity_is_warned_about() {
        let read = identity(&[("IDENTITY_TYPE", "systemAssigned"), ("AAD_CLIENT_ID", ID)]);
        assert_eq!(read.0, Ok(Identity::SystemAssigned));
        assert_eq!(read.1.len(), 1);
        assert!(read.1[0].starts_with("AAD_CLIENT_ID is ignored"));
    }
}
