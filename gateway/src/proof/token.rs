//! Signed tokens (JWT, RFC 7519) as passwords: read against keys from a JWKS file. It asks no network, and takes no
//! algorithm but EdDSA, RS256 and ES256.

use clyra_spec::limits::LABEL_BYTES_MAX;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a token says, each claim with its values as texts.
pub(crate) type Claims = BTreeMap<String, Vec<String>>;

/// What a token must be to count.
#[derive(Debug)]
pub(crate) struct Tokens {
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    /// The claim that names the user.
    user: String,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Tokens {
    /// Takes the keys of a JWKS file (RFC 7517) that can sign tokens.
    ///
    /// # Errors
    /// The file holds something else, or no such key.
    pub(crate) fn load(jwks: &[u8], issuer: &str, audience: &str, user: &str) -> Result<Self, String> {
        let set: JwkSet =
            serde_json::from_slice(jwks).map_err(|error| format!("is no set of keys: {error}"))?;
        let mut keys = Vec::new();
        for jwk in &set.keys {
            let Some(algorithm) = algorithm(jwk) else { continue };
            let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("holds a broken key: {error}"))?;
            keys.push(Key { id: jwk.common.key_id.clone(), algorithm, key });
        }
        if keys.is_empty() {
            return Err("holds no key that signs; allowed: Ed25519, RSA, P-256".to_owned());
        }
        let own = |text: &str| text.to_owned();
        Ok(Self { keys, issuer: own(issuer), audience: own(audience), user: own(user) })
    }

    /// What this token says, if it says, now and to this gateway, that its bearer is `user`.
    ///
    /// # Errors
    /// Why it does not; never with anything of the token itself.
    pub(crate) fn check(&self, token: &str, user: &str) -> Result<Claims, String> {
        let header = decode_header(token).map_err(|error| error.to_string())?;
        if header.crit.is_some() {
            return Err("it asks for extensions".to_owned());
        }
        let mut why = "no key for it".to_owned();
        for key in self.keys.iter().filter(|key| {
            key.algorithm == header.alg && (key.id == header.kid || key.id.is_none() || header.kid.is_none())
        }) {
            let mut wanted = Validation::new(key.algorithm);
            wanted.set_required_spec_claims(&["exp", "iss", "aud"]);
            wanted.set_issuer(&[&self.issuer]);
            wanted.set_audience(&[&self.audience]);
            wanted.validate_nbf = true;
            wanted.leeway = LEEWAY_S;
            match decode::<Map<String, Value>>(token, &key.key, &wanted) {
                Ok(read) if read.claims.get(&self.user).and_then(Value::as_str) == Some(user) => {
                    return Ok(claims(&read.claims));
                }
                Ok(_) => return Err(format!("its claim `{}` does not name this user", self.user)),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

/// The claims that are texts, numbers or truths, or lists of them; a list gives a claim several values.
fn claims(said: &Map<String, Value>) -> Claims {
    let text = |value: &Value| match value {
        Value::String(text) if text.len() <= LABEL_BYTES_MAX => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    let values = |value: &Value| -> Option<Vec<String>> {
        match value {
            // One that cannot be read leaves none: nobody shall take the rest for the whole.
            Value::Array(list) => list.iter().take(VALUES_MAX + 1).map(text).collect(),
            one => text(one).map(|text| vec![text]),
        }
    };
    let read = said.iter().filter_map(|(name, value)| Some((name.clone(), values(value)?)));
    read.filter(|(_, values)| values.len() <= VALUES_MAX).collect()
}

/// The one algorithm that a key may be used with: by its kind, and by what it says of itself.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let fits = jwk.common.key_algorithm.is_none_or(|own| own == named);
    (signs && fits).then_some(algorithm)
}

/// How far the clocks of issuer and gateway may be apart.
const LEEWAY_S: u64 = 30;
/// Most values of one claim.
const VALUES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::json;
    use std::process::Command;

    /// A new private key, as DER.
    fn key(words: &[&str], traditional: bool) -> Vec<u8> {
        let made = Command::new("openssl").args(["genpkey", "-algorithm"]).args(words).output().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, made.stdout).unwrap();
        let form: &[&str] =
            if traditional { &["rsa", "-traditional"] } else { &["pkcs8", "-topk8", "-nocrypt"] };
        let read =
            Command::new("openssl").args(form).args(["-outform", "DER", "-in"]).arg(&file).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        read.stdout
    }

    fn signers() -> [(Algorithm, EncodingKey); 3] {
        [
            (Algorithm::EdDSA, EncodingKey::from_ed_der(&key(&["ed25519"], false))),
            (
                Algorithm::RS256,
                EncodingKey::from_rsa_der(&key(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], true)),
            ),
            (
                Algorithm::ES256,
                EncodingKey::from_ec_der(&key(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], false)),
            ),
        ]
    }

    fn tokens(algorithm: Algorithm, key: &EncodingKey) -> Tokens {
        let jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
        let set = serde_json::to_vec(&json!({"keys": [jwk]})).unwrap();
        Tokens::load(&set, "https://id", "clyra", "sub").unwrap()
    }

    #[test]
    fn tokens_count_only_as_they_must() {
        for (algorithm, key) in signers() {
            let tokens = tokens(algorithm, &key);
            let now = get_current_timestamp();
            let good = json!({"iss": "https://id", "aud": ["other", "clyra"], "sub": "ann", "exp": now + 60});
            let check = |claims: &Value, header: &Header, user: &str| {
                tokens.check(&encode(header, claims, &key).unwrap(), user).map(|said| said["sub"].clone())
            };
            let header = Header::new(algorithm);
            assert_eq!(check(&good, &header, "ann"), Ok(vec!["ann".to_owned()]));
            assert!(check(&good, &header, "eve").is_err());
            for (claim, value) in [
                ("iss", json!("https://other")),
                ("aud", json!("other")),
                ("exp", json!(now - 60)),
                ("nbf", json!(now + 600)),
                ("iss", Value::Null),
                ("aud", Value::Null),
                ("exp", Value::Null),
                ("sub", json!(1)),
            ] {
                let mut bad = good.clone();
                match value {
                    Value::Null => drop(bad.as_object_mut().unwrap().remove(claim)),
                    value => bad[claim] = value,
                }
                assert!(check(&bad, &header, "ann").is_err(), "{bad}");
            }
            let critical = Header { crit: Some(vec!["b64".into()]), ..Header::new(algorithm) };
            assert!(check(&good, &critical, "ann").is_err());
            let shared = EncodingKey::from_secret(b"public key as a secret");
            let forged = encode(&Header::new(Algorithm::HS256), &good, &shared).unwrap();
            assert!(tokens.check(&forged, "ann").is_err());
            let token = encode(&header, &good, &key).unwrap();
            let (signed, _) = token.rsplit_once('.').unwrap();
            let broken = [signed, &format!("{signed}."), "", "..", "a.b.c"];
            assert!(broken.iter().all(|broken| tokens.check(broken, "ann").is_err()));
        }
    }

    #[test]
    fn keys_that_do_not_sign_and_claims_that_are_no_texts_are_left_out() {
        let [(_, ed), (_, rsa), _] = signers();
        for (jwk, change) in [
            (Jwk::from_encoding_key(&ed, Algorithm::EdDSA).unwrap(), ("use", json!("enc"))),
            (Jwk::from_encoding_key(&rsa, Algorithm::RS256).unwrap(), ("alg", json!("RS512"))),
        ] {
            let mut jwk = serde_json::to_value(jwk).unwrap();
            jwk[change.0] = change.1;
            let set = serde_json::to_vec(&json!({"keys": [jwk]})).unwrap();
            assert!(Tokens::load(&set, "i", "a", "sub").unwrap_err().contains("no key that signs"));
        }
        assert!([&b"{\"keys\":[]}"[..], b"[]"].iter().all(|set| Tokens::load(set, "i", "a", "sub").is_err()));
        let said = json!({"team": "data", "groups": ["a", 2, true], "deep": {"a": "b"}, "mixed": ["a", {}]});
        let said = format!("{:?}", claims(said.as_object().unwrap()));
        assert_eq!(said, r#"{"groups": ["a", "2", "true"], "team": ["data"]}"#);
    }
}
