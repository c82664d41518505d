//! What protects the service from others, and others from it.

use super::declaration::metrics;

metrics! {
    /// The circuit breakers, by the label `breaker`: gateway or redis.
    pub struct BreakerMetrics {
        /// Circuit breaker (gateway, redis): 0 closed, 1 half-open, 2 open.
        pub(crate) breaker_state: IntGaugeVec[breaker(gateway, redis)];
        /// Calls through a circuit breaker by outcome: success, failure, slow, rejected.
        pub(crate) breaker_calls: IntCounterVec[
            breaker(gateway, redis),
            outcome(success, failure, slow, rejected)
        ];
    }
}

metrics! {
    /// The limit on requests in flight.
    pub(crate) struct InFlightMetrics {
        /// Requests being answered.
        pub(crate) requests_in_flight: IntGauge;
        /// How many requests may be answered at once before others are shed.
        pub(crate) requests_in_flight_limit: IntGauge;
        /// Requests rejected because of overload.
        pub(crate) requests_shed: IntCounter;
    }
}

metrics! {
    /// The connections of the listeners.
    pub(crate) struct ConnectionMetrics {
        /// Open connections by state: idle (waits for a request), head and body (waits for the rest of one), request (being
        /// handled), response (waits for the client to read).
        pub(crate) http_connections: IntGaugeVec[
            listener(api, admin),
            state(idle, head, body, request, response)
        ];
        /// Most connections allowed at once.
        pub(crate) http_connections_limit: IntGaugeVec[listener(api, admin)];
        /// Connections rejected because a limit was reached: total, client (of this client alone).
        pub(crate) http_connections_rejected: IntCounterVec[
            listener(api, admin),
            reason(total, client)
        ];
        /// Request heads rejected before they were requests: malformed, too_large, timeout.
        pub(crate) http_rejected_heads: IntCounterVec[
            listener(api, admin),
            reason(malformed, too_large, timeout)
        ];
    }
}

metrics! {
    /// The rate limits.
    pub(crate) struct RateLimitMetrics {
        /// Requests over a rate limit, by class: read, write, register, login, login_account.
        pub(crate) requests_rate_limited: IntCounterVec[
            class(read, write, register, login, login_account)
        ];
        /// Rate limit decisions by who made them: redis or local.
        pub(crate) rate_limit_decisions: IntCounterVec[source(redis, local)];
        /// Clients counted in this process, by class.
        pub(crate) rate_limit_keys: IntGaugeVec[
            class(read, write, register, login, login_account)
        ];
    }
}
