//! Every mistake at once and by its place, and no secret in a message.

use super::*;
use crate::settings::file::VARIABLE;

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = "
identities:
- { name: a, type: userAssigned, clientId: not-a-uuid, imds: 'https://x' }
- { name: a, type: clientSecret, clientId: '{id}', secretFile: /nowhere, tsiam: 'https://x' }
- { name: b c, type: magic }
- { name: c, type: clientCertificate, tenantId: common, clientId: '{id}', tokenSidecarSocket: /run/s, certificate: { path: /nowhere, sendChain: maybe, algorithm: HS256 } }
- { name: d, type: clientSecret, tenantId: a.com, clientId: '{id}', secretFile: '{dir}/secret', cloud: mars, authority: 'http://login.example' }
- { name: e, type: managedIdentityFederated, tenantId: a.com, clientId: '{id}', managedIdentity: { clientId: '{id}', objectId: '{id}' } }
- { name: f, type: clientSecret, tenantId: a.com, clientId: '{id}', secretFile: '{dir}/secret', cloud: public, tpye: x }
targets:
- { name: one, url: 'https://x y', identity: nobody, audience: 'a b', hold: { timeout: soon } }
- { name: one, url: 'http://abc.example', identity: d, required: 'yes' }
- { name: two, url: unknown.example, identity: e, authErrorsRetryable: sometimes }
- { name: gov, url: x.prometheus.monitor.azure.us, identity: f, requestHeaders: { Authorization: x, X-A: 7, x-b: b, X-B: c, X-C: { fromEnvironment: NOT_SET } } }
listeners:
- { port: 0, target: one }
- { port: 8081, target: two, targets: [two] }
- { port: 8081, target: three }
- { port: 8082 }
- { port: 9464, targets: [gov, gov] }
refreshBeforeExpiryPercent: 100
extra: 1
";
    let found = mistakes(text, &[("ENVOY_CONCURRENCY", "0"), ("AUDIENCE", "api://x")]);
    are(
        &found,
        &[
            "AUDIENCE is set beside ENTRA_AUTH_CONFIG, which says it in `targets[].audience`. Unset it.",
            "ENVOY_CONCURRENCY is \"0\"",
            "STATUS_PORT is 9464, as listeners[4].port is",
            "the whole file: `extra` is no field here",
            "identities[0].clientId: \"not-a-uuid\" is no UUID",
            "identities[0].imds: is \"https://x\", but metadata services speak http",
            "identities[1].name: another identity has this name",
            "identities[1]: a clientSecret identity needs `tenantId`",
            "identities[1].secretFile: is \"/nowhere\", which cannot be read",
            "identities[1].tsiam: does not go with the type `clientSecret`",
            "identities[2].name: \"b c\" is no identity name",
            "identities[2].type: `magic` is unknown; there are `systemAssigned`",
            "identities[3].tenantId: \"common\" is no tenant",
            "identities[3].tokenSidecarSocket: a clientCertificate identity takes one of",
            "identities[3].certificate.path: is \"/nowhere\", which cannot be read",
            "identities[3].certificate.sendChain: is a string",
            "identities[3].certificate.algorithm: is \"HS256\", which is unknown",
            "identities[4].cloud: \"mars\" is no cloud",
            "identities[4].authority: is \"http://login.example\", which is not encrypted",
            "identities[5].managedIdentity.objectId: it takes one of",
            "identities[6].cloud: means public, but targets[3].url means usgovernment",
            "identities[6]: `tpye` is no field here",
            "targets[0].identity: there is no identity `nobody`",
            "targets[0].url: is \"https://x y\", which holds white space",
            "targets[0].audience: \"a b\" holds the character",
            "targets[0].hold.timeout: \"soon\" is no duration",
            "targets[1].name: another target has this name",
            "targets[1].url: says http://, but a token is sent in clear to loopback hosts only",
            "targets[1].required: is a string",
            "targets[1]: abc.example is no host whose audience is known; give its `audience`",
            "targets[2]: unknown.example is no host whose audience is known",
            "targets[2].authErrorsRetryable: `sometimes` is unknown",
            "targets[3].requestHeaders.Authorization: may not set authorization",
            "targets[3].requestHeaders.X-A: is neither text nor",
            "targets[3].requestHeaders.x-b: names \"x-b\" twice",
            "targets[3].requestHeaders.X-C: is to come from NOT_SET, which is not set",
            "listeners[0].port: is \"0\", which is no whole number from 1 to 65535",
            "listeners[1].targets: a listener takes one of `target`, `targets`",
            "listeners[2].port: another listener has this port",
            "listeners[2].target: there is no target `three`",
            "listeners[3]: a listener needs one of `target`, `targets`",
            "listeners[4].targets[1]: `gov` is named twice; remove one",
            "refreshBeforeExpiryPercent: 100 is out of range",
        ],
    );
}

#[test]
fn what_is_no_file_no_yaml_or_not_clear_is_refused_without_its_lines() {
    let at = "ENTRA_AUTH_CONFIG is ";
    let secret = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: the-key, X-Key: the-key } }",
    );
    for (text, reason) in [
        ("{", "which is no YAML or JSON"),
        ("", "which is empty"),
        ("a: {b: ]", "which is no YAML or JSON"),
        (
            &format!("{LEAST}\nlisteners: []"),
            "which is no YAML or JSON",
        ),
        (&secret, "which is no YAML or JSON"),
        (
            &format!("{LEAST}\n---\n{LEAST}"),
            "which is no YAML or JSON",
        ),
    ] {
        let found = mistakes(text, &[]);
        assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        assert!(
            found[0].contains(reason) && !found[0].contains("the-key"),
            "{found:?}"
        );
    }
    are(
        &mistakes("[the-key]", &[]),
        &["the whole file: is an array, but must be an object."],
    );
    let number = LEAST.replace(
        "identity: machine }",
        "identity: machine, requestHeaders: { X-Key: 4711 } }",
    );
    let found = mistakes(&number, &[]);
    assert!(found.len() == 1 && !found[0].contains("4711"), "{found:?}");
    are(
        &mistakes("{}", &[]),
        &[
            "the whole file: `identities` is missing",
            "the whole file: `targets` is missing",
            "the whole file: `listeners` is missing",
        ],
    );
    are(
        &mistakes("{ identities: [], targets: [], listeners: [] }", &[]),
        &[
            "identities: is empty",
            "targets: is empty",
            "listeners: is empty",
        ],
    );
    let machine = Machine::default();
    let missing = [(VARIABLE, "/nowhere")].into_iter().collect();
    let found = settings::read(&missing, &machine).outcome.unwrap_err();
    assert!(
        found[0]
            .to_string()
            .contains("\"/nowhere\", which cannot be read"),
        "{found:?}"
    );
}

#[test]
fn a_value_in_the_place_of_a_name_is_not_shown() {
    for headers in [
        "'X-Api-Key: hunter2'",
        "{ X-Api-Key: { fromEnvironment: hunter2-secret } }",
        "{ X-Api-Key: { fromEnvironment: 12345 } }",
        "{ 'X-Api-Key: hunter2': x }",
    ] {
        let text = LEAST.replace(
            "identity: machine }",
            &format!("identity: machine, requestHeaders: {headers} }}"),
        );
        let found = mistakes(&text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("targets[0].requestHeaders"),
            "{found:?}"
        );
        assert!(
            !found[0].contains("hunter2") && !found[0].contains("12345"),
            "{found:?}"
        );
    }
}

#[test]
fn what_nobody_uses_is_warned_about() {
    let text = "
identities: [{ name: machine, type: systemAssigned }, { name: spare, type: tsiam, tsiam: tsiam }]
targets:
- { name: one, url: x.prometheus.monitor.azure.com, identity: machine }
- { name: two, url: y.prometheus.monitor.azure.com, identity: machine }
listeners: [{ port: 8081, target: one }]
";
    let reading = Files::new().read(text, &[]);
    assert!(reading.outcome.is_ok());
    assert_eq!(
        reading.warnings,
        [
            "the identity `spare` is not used: no target gets its token",
            "the target `two` is not used: no listener leads to it",
        ]
    );
}
