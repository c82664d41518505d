use super::*;

fn config(login_burst: u32, read_burst: u32) -> RateLimitConfig {
    RateLimitConfig {
        login_per_minute: 1,
        login_burst,
        read_burst,
        ..RateLimitConfig::default()
    }
}

async fn log_ins(limits: &RateLimits, tries: usize) -> usize {
    let key = ClientKey::for_account("somebody");
    let mut allowed = 0;
    for _ in 0..tries {
        allowed += usize::from(limits.check(RequestClass::Login, &key).await.is_ok());
    }
    allowed
}

#[tokio::test]
async fn other_limits_hold_at_once_and_what_was_counted_under_the_same_ones_stays() {
    let metrics = RateLimitMetrics::new().unwrap();
    let limits = RateLimits::new(config(3, 10), None, metrics);
    assert_eq!(log_ins(&limits, 5).await, 3);
    limits.reconfigure(config(3, 20));
    assert_eq!(log_ins(&limits, 5).await, 0, "only reads have changed");
    limits.reconfigure(config(4, 20));
    assert_eq!(log_ins(&limits, 5).await, 4);
    limits.reconfigure(RateLimitConfig {
        enabled: false,
        ..config(4, 20)
    });
    assert_eq!(log_ins(&limits, 5).await, 5);
}
