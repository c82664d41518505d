//! The bodies of the requests that move money, and what makes them valid.

use serde::Deserialize;

use super::error::SandboxError;
use crate::domain::money::Currency;

/// The body of `POST /charges`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargeRequest {
    pub(super) reference: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
}

/// The body of `POST /refunds`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RefundRequest {
    pub(super) reference: String,
}

impl ChargeRequest {
    pub(super) fn validate(&self) -> Result<(), SandboxError> {
        validate_reference(&self.reference)?;
        if self.amount_minor <= 0 {
            return Err(SandboxError::unprocessable("amount_minor must be above 0"));
        }
        if Currency::parse(&self.currency).is_err() {
            return Err(SandboxError::unprocessable(
                "currency must be an ISO 4217 code, such as EUR",
            ));
        }
        Ok(())
    }
}

impl RefundRequest {
    pub(super) fn validate(&self) -> Result<(), SandboxError> {
        validate_reference(&self.reference)
    }
}

fn validate_reference(reference: &str) -> Result<(), SandboxError> {
    if reference.is_empty() {
        return Err(SandboxError::unprocessable("reference must not be empty"));
    }
    Ok(())
}
