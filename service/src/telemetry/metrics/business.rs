//! How business goes: what the people who pay for the service ask first.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Result};

use super::constructors::{counter, counter_vec};

/// How business goes.
#[derive(Clone)]
pub(crate) struct BusinessMetrics {
    /// `orderly_registrations_total`: users who registered.
    pub(crate) registrations: IntCounter,
    /// `orderly_logins_total{outcome}`: success, invalid_credentials
    /// or error (internal).
    pub(crate) logins: IntCounterVec,
    /// `orderly_order_status_changes_total{status}`: orders that came to that status.
    pub(crate) order_status_changes: IntCounterVec,
    /// `orderly_order_value_minor_total{currency}`: what was ordered, in minor units.
    pub(crate) order_value: IntCounterVec,
}

impl BusinessMetrics {
    pub(super) fn new() -> Result<Self> {
        let metrics = Self {
            registrations: counter("registrations", "Users who registered")?,
            logins: counter_vec(
                "logins",
                "Log-ins by outcome: success, invalid_credentials, error (the service's own trouble)",
                &["outcome"],
            )?,
            order_status_changes: counter_vec(
                "order_status_changes",
                "Orders by the status they came to: pending (placed), paid, shipped, cancelled, payment_failed",
                &["status"],
            )?,
            order_value: counter_vec(
                "order_value_minor",
                "Value of the orders placed, in minor units (cents), by currency",
                &["currency"],
            )?,
        };
        // From the start, so that a rate over the first one is right.
        for outcome in ["success", "invalid_credentials", "error"] {
            metrics.logins.with_label_values(&[outcome]);
        }
        for status in ["pending", "paid", "shipped", "cancelled", "payment_failed"] {
            metrics.order_status_changes.with_label_values(&[status]);
        }
        Ok(metrics)
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.registrations.clone()),
            Box::new(self.logins.clone()),
            Box::new(self.order_status_changes.clone()),
            Box::new(self.order_value.clone()),
        ]
    }
}
