//! What differs between two configurations.

use super::keys::leaves;
use super::{Secret, Settings};

/// The keys whose values differ, sorted; `environment` is among them if that changed.
pub(crate) fn changed_keys(old: &Settings, new: &Settings) -> Vec<String> {
    let (old_leaves, new_leaves) = (leaves(old), leaves(new));
    let plain = (old_leaves.into_iter().zip(new_leaves))
        .filter(|(old, new)| old != new)
        .map(|((key, _), _)| key);
    // Secrets look all the same from outside.
    let secret = (secrets(old).into_iter().zip(secrets(new)))
        .filter(|((_, old), (_, new))| old.map(Secret::expose) != new.map(Secret::expose))
        .map(|((key, _), _)| key.to_owned());
    let environment = (old.environment != new.environment).then(|| "environment".to_owned());
    let mut keys: Vec<String> = plain.chain(secret).chain(environment).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn secrets(settings: &Settings) -> [(&'static str, Option<&Secret>); 5] {
    [
        ("auth.signing_key", settings.auth.signing_key.as_ref()),
        ("database.direct_url", settings.database.direct_url.as_ref()),
        ("database.url", settings.database.url.as_ref()),
        ("redis.url", settings.redis.url.as_ref()),
        (
            "telemetry.otlp_headers",
            settings.telemetry.otlp_headers.as_ref(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::config::keys::{is_secret, keys};

    #[test]
    fn returns_only_changed_keys() {
        let old = Settings::default();
        assert!(changed_keys(&old, &old).is_empty());
        let mut new = old.clone();
        new.load_shedding.min_limit += 1;
        new.http.port = 1;
        new.redis.url = Some("redis://a".to_owned().into());
        new.environment = Environment::Test;
        let all = [
            "environment",
            "http.port",
            "load_shedding.min_limit",
            "redis.url",
        ];
        assert_eq!(changed_keys(&old, &new), all);

        let mut newer = new.clone();
        newer.redis.url = Some("redis://b".to_owned().into());
        assert_eq!(changed_keys(&new, &newer), ["redis.url"]);
    }

    #[test]
    fn compares_every_secret() {
        let known: Vec<String> = keys().into_iter().filter(|key| is_secret(key)).collect();
        assert_eq!(known, secrets(&Settings::default()).map(|(key, _)| key));
    }
}
