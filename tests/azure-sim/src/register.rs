//! The register of issued access tokens: which one a managed identity gets again, which are
//! revoked, and how often each was used.

use std::collections::HashMap;

use crate::Service;
use crate::directory::{Identity, without_slash};
use crate::report::TokenReport;
use crate::settings::Settings;
use crate::tokens::{Holder, SignedToken, Tenant};

/// A token as a source hands it out. It has no `Debug`: it holds the token.
#[derive(Clone)]
pub(crate) struct HandedOut {
    pub(crate) jwt: String,
    pub(crate) not_before: i64,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) generation: u64,
}

#[derive(Default)]
pub(crate) struct Register {
    issued: Vec<TokenReport>,
    generation_by_uti: HashMap<String, u64>,
    /// By source, object id and resource.
    cached: HashMap<(Service, String, String), HandedOut>,
}

impl Register {
    /// The token that a source gives for a managed identity and a resource at a moment, and
    /// whether it is a new one.
    pub(crate) fn for_identity(
        &mut self,
        tenant: &Tenant,
        source: Service,
        identity: &Identity,
        resource: &str,
        now: i64,
        settings: &Settings,
    ) -> jsonwebtoken::errors::Result<(HandedOut, bool)> {
        let slot = (
            source,
            identity.object_id.clone(),
            without_slash(resource).to_owned(),
        );
        let cached = self.cached.get(&slot).filter(|token| {
            let lifetime = token.expires_at.saturating_sub(token.issued_at);
            let remaining = token.expires_at.saturating_sub(now);
            settings.cache && remaining > settings.cache_until_remaining(lifetime).max(0)
        });
        let (token, is_new) = match cached {
            Some(token) => (token.clone(), false),
            None => {
                let lifetime = settings.token_lifetime_seconds;
                let version = settings.access_token_version;
                let holder = Holder::identity(identity);
                let signed = tenant.issue(&holder, resource, now, lifetime, version)?;
                (self.enter(source, &holder, resource, now, signed), true)
            }
        };
        if let Some(entry) = self.entry(token.generation) {
            entry.handed_out += 1;
        }
        self.cached.insert(slot, token.clone());
        Ok((token, is_new))
    }

    /// A new token for an application: Entra issues one at each request.
    pub(crate) fn for_application(
        &mut self,
        tenant: &Tenant,
        holder: &Holder,
        resource: &str,
        now: i64,
        settings: &Settings,
    ) -> jsonwebtoken::errors::Result<HandedOut> {
        let lifetime = settings.entra_token_lifetime_seconds;
        let version = settings.access_token_version;
        let signed = tenant.issue(holder, resource, now, lifetime, version)?;
        let token = self.enter(Service::Entra, holder, resource, now, signed);
        if let Some(entry) = self.entry(token.generation) {
            entry.handed_out += 1;
        }
        Ok(token)
    }

    fn enter(
        &mut self,
        source: Service,
        holder: &Holder,
        resource: &str,
        now: i64,
        signed: SignedToken,
    ) -> HandedOut {
        let generation = self.issued.len() as u64 + 1;
        self.generation_by_uti.insert(signed.uti, generation);
        self.issued.push(TokenReport {
            generation,
            source,
            object_id: holder.object_id.clone(),
            resource: resource.to_owned(),
            issued_at: now,
            expires_at: signed.expires_at,
            revoked: false,
            handed_out: 0,
            authorized: 0,
            refused: 0,
        });
        HandedOut {
            jwt: signed.jwt,
            not_before: signed.not_before,
            issued_at: now,
            expires_at: signed.expires_at,
            generation,
        }
    }

    /// The register's entry of a token, by the token's own name.
    pub(crate) fn by_uti(&mut self, uti: &str) -> Option<&mut TokenReport> {
        let generation = *self.generation_by_uti.get(uti)?;
        self.entry(generation)
    }

    /// Generations count from 1.
    fn entry(&mut self, generation: u64) -> Option<&mut TokenReport> {
        let index = usize::try_from(generation).ok()?.checked_sub(1)?;
        self.issued.get_mut(index)
    }

    /// Revokes every token issued so far; returns how many were not revoked before.
    pub(crate) fn revoke_all(&mut self) -> u64 {
        let mut revoked = 0;
        for entry in self.issued.iter_mut().filter(|entry| !entry.revoked) {
            entry.revoked = true;
            revoked += 1;
        }
        revoked
    }

    /// Makes every source issue a new token at the next request.
    pub(crate) fn forget_cached(&mut self) {
        self.cached.clear();
    }

    pub(crate) fn report(&self) -> Vec<TokenReport> {
        self.issued.clone()
    }
}
