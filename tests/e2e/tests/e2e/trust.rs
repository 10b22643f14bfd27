//! Whom the other side trusts without having been told of the key: certificates by subject name and
//! issuer, and the tokens of tsiam at a target that asks no Entra.

use std::time::Duration;

use azure_sim::{
    Application, EntraRefusal, FederatedCredential, Options, TSIAM_ISSUER, TSIAM_NODE,
    TokenRefusal, TrustedSubject,
};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::{Authority, replace};
use e2e::{ProxyBuilder, eventually, http};

use crate::identities::{shows_no_secret, token};

const SUBJECT: &str = "proxy.example";
const SOON: Duration = Duration::from_secs(60);

/// An Azure with an application that trusts certificates of this authority for the subject.
fn trusting(authority: &Authority) -> (Azure, Application) {
    let application = Application::new("renewed").with_trusted_subject(TrustedSubject {
        subject: format!("CN={SUBJECT}"),
        authority: authority.registered(),
    });
    let azure = Azure::knowing(&application);
    (azure, application)
}

/// The proxy gets no token, because the certificate is not the application's.
fn is_refused(azure: &Azure, settings: ProxyBuilder) {
    let proxy = settings.start();
    eventually(SOON, "/ready tells the reason", || {
        let text = proxy.ready()?.text();
        if text.contains("AADSTS700027") {
            Ok(())
        } else {
            Err(text)
        }
    });
    let endpoint = azure.state().entra.token_endpoint;
    let refusals: Vec<_> = endpoint.refused.keys().copied().collect();
    assert_eq!(refusals, [EntraRefusal::CertificateNotRegistered]);
    assert_eq!(endpoint.tokens_issued, 0);
}

#[test]
fn a_certificate_renewed_under_its_subject_goes_on_without_a_word_to_entra() {
    let authority = Authority::new("Contoso issuing CA");
    let (azure, application) = trusting(&authority);
    azure.change_settings(|settings| settings.entra_token_lifetime_seconds = 10);
    let folder = tempfile::tempdir().expect("a folder");
    let pem = folder.path().join("certificate.pem");
    replace(&pem, authority.certificate(SUBJECT));
    let proxy = azure
        .proxy_as("aadApplication", &application)
        .set("AAD_CLIENT_CERTIFICATE_PATH", &pem)
        .start();
    proxy.wait_until_ready();
    assert_eq!(token(&proxy).appid, application.client_id);

    replace(&pem, authority.certificate(SUBJECT));
    eventually(SOON, "a second certificate has signed", || {
        let forms = azure.requests(azure_sim::Service::Entra, 20);
        let shown = forms.iter().flat_map(|request| &request.form);
        let mut signers: Vec<&str> = shown
            .filter(|(name, _)| name == "client_assertion")
            .map(|(_, value)| value.as_str())
            .collect();
        signers.sort_unstable();
        signers.dedup();
        if signers.len() == 2 {
            Ok(())
        } else {
            Err(signers.join(" "))
        }
    });
    assert_eq!(token(&proxy).appid, application.client_id);
    let refused = azure.state().entra.token_endpoint.refused;
    assert!(refused.is_empty(), "{refused:?}");
    shows_no_secret(&proxy);
}

#[test]
fn without_its_chain_or_with_another_chain_or_subject_a_certificate_is_refused() {
    let authority = Authority::new("Contoso issuing CA");
    // Of the same name, but not the same key.
    let other = Authority::new("Contoso issuing CA");
    for (certificate, send_chain) in [
        (authority.certificate(SUBJECT), "off"),
        (other.certificate(SUBJECT), "on"),
        (authority.certificate("other.example"), "on"),
    ] {
        let (azure, application) = trusting(&authority);
        let folder = tempfile::tempdir().expect("a folder");
        let pem = folder.path().join("certificate.pem");
        replace(&pem, &certificate);
        let settings = azure
            .proxy_as("aadApplication", &application)
            .set("AAD_CLIENT_CERTIFICATE_SEND_CHAIN", send_chain)
            .set("AAD_CLIENT_CERTIFICATE_PATH", &pem);
        is_refused(&azure, settings);
    }
}

const AUDIENCE: &str = "https://metrics.tailnet.example";

/// An Azure whose tsiam gives tokens for a target that trusts it in this way, and a proxy to it.
fn tsiam(trusts: Vec<FederatedCredential>) -> (Azure, ProxyBuilder) {
    let azure = Azure::start(Options {
        tsiam_audiences: vec![AUDIENCE.to_owned()],
        target_trusts: trusts,
        ..Options::default()
    });
    let endpoint = format!("https://localhost:{}", azure.addresses().tsiam_tls.port());
    let settings = azure
        .proxy()
        .set("IDENTITY_TYPE", "tsiam")
        .set("AUDIENCE", AUDIENCE)
        .set("TSIAM_ENDPOINT", endpoint);
    (azure, settings)
}

#[test]
fn the_token_of_tsiam_goes_to_a_target_that_trusts_its_issuer() {
    let (azure, settings) = tsiam(vec![FederatedCredential {
        issuer: TSIAM_ISSUER.to_owned(),
        subject: TSIAM_NODE.to_owned(),
        audience: AUDIENCE.to_owned(),
    }]);
    let proxy = settings.start();
    proxy.wait_until_ready();
    let token = token(&proxy);
    assert_eq!(
        (token.iss.as_str(), token.oid.as_str(), token.aud.as_str()),
        (TSIAM_ISSUER, TSIAM_NODE, AUDIENCE)
    );
    let state = azure.state();
    assert_eq!((state.tsiam.calls, state.tsiam.accepted), (1, 1));
    assert_eq!(state.entra.token_endpoint.calls + state.imds.calls, 0);
    shows_no_secret(&proxy);
}

#[test]
fn a_target_takes_the_token_of_tsiam_only_where_it_was_told_to() {
    let trust = |subject: &str, audience: &str| FederatedCredential {
        issuer: TSIAM_ISSUER.to_owned(),
        subject: subject.to_owned(),
        audience: audience.to_owned(),
    };
    for (trusts, status, reason) in [
        (vec![], 401, TokenRefusal::UnknownKey),
        (
            vec![trust(TSIAM_NODE, "x")],
            401,
            TokenRefusal::WrongAudience,
        ),
        (vec![trust("x", AUDIENCE)], 403, TokenRefusal::MissingRole),
    ] {
        let (azure, settings) = tsiam(trusts);
        let proxy = settings.start();
        proxy.wait_until_ready();
        let answer = http::get(&proxy.url(ECHO)).expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
        let refused = azure.state().target.refused;
        assert!(refused.keys().eq([&reason]), "{refused:?}");
    }
}
