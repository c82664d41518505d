//! The layer that all replicas share: Redis, with fill tokens.
//!
//! Who misses gets a fill token, a random number that is kept beside the (old) value
//! (Nishtala et al. call it a lease); who misses after that gets the same one. Only who
//! shows the token may fill the entry. An invalidation revokes the token, so a value
//! that was read before it is rejected after it, however late it comes. A token that
//! Redis has lost (evicted, expired, restarted) is rejected as well: in doubt nothing
//! is cached.
//!
//! The old value is not deleted, only marked: it can stand in while the database
//! is away (Nishtala et al. keep deleted values for the same reason, "stale sets").
//!
//! An entry is a hash with the fields `value`, `fresh_until` (milliseconds of the
//! clock of Redis, so that the replicas' clocks need not agree) and `lease`, the fill token. What
//! has to happen together is a script, which is one round trip and atomic.

use std::sync::Arc;
use std::time::Duration;

use redis::Script;
use uuid::Uuid;

use crate::redis_client::{RedisClient, RedisClientError};

/// How long who got a fill token may take to fill the entry.
const FILL_TOKEN_TTL: Duration = Duration::from_secs(60);

const LOOK_UP: &str = r"
local value, fresh_until, lease = unpack(redis.call('HMGET', KEYS[1], 'value', 'fresh_until', 'lease'))
local time = redis.call('TIME')
local left = (tonumber(fresh_until) or 0) - (time[1] * 1000 + math.floor(time[2] / 1000))
if value and left > 0 then return {value, left, ''} end
if not lease then
  lease = ARGV[1]
  redis.call('HSET', KEYS[1], 'lease', lease)
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {value, 0, lease}
";

const FILL: &str = r"
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
local fresh_until = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'fresh_until', string.format('%.0f', fresh_until))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

const INVALIDATE: &str = r"
for _, key in ipairs(KEYS) do
  redis.call('HDEL', key, 'lease', 'fresh_until')
end
";

/// The entries in Redis. Clones share the connection.
#[derive(Clone)]
pub(super) struct RedisLayer {
    redis: RedisClient,
    scripts: Arc<Scripts>,
}

struct Scripts {
    look_up: Script,
    fill: Script,
    invalidate: Script,
}

/// Permits to fill one entry, until it is invalidated.
#[derive(Debug)]
pub(super) struct FillToken(String);

/// What there is of a key.
pub(super) enum RawLookup {
    /// An entry, fresh for that much longer.
    Hit(String, Duration),
    /// None, or an old one, and the permission to make a new one.
    Miss(Option<String>, FillToken),
}

impl RedisLayer {
    pub(super) fn new(redis: RedisClient) -> Self {
        let scripts = Scripts {
            look_up: Script::new(LOOK_UP),
            fill: Script::new(FILL),
            invalidate: Script::new(INVALIDATE),
        };
        Self {
            redis,
            scripts: Arc::new(scripts),
        }
    }

    pub(super) async fn look_up(&self, key: &str) -> Result<RawLookup, RedisClientError> {
        let (scripts, key) = (Arc::clone(&self.scripts), key.to_owned());
        let look_up = move |mut connection| async move {
            let mut call = scripts.look_up.prepare_invoke();
            call.key(key).arg(Uuid::new_v4().simple().to_string());
            call.arg(millis(FILL_TOKEN_TTL))
                .invoke_async(&mut connection)
                .await
        };
        let (value, remaining_ms, fill_token): (Option<String>, u64, String) =
            self.redis.run("EVALSHA cache_look_up", look_up).await?;
        Ok(match value {
            Some(value) if remaining_ms > 0 => {
                RawLookup::Hit(value, Duration::from_millis(remaining_ms))
            }
            stale => RawLookup::Miss(stale, FillToken(fill_token)),
        })
    }

    /// `false`: the fill token was revoked, the value is out of date.
    pub(super) async fn fill(
        &self,
        key: &str,
        fill_token: FillToken,
        value: String,
        fresh_for: Duration,
        retain_for: Duration,
    ) -> Result<bool, RedisClientError> {
        let (scripts, key) = (Arc::clone(&self.scripts), key.to_owned());
        let fill = move |mut connection| async move {
            let mut call = scripts.fill.prepare_invoke();
            call.key(key).arg(fill_token.0).arg(value);
            call.arg(millis(fresh_for)).arg(millis(retain_for));
            call.invoke_async(&mut connection).await
        };
        self.redis.run("EVALSHA cache_fill", fill).await
    }

    pub(super) async fn invalidate(&self, keys: Vec<String>) -> Result<(), RedisClientError> {
        let scripts = Arc::clone(&self.scripts);
        let invalidate = move |mut connection| async move {
            let mut call = scripts.invalidate.prepare_invoke();
            for key in keys {
                call.key(key);
            }
            call.invoke_async(&mut connection).await
        };
        self.redis.run("EVALSHA cache_invalidate", invalidate).await
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
