//! How business goes: what the people who pay for the service ask first.

use super::declaration::metrics;

metrics! {
    /// How business goes.
    pub(crate) struct BusinessMetrics {
        /// Users who registered.
        pub(crate) registrations: IntCounter;
        /// Log-ins by outcome: success, invalid_credentials, error (the service's own trouble).
        pub(crate) logins: IntCounterVec[outcome(success, invalid_credentials, error)];
        /// Orders by the status they came to: pending (placed), paid, shipped, cancelled, payment_failed.
        pub(crate) order_status_changes: IntCounterVec[status(pending, paid, shipped, cancelled, payment_failed)];
        /// Value of the orders placed, in minor units (cents), by currency.
        pub(crate) order_value_minor: IntCounterVec[currency(..)];
    }
}
