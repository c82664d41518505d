//! Calls of dependencies: the payment gateway, Postgres and Redis.

use super::declaration::metrics;

metrics! {
    /// Calls of the payment gateway.
    pub struct GatewayMetrics {
        /// Calls of the payment gateway, each attempt by itself, by operation (charge, refund) and
        /// outcome: charged, declined, voided, refunded, transient_error (result unknown), permanent_error
        /// (it does not accept the request).
        pub(crate) gateway_request_duration: HistogramVec[
            operation(charge, refund),
            outcome(charged, declined, voided, refunded, transient_error, permanent_error)
        ]
            buckets [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        /// Calls of the payment gateway that wait for its answer.
        pub(crate) gateway_requests_in_flight: IntGauge;
    }
}

metrics! {
    /// The connection pools of Postgres.
    pub(crate) struct PoolMetrics {
        /// Time to get a connection from a pool (requests, background).
        pub(crate) pool_wait: HistogramVec[pool(requests, background)]
            buckets [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0];
        /// Connections by state: most allowed (max), open (open), borrowed (in_use);
        /// and tasks that wait for one (waiting).
        pub(crate) pool_connections: IntGaugeVec[
            pool(requests, background),
            state(max, open, in_use, waiting)
        ];
    }
}

metrics! {
    /// The sessions on the Postgres server.
    pub(crate) struct SessionMetrics {
        /// Connections to Postgres that were attempted, by purpose: of a pool (pool), kept by a job, a
        /// check or a command (dedicated), to cancel a statement (cancellation).
        pub(crate) database_connections_opened: IntCounterVec[purpose(pool, dedicated, cancellation)];
        /// Statements that still ran when their request or job had ended, by outcome: finished (the
        /// connection was used again), cancelled (the same), closed (the connection was closed).
        pub(crate) abandoned_statements: IntCounterVec[outcome(finished, cancelled, closed)];
    }
}

impl SessionMetrics {
    /// Counts a connection that is about to be opened.
    pub(crate) fn count_opened(&self, purpose: &str) {
        self.database_connections_opened
            .with_label_values(&[purpose])
            .inc();
    }

    /// Counts a statement whose request ended before it.
    pub(crate) fn count_abandoned(&self, outcome: &str) {
        self.abandoned_statements
            .with_label_values(&[outcome])
            .inc();
    }
}

metrics! {
    /// Redis, the cache in front of Postgres, and retries.
    pub struct DependencyMetrics {
        /// Time until Redis answered, or the command timed out, by command; what the breaker rejects is not in it.
        pub redis_command_duration: HistogramVec[command(EVALSHA, PING, XADD)]
            buckets [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
        /// Look-ups of the cache by layer (local, redis, database) and outcome: hit, miss,
        /// error, stale (an expired entry, while the database fails).
        pub(crate) cache_requests: IntCounterVec[
            layer(local, redis, database),
            outcome(hit, miss, error, stale)
        ];
        /// Failures that may be retried, by dependency (database, gateway) and outcome: retried (it was
        /// tried again), budget_exhausted, deadline_exceeded (it would not fit the deadline).
        pub retries: IntCounterVec[
            dependency(database, gateway),
            outcome(retried, budget_exhausted, deadline_exceeded)
        ];
    }
}
