use super::*;
use crate::telemetry::metrics::Metrics;

fn config(login_burst: u32, read_burst: u32) -> RateLimitConfig {
    RateLimitConfig {
        login_per_minute: 1,
        login_burst,
        read_burst,
        ..RateLimitConfig::default()
    }
}

async fn count_allowed(limits: &RateLimits, attempts: usize) -> usize {
    let client = Client::account("ada@example.com");
    let mut allowed = 0;
    for _ in 0..attempts {
        allowed += usize::from(limits.check(RequestClass::Login, &client).await.is_ok());
    }
    allowed
}

#[tokio::test]
async fn reconfigure_resets_only_changed_limits() {
    let metrics = Metrics::new().unwrap().rate_limits;
    let limits = RateLimits::new(config(3, 10), None, metrics);
    assert_eq!(count_allowed(&limits, 5).await, 3);
    limits.reconfigure(config(3, 20));
    assert_eq!(
        count_allowed(&limits, 5).await,
        0,
        "only reads have changed"
    );
    limits.reconfigure(config(4, 20));
    assert_eq!(count_allowed(&limits, 5).await, 4);
    limits.reconfigure(RateLimitConfig {
        enabled: false,
        ..config(4, 20)
    });
    assert_eq!(count_allowed(&limits, 5).await, 5);
}

#[tokio::test]
async fn sweep_reports_clients_whose_quota_is_not_whole() {
    let metrics = Metrics::new().unwrap().rate_limits;
    let limits = RateLimits::new(config(3, 10), None, metrics.clone());
    count_allowed(&limits, 1).await;
    limits.sweep();
    let keys = |class| metrics.rate_limit_keys.with_label_values(&[class]).get();
    assert_eq!((keys("login"), keys("read")), (1, 0));
}
