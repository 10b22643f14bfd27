//! `IDENTITY_TYPE`, and which variables go with which type.

use super::*;
use crate::settings::identity::from_environment::Kind;

#[test]
fn a_type_is_read_in_any_case_and_an_unknown_one_is_told_the_known_ones() {
    for kind in ["systemAssigned", "systemassigned", "SYSTEMASSIGNED"] {
        let (service, cloud) = (imds(), None);
        assert_eq!(
            identity(kind, &[]),
            Identity::SystemAssigned { service, cloud }
        );
    }
    let unset = read(&[]).0.unwrap_err();
    assert!(unset[0].starts_with("IDENTITY_TYPE is not set. Say one of systemAssigned, "));
    let unknown = mistake("system-assigned", &[]);
    assert!(unknown.starts_with("IDENTITY_TYPE is \"system-assigned\", which is unknown."));
    for kind in Kind::ALL {
        assert!(unknown.contains(kind.name()), "{unknown}");
    }
}

#[test]
fn a_variable_of_another_type_is_warned_about() {
    let cases = [
        ("systemAssigned", "AAD_CLIENT_ID"),
        ("systemAssigned", "AAD_CLIENT_SECRET_FILE"),
        ("systemAssigned", "TSIAM_ENDPOINT"),
        ("systemAssigned", "MANAGED_IDENTITY_CLIENT_ID"),
    ];
    for (kind, variable) in cases {
        let (read, warnings) = with(kind, &[(variable, "x"), ("AAD_TENANT_ID", TENANT)]);
        assert!(read.is_ok());
        assert_eq!(
            warnings,
            [format!(
                "{variable} is ignored: IDENTITY_TYPE is {kind}, which does not use it"
            )]
        );
    }
}

#[test]
fn without_a_type_what_workload_identitys_webhook_sets_says_it() {
    let files = Files::new();
    let token = files.name("token");
    let webhook = [
        ("AZURE_CLIENT_ID", ID),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_FEDERATED_TOKEN_FILE", &token),
    ];
    let (taken, warnings) = read(&webhook);
    assert_eq!(taken.unwrap(), identity("workloadIdentity", &webhook));
    assert_eq!(
        warnings,
        [
            "IDENTITY_TYPE is not set; workloadIdentity is assumed, because \
             AZURE_FEDERATED_TOKEN_FILE is set. Set IDENTITY_TYPE=workloadIdentity"
        ]
    );
}
