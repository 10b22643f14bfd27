//! Every secret that the stand-in was given, was sent or issued, for one question: does a text
//! hold any of them? The answer names them, and never shows them.
//!
//! Searched for are: the secret itself, its form-encoded and its JSON-escaped spelling, and of a
//! JWT two pieces that are enough to betray it: its claims, and the beginning of its signature.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::cloud::lock;

/// What is shorter is not remembered: it would be found in any text.
const SHORTEST: usize = 8;
/// How much of a signature tells tokens apart: 192 bits.
const SIGNATURE_PIECE: usize = 32;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// A client secret of an application, or one that was sent as such.
    ClientSecret,
    /// A client assertion that was sent.
    ClientAssertion,
    /// A token of a federated issuer.
    FederatedToken,
    /// An access token that was issued, or a bearer token that was sent to the target.
    AccessToken,
    /// The value of `IDENTITY_HEADER` of App Service, or one that was sent as such.
    IdentityHeader,
}

/// A secret that a text holds: what it is, not its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FoundSecret {
    /// What it is.
    pub kind: SecretKind,
    /// Which one, e.g. `generation 3`.
    pub which: String,
}

impl fmt::Display for FoundSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({})",
            crate::report::reason_text(self.kind),
            self.which
        )
    }
}

/// The secrets known so far. It has no `Debug`: it holds them.
#[derive(Default)]
pub(crate) struct Secrets {
    /// By a piece of text that betrays the secret. The first to be known by it keeps its name.
    known: BTreeMap<String, FoundSecret>,
}

impl Secrets {
    /// Remembers a secret that is one piece of text.
    pub(crate) fn add(&mut self, kind: SecretKind, secret: &str, which: &str) {
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let quoted = serde_json::Value::from(secret).to_string();
        self.remember(secret, kind, which);
        self.remember(&encoded, kind, which);
        self.remember(quoted.trim_matches('"'), kind, which);
    }

    /// Remembers a secret that should be a JWT.
    pub(crate) fn add_jwt(&mut self, kind: SecretKind, jwt: &str, which: &str) {
        let parts: Vec<_> = jwt.split('.').collect();
        let [_, claims, signature] = parts.as_slice() else {
            return self.add(kind, jwt, which);
        };
        self.remember(claims, kind, which);
        let end = signature
            .char_indices()
            .nth(SIGNATURE_PIECE)
            .map_or(signature.len(), |(index, _)| index);
        self.remember(&signature[..end], kind, which);
    }

    fn remember(&mut self, piece: &str, kind: SecretKind, which: &str) {
        if piece.len() >= SHORTEST && !self.known.contains_key(piece) {
            let found = FoundSecret {
                kind,
                which: which.to_owned(),
            };
            self.known.insert(piece.to_owned(), found);
        }
    }

    /// The secrets that a text holds, each once.
    pub(crate) fn found_in(&self, text: &str) -> Vec<FoundSecret> {
        let mut found: Vec<_> = self
            .known
            .iter()
            .filter(|(piece, _)| text.contains(piece.as_str()))
            .map(|(_, secret)| secret.clone())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// What one stand-in knows, for whoever searches texts for it. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct KnownSecrets(pub(crate) Arc<Mutex<Secrets>>);

impl KnownSecrets {
    /// The secrets that a text holds, each once.
    #[must_use]
    pub fn found_in(&self, text: &str) -> Vec<FoundSecret> {
        lock(&self.0).found_in(text)
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_as_it_is_and_as_a_form_or_json_spells_it() {
        let mut secrets = Secrets::default();
        secrets.add(SecretKind::ClientSecret, "a~b/c \"d\" e", "of the test");
        for text in [
            r#"x a~b/c "d" e y"#,
            "client_secret=a%7Eb%2Fc+%22d%22+e&x",
            r#"{"secret":"a~b/c \"d\" e"}"#,
        ] {
            let found = secrets.found_in(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].to_string(), "client_secret (of the test)");
        }
        assert_eq!(secrets.found_in("a~b/c d e"), []);
    }

    #[test]
    fn a_jwt_is_found_by_its_claims_or_the_beginning_of_its_signature() {
        let mut secrets = Secrets::default();
        let signature = "s".repeat(40);
        let jwt = format!("eyJhbGciOiJSUzI1NiJ9.eyJjbGFpbXMiOjF9.{signature}");
        secrets.add_jwt(SecretKind::AccessToken, &jwt, "generation 1");
        assert_eq!(secrets.found_in(&jwt).len(), 1);
        assert_eq!(
            secrets.found_in(&format!("..{}..", &signature[..32])).len(),
            1
        );
        assert_eq!(secrets.found_in("eyJjbGFpbXMiOjF9").len(), 1);
        // The header is the same in every token.
        assert_eq!(secrets.found_in("eyJhbGciOiJSUzI1NiJ9"), []);
        assert_eq!(secrets.found_in(&signature[..31]), []);
    }

    #[test]
    fn what_any_text_could_hold_is_no_secret() {
        let mut secrets = Secrets::default();
        secrets.add(SecretKind::ClientSecret, "wrong", "sent");
        secrets.add_jwt(SecretKind::AccessToken, "a.b.c", "sent");
        assert_eq!(secrets.found_in("this is wrong: a.b.c"), []);
    }
}
