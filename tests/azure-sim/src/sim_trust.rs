//! The handle's part about trust: applications, federated issuers, what proves a workload.

use std::error::Error;

use crate::applications::Application;
use crate::cloud::lock;
use crate::issuers::FederatedClaims;
use crate::sim::AzureSim;

impl AzureSim {
    /// Registers an application, in the place of the one with the same client id, and gives it
    /// its roles.
    pub fn register_application(&self, application: Application) {
        self.cloud.register_application(application);
    }

    /// Changes a registered application; false when there is none of this client id.
    pub fn change_application(
        &self,
        client_id: &str,
        change: impl FnOnce(&mut Application),
    ) -> bool {
        let found = lock(&self.cloud.entra.applications)
            .find(client_id)
            .cloned();
        let Some(mut application) = found else {
            return false;
        };
        change(&mut application);
        self.cloud.register_application(application);
        true
    }

    /// Removes an application; false when there was none of this client id.
    pub fn remove_application(&self, client_id: &str) -> bool {
        lock(&self.cloud.entra.applications).remove(client_id)
    }

    /// Makes Entra reach an issuer of federated tokens; nothing changes if it does already.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn add_issuer(&self, url: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.cloud.issuers().add(url)
    }

    /// Makes an issuer sign with a new key, and publish the old one too or not.
    ///
    /// # Errors
    /// When there is no such issuer, or no key can be made.
    pub fn rotate_issuer_key(
        &self,
        url: &str,
        keep_old: bool,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.cloud.issuers().rotate(url, keep_old)
    }

    /// Makes Entra no longer reach an issuer; false when it did not before.
    pub fn remove_issuer(&self, url: &str) -> bool {
        self.cloud.issuers().remove(url)
    }

    /// A token of a federated issuer, by Azure's clock.
    ///
    /// # Errors
    /// When there is no such issuer, or signing fails.
    pub fn federated_token(
        &self,
        claims: &FederatedClaims,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        self.cloud.federated_token(claims, self.cloud.now())
    }

    /// The issuer of the tokens that managed identities get for `api://AzureADTokenExchange`:
    /// what a federated credential for one names. Its subject is the identity's object id.
    #[must_use]
    pub fn managed_identity_issuer(&self) -> &str {
        self.cloud.tenant.issuer_v2()
    }

    /// The value of `IDENTITY_HEADER` that App Service gives to the app.
    #[must_use]
    pub fn identity_header(&self) -> &str {
        &self.cloud.identity_header
    }
}
