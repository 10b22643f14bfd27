//! The stand-in knows every secret that it was given, was sent or issued, finds it in a text,
//! and shows none.

use azure_sim::{
    Application, AzureSim, FederatedClaims, FederatedCredential, FoundSecret, Options, SecretKind,
    Service, StateReport,
};
use hyper::Method;
use serde_json::json;

use crate::admin::admin;
use crate::client::{ask_target, call, get, token, without_body};
use crate::entra_client::{SECRET, Signer, ask, ask_by_assertion, claims, encoded, v2};

const CLUSTER: &str = "https://oidc.cluster.example";
const WRONG: &str = "not-the-secret-of-the-app";

/// Everything that was given, sent or issued, with what it is to be found as.
async fn used(sim: &AzureSim, app: &Application) -> Vec<(String, SecretKind)> {
    let id = &app.client_id;
    let access = |body: serde_json::Value| body["access_token"].as_str().unwrap().to_owned();
    let signer = Signer::usual();
    let assertion = signer.jwt(&signer.header(), &claims(sim, id));
    sim.add_issuer(CLUSTER).unwrap();
    let federated = FederatedClaims::kubernetes(CLUSTER, "a", "b");
    let federated = sim.federated_token(&federated).unwrap();
    let foreign = Signer::other().jwt(&json!({ "alg": "RS256" }), &json!({ "sub": "x" }));
    let by_secret = access(ask(sim, id, SECRET).await.json());
    ask(sim, id, WRONG).await;
    let by_assertion = access(ask_by_assertion(sim, id, &assertion).await.json());
    let by_federation = access(ask_by_assertion(sim, id, &federated).await.json());
    ask_target(sim, "/echo", &foreign).await;
    let imds = token(sim).await;

    let tsiam = get("/token?resource=api://AzureADTokenExchange").method(Method::POST);
    let request = without_body(tsiam.header("x-tsiam", "1"));
    let tsiam = access(
        call(sim.addresses().tsiam_plain, request)
            .await
            .unwrap()
            .json(),
    );
    let app_service = get("/msi/token?api-version=2019-08-01&resource=https://vault.azure.net");
    let request = without_body(app_service.header("x-identity-header", sim.identity_header()));
    let app_service = access(
        call(sim.addresses().app_service, request)
            .await
            .unwrap()
            .json(),
    );
    vec![
        (SECRET.to_owned(), SecretKind::ClientSecret),
        (WRONG.to_owned(), SecretKind::ClientSecret),
        (assertion, SecretKind::ClientAssertion),
        (federated, SecretKind::FederatedToken),
        (tsiam, SecretKind::FederatedToken),
        (by_secret, SecretKind::AccessToken),
        (by_assertion, SecretKind::AccessToken),
        (by_federation, SecretKind::AccessToken),
        (imds, SecretKind::AccessToken),
        (app_service, SecretKind::AccessToken),
        (foreign, SecretKind::AccessToken),
        (sim.identity_header().to_owned(), SecretKind::IdentityHeader),
    ]
}

async fn started() -> (AzureSim, Application) {
    let app = Application::new("app")
        .with_secret(SECRET)
        .with_certificate(Signer::usual().certificate())
        .with_federated_credential(FederatedCredential {
            issuer: CLUSTER.to_owned(),
            subject: "system:serviceaccount:a:b".to_owned(),
            audience: "api://AzureADTokenExchange".to_owned(),
        });
    let options = Options {
        applications: vec![app.clone()],
        ..Options::default()
    };
    (AzureSim::start(options).await.unwrap(), app)
}

#[tokio::test]
async fn each_secret_is_found_in_a_text_for_what_it_is() {
    let (sim, app) = started().await;
    let used = used(&sim, &app).await;
    for (secret, kind) in &used {
        let kinds = |text: &str| -> Vec<_> {
            sim.secrets_in(text)
                .into_iter()
                .map(|found| found.kind)
                .collect()
        };
        assert_eq!(
            kinds(&format!("before {secret} after")),
            [*kind],
            "{kind:?}"
        );
        assert_eq!(kinds(&encoded(&[("x", secret)])), [*kind], "{kind:?}");
    }
    let all: String = used
        .iter()
        .map(|(secret, _)| format!("{secret}\n"))
        .collect();
    let found = sim.secrets_in(&all);
    assert_eq!(found.len(), used.len(), "{found:?}");
    assert!(sim.secrets_in("nothing of the kind").is_empty());
    // No token of anybody's: where it is forwarded, a log that has it betrays nothing.
    ask_target(&sim, "/echo", "the-clients-own-text").await;
    assert!(sim.secrets_in("the-clients-own-text").is_empty());
    let shown = format!("{found:?}");
    assert!(sim.secrets_in(&shown).is_empty(), "{shown}");
    assert!(shown.contains("of https://oidc.cluster.example for system:serviceaccount:a:b"));
    assert_eq!(
        sim.secrets_in(SECRET)[0].to_string(),
        "client_secret (of app)"
    );
}

#[tokio::test]
async fn nothing_that_the_stand_in_shows_holds_a_secret() {
    let (sim, app) = started().await;
    let used = used(&sim, &app).await;
    // A client that puts its secret where it does not belong.
    let misplaced = format!("{}?client_secret={SECRET}", v2(&sim));
    let form = [("clientSecret", SECRET), ("password", SECRET)];
    crate::entra_client::send(&sim, &misplaced, &form).await;

    let elsewhere = format!("/elsewhere?client_secret={SECRET}");
    let request = without_body(get(&elsewhere));
    call(sim.addresses().entra_plain, request).await.unwrap();

    let mut shown = vec![
        serde_json::to_string(&sim.state()).unwrap(),
        format!("{sim:?} {:?} {app:?}", sim.state()),
        String::from_utf8_lossy(&admin(&sim, Method::GET, "/state", json!(null)).await.body)
            .into_owned(),
    ];
    for service in [
        Service::Imds,
        Service::AppService,
        Service::Tsiam,
        Service::Entra,
        Service::Target,
    ] {
        let records = sim.requests(service, 100);
        assert!(!records.is_empty(), "{service:?}");
        shown.push(serde_json::to_string(&records).unwrap());
    }
    for text in &shown {
        assert_eq!(sim.secrets_in(text), [], "{text}");
        // Not by the stand-in's own search either.
        for (secret, kind) in &used {
            assert!(
                !text.contains(secret.rsplit('.').next().unwrap()),
                "{kind:?}"
            );
        }
    }
    let log = sim.requests(Service::Entra, 100);
    let shown_as: Vec<_> = log
        .iter()
        .flat_map(|record| &record.form)
        .filter(|(name, _)| name.starts_with("client_secret"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(
        shown_as,
        ["<verified: client secret>", "<refused: wrong_secret>"]
    );
    let last = &log[log.len() - 2];
    assert!(last.target.ends_with("/token?<not shown>"));
    assert_eq!(last.form[0].1, "<not shown>");
}

#[tokio::test]
async fn the_admin_service_registers_applications_and_searches_for_secrets() {
    let sim = crate::client::started().await;
    let signer = Signer::usual();
    let app = Application::new("by http")
        .with_secret(SECRET)
        .with_certificate(signer.certificate());
    let body = serde_json::to_value(&app).unwrap();
    assert_eq!(body["certificates"], json!([signer.x5c()]));
    admin(&sim, Method::POST, "/applications", body).await;
    assert_eq!(ask(&sim, &app.client_id, SECRET).await.status.as_u16(), 200);
    let assertion = signer.jwt(&signer.header(), &claims(&sim, &app.client_id));
    let reply = ask_by_assertion(&sim, &app.client_id, &assertion).await;
    assert_eq!(reply.status.as_u16(), 200);

    let state = admin(&sim, Method::GET, "/state", json!(null)).await;
    let state: StateReport = serde_json::from_slice(&state.body).unwrap();
    assert_eq!(state.applications[0].name, "by http");
    assert_eq!(state.applications[0].certificates, [signer.sha256()]);
    assert_eq!(state.applications[0].secrets_expire_at, [None]);

    let text = json!({ "log": format!("a {SECRET} b") });
    let reply = admin(&sim, Method::POST, "/secrets/search", text).await;
    let found: Vec<FoundSecret> = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, SecretKind::ClientSecret);

    let issuer = json!({ "issuer": CLUSTER });
    admin(&sim, Method::POST, "/issuers", issuer.clone()).await;
    let keys = format!("/issuers/jwks.json?issuer={CLUSTER}");
    let first = admin(&sim, Method::GET, &keys, json!(null)).await.json();
    let kept = json!({ "issuer": CLUSTER, "keep_old": true });
    admin(&sim, Method::POST, "/issuers/rotate", kept).await;
    let both = admin(&sim, Method::GET, &keys, json!(null)).await.json();
    assert_eq!(both["keys"][0], first["keys"][0]);
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    admin(&sim, Method::DELETE, "/issuers", issuer).await;
    let gone = admin(&sim, Method::GET, &keys, json!(null)).await;
    assert_eq!(gone.status.as_u16(), 404);

    let one = format!("/applications/{}", app.client_id);
    for status in [200, 404] {
        let reply = admin(&sim, Method::DELETE, &one, json!(null)).await;
        assert_eq!(reply.status.as_u16(), status);
    }
    assert_eq!(ask(&sim, &app.client_id, SECRET).await.status.as_u16(), 400);
    let wrong = json!({ "client_id": "x", "certificates": ["AAAA"] });
    let reply = admin(&sim, Method::POST, "/applications", wrong).await;
    assert_eq!(reply.status.as_u16(), 400);
}
