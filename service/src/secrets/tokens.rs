//! Access tokens: signed statements of who somebody is, for `auth.token_lifetime`.
//!
//! A token is a JWT (RFC 7519), so checking one needs no database: any replica
//! that has the key can. The price is that it can't be taken back, so it is
//! short. What a checker must insist on (RFC 8725) is all here: the one algorithm
//! it was made with (EdDSA, RFC 8037), never the one the token names; issuer,
//! audience and expiry; and the id of the key (`kid`), which is the key's
//! thumbprint (RFC 7638), so that a second key can be told apart from the first.
//!
//! Checking a signature was about a tenth of the CPU that an order took, and a client
//! sends the same token with each of its requests.
//! So who a token speaks for is remembered, by the token's hash: a token that differs in one
//! bit is another one. Whether it is over is asked each time.
//!
//! See it break: `rejects_forged_tokens` in `tests/api/users/sessions.rs`.

use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::AuthConfig;
use crate::domain::ids::UserId;
use crate::domain::user::Role;

/// Who a valid token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: UserId,
    /// Their role when the token was made.
    pub role: Role,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: UserId,
    role: Role,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
}

/// A signed token and how long it is good for.
pub struct IssuedToken {
    /// The JWT.
    pub token: String,
    /// From now.
    pub(crate) lifetime: Duration,
}

/// How many tokens are remembered: some hundred bytes each.
const TOKEN_CACHE_CAPACITY: u64 = 10_000;

/// How far the clocks of two replicas may be apart: by a little, not by a minute.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);

/// Makes and checks access tokens.
pub struct TokenService {
    /// Of good tokens, by their SHA-256: who they speak for, and until when.
    verified: Cache<[u8; 32], (Identity, DateTime<Utc>)>,
    signing_key: EncodingKey,
    verifying_key: DecodingKey,
    header: Header,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: Duration,
}

impl TokenService {
    /// Uses the key of `config`, or one made for this process only.
    ///
    /// # Errors
    /// Returns an error if the key is not an Ed25519 key in PKCS#8 PEM; the message does not
    /// repeat it.
    pub(crate) fn new(config: &AuthConfig) -> anyhow::Result<Self> {
        let pkcs8 = match &config.signing_key {
            Some(pem) => PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
                .context("ORDERLY__AUTH__SIGNING_KEY is not PKCS#8 PEM")?
                .secret_pkcs8_der()
                .to_vec(),
            None => {
                tracing::warn!(
                    "no ORDERLY__AUTH__SIGNING_KEY: tokens are signed with a key made for this \
                     process and end with it"
                );
                let generated =
                    Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
                        .context("making a signing key")?;
                generated.as_ref().to_vec()
            }
        };
        let key_pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
            .context("ORDERLY__AUTH__SIGNING_KEY is not an Ed25519 key")?;
        let public_key = key_pair.public_key().as_ref();

        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(thumbprint(public_key));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Asked on each use, here, and not once when the signature is checked.
        validation.validate_exp = false;
        Ok(Self {
            verified: Cache::new(TOKEN_CACHE_CAPACITY),
            signing_key: EncodingKey::from_ed_der(&pkcs8),
            verifying_key: DecodingKey::from_ed_der(public_key),
            header,
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime: config.token_lifetime,
        })
    }

    /// Signs a token for `identity`.
    ///
    /// # Errors
    /// Returns an error if signing fails, which would be a bug.
    pub fn issue(&self, identity: Identity, now: DateTime<Utc>) -> anyhow::Result<IssuedToken> {
        let lifetime = i64::try_from(self.lifetime.as_secs())?;
        let claims = Claims {
            sub: identity.user_id,
            role: identity.role,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat: now.timestamp(),
            exp: now.timestamp() + lifetime,
        };
        Ok(IssuedToken {
            token: jsonwebtoken::encode(&self.header, &claims, &self.signing_key)?,
            lifetime: self.lifetime,
        })
    }

    /// Who the token speaks for; `None` if it is not ours, not for us, changed,
    /// or over.
    pub(crate) fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Identity> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let (identity, expires_at) = match self.verified.get(&hash) {
            Some(cached) => cached,
            None => {
                let verified_token = self.verify_signature(token)?;
                self.verified.insert(hash, verified_token);
                verified_token
            }
        };
        (now <= expires_at + LEEWAY).then_some(identity)
    }

    fn verify_signature(&self, token: &str) -> Option<(Identity, DateTime<Utc>)> {
        let token_data =
            jsonwebtoken::decode::<Claims>(token, &self.verifying_key, &self.validation).ok()?;
        let identity = Identity {
            user_id: token_data.claims.sub,
            role: token_data.claims.role,
        };
        let expires_at = DateTime::from_timestamp(token_data.claims.exp, 0)?;
        (token_data.header.kid == self.header.kid).then_some((identity, expires_at))
    }
}

/// The JWK thumbprint of an Ed25519 public key (RFC 7638, RFC 8037 appendix A.3).
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn cached_token_expires() {
        let tokens = TokenService::new(&AuthConfig::default()).unwrap();
        let identity = Identity {
            user_id: UserId(uuid::Uuid::nil()),
            role: Role::Admin,
        };
        let now = Utc::now();
        let issued = tokens.issue(identity, now).unwrap();
        let after_expiry = now + issued.lifetime + LEEWAY + TimeDelta::seconds(1);
        for _ in 0..2 {
            assert_eq!(tokens.verify(&issued.token, now), Some(identity));
            assert_eq!(tokens.verify(&issued.token, after_expiry), None);
        }
        let changed = format!("{}A", issued.token);
        assert_eq!(tokens.verify(&changed, now), None);
    }

    #[test]
    fn thumbprint_matches_rfc_8037_example() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let public_key = URL_SAFE_NO_PAD.decode(x).unwrap();
        assert_eq!(
            thumbprint(&public_key),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
