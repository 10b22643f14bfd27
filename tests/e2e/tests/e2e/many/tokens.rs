//! Each request carries the token of its target's identity and audience.

use std::time::Duration;

use azure_sim::{
    AZURE_MONITOR, Application, AzureCloud, FederatedCredential, Identity, METRICS_PUBLISHER,
    Options,
};
use e2e::azure::Azure;
use e2e::credentials::certificate;
use e2e::{eventually, free_port};

use super::{CLUSTER, Files, SECRET, answer, entra, slots, target, token_for, wait_for_all};
use crate::identities::{kubernetes, shows_no_secret};

const QUERY: &str = "https://prometheus.monitor.azure.com";

#[test]
fn each_request_carries_the_token_of_its_targets_identity_and_audience() {
    let both = |mut application: Application| {
        let role = (QUERY.to_owned(), METRICS_PUBLISHER.to_owned());
        application.roles.push(role);
        application
    };
    let (pem, registered) = certificate("proxy.example");
    let (other_pem, other_registered) = certificate("other.example");
    let user = Identity::user_assigned("of-the-machine");
    let secret = both(Application::new("secret").with_secret(SECRET));
    let signed = Application::new("signed").with_certificate(registered);
    let signed_too = Application::new("signed-too").with_certificate(other_registered);
    let workload = Application::new("workload");
    let all = [&secret, &signed, &signed_too, &workload].map(Clone::clone);
    let azure = Azure::start(Options {
        applications: all.into(),
        user_assigned: vec![user.clone()],
        target_audiences: vec![AZURE_MONITOR.to_owned(), QUERY.to_owned()],
        ..Options::default()
    });
    let (assertion, trust) = kubernetes(&azure, CLUSTER);
    azure.change_application(&workload.client_id, |it| {
        it.federated_credentials.push(trust);
    });
    let files = Files::new();
    let tenant = azure.state().tenant_id;
    let (target, authority) = (target(&azure), entra(&azure));
    let local = target.replace("localhost", "127.0.0.1");
    let application = |it: &Application| {
        format!(
            "tenantId: {tenant}, clientId: {}, authority: '{authority}'",
            it.client_id
        )
    };
    let ports: [u16; 6] = std::array::from_fn(|_| free_port());
    let [
        machine,
        by_user,
        by_secret,
        by_certificate,
        by_workload,
        by_host,
    ] = ports;
    let text = format!(
        "identities:
- {{ name: machine, type: systemAssigned }}
- {{ name: user, type: userAssigned, objectId: {user} }}
- {{ name: secret, type: clientSecret, {secret}, secretFile: {secret_file} }}
- {{ name: signed, type: clientCertificate, {signed}, certificate: {{ path: {pem} }} }}
- {{ name: signed-too, type: clientCertificate, {signed_too}, certificate: {{ path: {other_pem} }} }}
- {{ name: workload, type: workloadIdentity, authority: '{authority}' }}
targets:
- {{ name: machine, url: '{target}', audience: '{AZURE_MONITOR}', identity: machine }}
- {{ name: user, url: '{target}', audience: '{AZURE_MONITOR}/.default', identity: user }}
- {{ name: secret, url: '{target}', audience: '{AZURE_MONITOR}', identity: secret }}
- {{ name: query, url: '{target}', audience: '{QUERY}', identity: secret }}
- {{ name: signed, url: '{target}', audience: '{AZURE_MONITOR}', identity: signed }}
- {{ name: signed-too, url: '{local}', audience: '{AZURE_MONITOR}', identity: signed-too }}
- {{ name: workload, url: '{target}', audience: '{AZURE_MONITOR}', identity: workload }}
listeners:
- {{ port: {machine}, target: machine }}
- {{ port: {by_user}, target: user }}
- {{ port: {by_secret}, target: secret }}
- {{ port: {by_certificate}, target: signed }}
- {{ port: {by_workload}, target: workload }}
- {{ port: {by_host}, targets: [query, signed-too] }}
",
        user = user.object_id,
        secret_file = files.add("secret", SECRET),
        pem = files.add("a.pem", &pem),
        other_pem = files.add("b.pem", &other_pem),
        secret = application(&secret),
        signed = application(&signed),
        signed_too = application(&signed_too),
    );
    let proxy = files
        .proxy(&azure, &text, machine)
        .set("AZURE_CLIENT_ID", &workload.client_id)
        .set("AZURE_TENANT_ID", &tenant)
        .set("AZURE_FEDERATED_TOKEN_FILE", files.add("token", &assertion))
        .start();
    wait_for_all(&proxy);

    let host = |url: &str| url.trim_start_matches("https://").to_owned();
    let system = Identity::system_assigned();
    for (port, to, oid, audience) in [
        (machine, "x", &system.object_id, AZURE_MONITOR),
        (by_user, "x", &user.object_id, AZURE_MONITOR),
        (by_secret, "x", &secret.object_id, AZURE_MONITOR),
        (by_certificate, "x", &signed.object_id, AZURE_MONITOR),
        (by_workload, "x", &workload.object_id, AZURE_MONITOR),
        (by_host, &host(&target), &secret.object_id, QUERY),
        (by_host, &host(&local), &signed_too.object_id, AZURE_MONITOR),
    ] {
        let token = token_for(port, to);
        assert_eq!(
            (&token.oid, token.aud.as_str()),
            (oid, audience),
            "{port} {to}"
        );
    }
    assert_eq!(answer(by_host, "x").status, 421);
    // One call for each token, and none was refused: 2 of the machine's, 5 of applications.
    let state = azure.state();
    let entra = &state.entra.token_endpoint;
    assert_eq!(
        (state.imds.calls, entra.accepted, slots(&proxy).len()),
        (2, 5, 7)
    );
    assert!(entra.refused.is_empty(), "{:?}", entra.refused);
    // Envoy, and a token-sidecar for each certificate.
    assert_eq!(
        e2e::children(proxy.process().id())
            .expect("a system with /proc")
            .len(),
        3
    );
    shows_no_secret(&proxy);
}

#[test]
fn two_targets_of_one_identity_and_audience_cost_one_token() {
    let azure = Azure::start(Options::default());
    let files = Files::new();
    let (target, [one, other]) = (target(&azure), [free_port(), free_port()]);
    let text = format!(
        "identities: [{{ name: machine, type: systemAssigned }}]
targets:
- {{ name: one, url: '{target}', audience: '{AZURE_MONITOR}', identity: machine }}
- {{ name: other, url: '{}', audience: '{AZURE_MONITOR}/.default', identity: machine }}
listeners: [{{ port: {one}, target: one }}, {{ port: {other}, target: other }}]
",
        target.replace("localhost", "127.0.0.1")
    );
    let proxy = files.proxy(&azure, &text, one).start();
    proxy.wait_until_ready();
    let tokens = [one, other].map(|port| token_for(port, "x"));
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!((azure.state().imds.calls, slots(&proxy).len()), (1, 1));
    for host in ["localhost", "127.0.0.1"] {
        let name = format!("{host}:{}", azure.addresses().target_tls.port());
        let labels = [("target", name.as_str()), ("outcome", "authorized")];
        // A worker's counts come with its next tick.
        eventually(Duration::from_secs(30), "one request is counted", || {
            let count = proxy
                .metrics()?
                .sum_with("entra_auth_requests_total", &labels);
            (count == Some(1.0))
                .then_some(())
                .ok_or(format!("{name}: {count:?}"))
        });
    }
}

#[test]
fn identities_of_different_clouds_live_side_by_side() {
    let of = |cloud, audience: &str, exchange: &str| {
        let mut application = Application::new("federated");
        application.roles = vec![(audience.to_owned(), METRICS_PUBLISHER.to_owned())];
        let azure = Azure::start(Options {
            cloud,
            applications: vec![application.clone()],
            target_audiences: vec![audience.to_owned()],
            ..Options::default()
        });
        let trust = FederatedCredential {
            issuer: azure.managed_identity_issuer().to_owned(),
            subject: Identity::system_assigned().object_id,
            audience: exchange.to_owned(),
        };
        azure.change_application(&application.client_id, |it| {
            it.federated_credentials = vec![trust];
        });
        (azure, application)
    };
    const GOVERNMENT: &str = "https://monitor.azure.us";
    let (public, one) = of(
        AzureCloud::Public,
        AZURE_MONITOR,
        "api://AzureADTokenExchange",
    );
    let (government, other) = of(
        AzureCloud::UsGovernment,
        GOVERNMENT,
        "api://AzureADTokenExchangeUSGov",
    );
    let identity = |name: &str, azure: &Azure, it: &Application| {
        format!(
            "{{ name: {name}, type: managedIdentityFederated, tenantId: {}, clientId: {}, \
             authority: '{}', imds: 'http://{}' }}",
            azure.state().tenant_id,
            it.client_id,
            entra(azure),
            azure.addresses().imds
        )
    };
    let [first, second] = [free_port(), free_port()];
    // The cloud of each is that of its target's audience.
    let text = format!(
        "identities: [{}, {}]
targets:
- {{ name: public, url: '{}', audience: '{AZURE_MONITOR}', identity: public }}
- {{ name: government, url: '{}', audience: '{GOVERNMENT}', identity: government }}
listeners: [{{ port: {first}, target: public }}, {{ port: {second}, target: government }}]
",
        identity("public", &public, &one),
        identity("government", &government, &other),
        target(&public),
        target(&government),
    );
    let files = Files::new();
    let authorities = format!("{}\n{}", public.ca_pem(), government.ca_pem());
    let proxy = files
        .proxy(&public, &text, first)
        .set("SSL_CERT_FILE", files.add("ca.pem", &authorities))
        .start();
    wait_for_all(&proxy);
    for (port, application, audience) in
        [(first, &one, AZURE_MONITOR), (second, &other, GOVERNMENT)]
    {
        let token = token_for(port, "x");
        assert_eq!(
            (&token.appid, token.aud.as_str()),
            (&application.client_id, audience)
        );
    }
    for azure in [&public, &government] {
        let state = azure.state();
        assert_eq!(
            (state.imds.calls, state.entra.token_endpoint.accepted),
            (1, 1)
        );
    }
}
