//! Somebody who makes tokens: all the ways to get one wrong, or to cheat.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Has an Ed25519 key.
pub struct TokenForger {
    pkcs8: Vec<u8>,
    key: Ed25519KeyPair,
}

impl TokenForger {
    pub fn new() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            pkcs8: document.as_ref().to_vec(),
            key: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(),
        }
    }

    /// The key as a service is given it.
    pub fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8)
    }

    /// A token signed with the key.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Tokens of which none may be taken, for a service that has the key.
    pub fn invalid_tokens(
        &self,
        genuine: &str,
        header: &Value,
        claims: &Value,
    ) -> Vec<(String, String)> {
        let mut forgeries = self.algorithm_confusion_tokens(header, claims);
        let mut add = |what: &str, token: String| forgeries.push((what.to_owned(), token));
        add("another key", Self::new().sign(header, claims));

        for (field, value) in [
            ("kid", json!("another")),
            ("kid", json!(null)),
            ("alg", json!("ES256")),
            ("alg", json!("none")),
        ] {
            let header = with(header, field, value);
            add(&format!("header {header}"), self.sign(&header, claims));
        }
        let past = claims["iat"].as_i64().unwrap() - 60;
        for (field, value) in [
            ("exp", json!(past)),
            ("exp", json!(null)),
            ("exp", json!("tomorrow")),
            ("iss", json!("another")),
            ("iss", json!(null)),
            ("aud", json!("another")),
            ("aud", json!(["another"])),
            ("aud", json!(null)),
            ("sub", json!(null)),
            ("sub", json!("admin")),
            ("role", json!("owner")),
            ("role", json!(null)),
        ] {
            let claims = with(claims, field, value);
            add(&format!("claims {claims}"), self.sign(header, &claims));
        }

        let parts: Vec<&str> = genuine.split('.').collect();
        let [head, body, signature] = parts[..] else {
            panic!("no JWT: {genuine}");
        };
        let promoted = encode(&with(claims, "role", json!("admin")));
        add("promoted", format!("{head}.{promoted}.{signature}"));
        add("without signature", format!("{head}.{body}."));
        add("two parts", format!("{head}.{body}"));
        add("four parts", format!("{genuine}.{signature}"));
        add("cut", genuine[..genuine.len() - 4].to_owned());
        add("garbage", "garbage".to_owned());
        add("dots", "..".to_owned());
        add("long", "x".repeat(6000));
        forgeries
    }

    /// RFC 8725, section 2.1: the token names an algorithm that the key is not
    /// for, and a careless checker believes it.
    fn algorithm_confusion_tokens(&self, header: &Value, claims: &Value) -> Vec<(String, String)> {
        let mut forgeries = Vec::new();
        for none in ["none", "None", "NONE", "nOnE"] {
            let unsigned = signed_part(&with(header, "alg", json!(none)), claims);
            forgeries.push((format!("alg {none}"), format!("{unsigned}.")));
        }
        // Everybody may know the public key: as the secret of an HMAC it is none.
        let raw = self.key.public_key().as_ref();
        // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410, section 10.1).
        let mut spki = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec();
        spki.extend_from_slice(raw);
        let public_pem = pem("PUBLIC KEY", &spki);
        let secrets: [(&str, &[u8]); 3] =
            [("raw", raw), ("DER", &spki), ("PEM", public_pem.as_bytes())];
        for (form, secret) in secrets {
            let signed = signed_part(&with(header, "alg", json!("HS256")), claims);
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
            let what = format!("HS256 with the public key ({form})");
            forgeries.push((what, format!("{signed}.{tag}")));
        }
        forgeries
    }
}

/// `object` with one field changed; `null` takes it away.
fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut changed = object.clone();
    match value {
        Value::Null => drop(changed.as_object_mut().unwrap().remove(field)),
        value => changed[field] = value,
    }
    changed
}

fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
