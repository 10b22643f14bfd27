//! Tokens of other issuers than Entra that the target was told to accept: those of tsiam, which a
//! service inside a Tailscale network may trust without Entra.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::cloud::Cloud;
use crate::entra::is_signed;
use crate::refusals::TokenRefusal;
use crate::report::TokenSummary;
use crate::tokens::read_header;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    exp: i64,
    nbf: i64,
}

/// Judges a token whose issuer the target trusts; `None` for every other.
pub(crate) fn check(cloud: &Cloud, jwt: &str) -> Option<Result<TokenSummary, TokenRefusal>> {
    // What is believed of them is checked below, against a key of the issuer.
    let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(jwt).ok()?;
    let mut trusted = cloud.target_trusts.iter();
    trusted
        .any(|trust| trust.issuer == claims.iss)
        .then(|| judge(cloud, jwt, claims))
}

fn judge(cloud: &Cloud, jwt: &str, claims: Claims) -> Result<TokenSummary, TokenRefusal> {
    let header = read_header(jwt).ok_or(TokenRefusal::Malformed)?;
    if header.alg != "RS256" {
        return Err(TokenRefusal::BadAlgorithm);
    }
    let keys = cloud.issuers().jwks(&claims.iss);
    let key = keys
        .and_then(|keys| DecodingKey::from_jwk(keys.find(&header.kid)?).ok())
        .ok_or(TokenRefusal::UnknownKey)?;
    if !is_signed(jwt, &key, Algorithm::RS256) {
        return Err(TokenRefusal::BadSignature);
    }
    let now = cloud.now();
    if claims.exp <= now {
        return Err(TokenRefusal::Expired);
    }
    if claims.nbf > now {
        return Err(TokenRefusal::NotYetValid);
    }
    let of_issuer = || {
        let trusts = cloud.target_trusts.iter();
        trusts.filter(|trust| trust.issuer == claims.iss)
    };
    let Some(audience) = claims
        .aud
        .iter()
        .find(|audience| of_issuer().any(|trust| trust.audience == **audience))
    else {
        return Err(TokenRefusal::WrongAudience);
    };
    if !of_issuer().any(|trust| trust.subject == claims.sub && trust.audience == *audience) {
        return Err(TokenRefusal::MissingRole);
    }
    Ok(TokenSummary {
        aud: audience.clone(),
        iss: claims.iss,
        oid: claims.sub.clone(),
        appid: claims.sub,
        exp: claims.exp,
        generation: None,
    })
}
