//! What clients are told of their limits: `RateLimit-Policy` and `RateLimit`, as
//! draft-ietf-httpapi-ratelimit-headers-11 has them.
//!
//! `"login";q=10;w=60`: ten requests, which take a minute to come back.
//! `"login";r=9;t=6`: nine are left, and no more than those within six seconds.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};

use super::problem::{Problem, ProblemKind};
use crate::limits::{Admitted, Policy, RateLimited, RequestClass};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The two headers of an answer.
pub(super) fn for_admitted(admitted: &Admitted) -> Vec<(HeaderName, HeaderValue)> {
    let Admitted {
        class,
        policy,
        remaining,
    } = *admitted;
    build_headers(class, policy, remaining, policy.interval)
}

impl From<RateLimited> for Problem {
    fn from(rate_limited: RateLimited) -> Self {
        let seconds = whole_seconds(rate_limited.retry_after);
        let detail = format!("{rate_limited}; wait {seconds} s");
        let mut problem = Self::new(ProblemKind::RateLimited, detail)
            .with_retry_after(u32::try_from(seconds).unwrap_or(u32::MAX));
        problem.headers.extend(build_headers(
            rate_limited.class,
            rate_limited.policy,
            0,
            rate_limited.retry_after,
        ));
        problem
    }
}

fn build_headers(
    class: RequestClass,
    policy: Policy,
    remaining: u32,
    reset_after: Duration,
) -> Vec<(HeaderName, HeaderValue)> {
    let policy_name = class.as_str();
    let quota = policy.burst;
    let window = whole_seconds(policy.window());
    let reset_seconds = whole_seconds(reset_after);
    let texts = [
        (
            RATELIMIT_POLICY,
            format!(r#""{policy_name}";q={quota};w={window}"#),
        ),
        (
            RATELIMIT,
            format!(r#""{policy_name}";r={remaining};t={reset_seconds}"#),
        ),
    ];
    texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
        .collect()
}

/// At least one: a window of zero is none, and to come back at once is too early.
fn whole_seconds(duration: Duration) -> u64 {
    let rounded_up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    rounded_up.max(1)
}
