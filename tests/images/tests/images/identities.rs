//! An application that proves who it is with a certificate, from a container to the target.

use std::fs;
use std::path::PathBuf;

use azure_sim::{Application, EchoReport};
use e2e::azure::{Azure, ECHO};
use e2e::credentials::certificate;
use e2e::http;
use images_tests::running::Settings;
use images_tests::{HOST, Running, Volume, azure, proxy, sidecar};
use tempfile::TempDir;

/// An application, the Azure that knows it, and a file with what it proves itself with.
struct Setup {
    application: Application,
    azure: Azure,
    certificate: PathBuf,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let (pem, registered) = certificate("proxy.example");
        let application = Application::new("certificate").with_certificate(registered);
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, pem).expect("a file");
        Self {
            azure: azure(vec![application.clone()]),
            application,
            certificate,
            _folder: folder,
        }
    }

    fn with_application(&self, settings: Settings) -> Settings {
        let entra = self.azure.addresses().entra_tls.port();
        settings
            .set("AAD_CLIENT_ID", &self.application.client_id)
            .set("AAD_TENANT_ID", self.azure.state().tenant_id)
            .set("AZURE_AUTHORITY_HOST", format!("https://{HOST}:{entra}"))
    }

    fn with_certificate(&self, settings: Settings) -> Settings {
        settings
            .mount(&self.certificate, "/var/run/secrets/certificate.pem")
            .set(
                "AAD_CLIENT_CERTIFICATE_PATH",
                "/var/run/secrets/certificate.pem",
            )
    }

    #[track_caller]
    fn gets_its_token(&self, proxy: &Running) {
        proxy.wait_until_ready();
        let answer = http::get(&proxy.proxy_url(ECHO)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = answer.json::<EchoReport>().expect("an echo").token;
        assert_eq!(token.appid, self.application.client_id);
        let state = self.azure.state();
        assert!(
            state.entra.token_endpoint.refused.is_empty(),
            "{:?}",
            state.entra
        );
        assert_eq!(state.imds.calls, 0);
    }
}

#[test]
fn a_certificate_in_the_sidecars_container_alone_gives_the_proxy_a_token() {
    let setup = Setup::new();
    let volume = Volume::new("entra-auth-shared");
    let signer = setup.with_certificate(setup.with_application(sidecar()));
    let signer = signer.socket_folder(&volume).start();
    let proxy = setup
        .with_application(proxy(&setup.azure))
        .socket_folder(&volume)
        .set("IDENTITY_TYPE", "aadApplication")
        .set("TOKEN_SIDECAR_SOCKET", "/run/entra-auth/token-sidecar.sock")
        .start();
    setup.gets_its_token(&proxy);
    assert_eq!(signer.inspect("{{.HostConfig.NetworkMode}}"), "none");
}

#[test]
fn a_certificate_in_the_proxys_container_is_signed_with_by_the_sidecar_in_its_image() {
    let setup = Setup::new();
    let settings = setup.with_certificate(setup.with_application(proxy(&setup.azure)));
    let proxy = settings.set("IDENTITY_TYPE", "aadApplication").start();
    setup.gets_its_token(&proxy);
    let processes = proxy.processes();
    let signs = processes.iter().any(|it| it.name == "token-sidecar");
    assert!(signs, "{processes:?}");
}
