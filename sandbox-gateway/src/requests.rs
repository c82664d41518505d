//! Bodies of the requests that move money, and their validation.

use serde::Deserialize;

use crate::error::GatewayError;

/// The body of `POST /charges`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChargeRequest {
    pub(crate) reference: String,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
}

/// The body of `POST /refunds`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefundRequest {
    pub(crate) reference: String,
}

impl ChargeRequest {
    pub(crate) fn validate(&self) -> Result<(), GatewayError> {
        validate_reference(&self.reference)?;
        if self.amount_minor <= 0 {
            return Err(GatewayError::unprocessable("amount_minor must be above 0"));
        }
        let is_code = |code: &str| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        if !is_code(&self.currency) {
            return Err(GatewayError::unprocessable(
                "currency must be an ISO 4217 code of three upper-case letters, such as EUR",
            ));
        }
        Ok(())
    }
}

impl RefundRequest {
    pub(crate) fn validate(&self) -> Result<(), GatewayError> {
        validate_reference(&self.reference)
    }
}

fn validate_reference(reference: &str) -> Result<(), GatewayError> {
    if reference.is_empty() {
        return Err(GatewayError::unprocessable("reference must not be empty"));
    }
    Ok(())
}
