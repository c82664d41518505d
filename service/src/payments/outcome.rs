//! What can come of asking a payment gateway: yes, no, or "don't know".

use tokio::runtime::TryCurrentError;

/// What a gateway decided about a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The money is taken.
    Charged {
        /// The gateway's name for the charge.
        charge_id: String,
    },
    /// The payer's bank said no; no money moved.
    Declined {
        /// Why, in the gateway's words, such as `insufficient_funds`.
        reason: String,
    },
    /// The order was refunded or voided before this charge arrived; no money moved.
    Voided,
}

impl ChargeOutcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Charged { .. } => "charged",
            Self::Declined { .. } => "declined",
            Self::Voided => "voided",
        }
    }
}

/// What a gateway did to undo a charge. Either way no money of this order stays
/// taken, and none will be taken later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// There was a charge, and the money went back.
    Refunded {
        /// The charge that was undone.
        charge_id: String,
    },
    /// There was no charge; one that is still under way will be refused.
    Voided,
}

impl RefundOutcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Refunded { .. } => "refunded",
            Self::Voided => "voided",
        }
    }
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The outcome is unknown: the request may or may not have taken effect, or may have
    /// reached another server. A retry is safe, because the key stays the same.
    #[error("no usable answer from the payment gateway: {reason}")]
    Transient {
        /// What went wrong, for a log line.
        reason: String,
        /// The transport's error, when there was one.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The gateway rejects the request as it is, in an error document of its contract; an
    /// operator must look.
    #[error("the payment gateway refused the request with status {status}: {detail}")]
    Permanent {
        /// Status of the HTTP response.
        status: u16,
        /// Detail of the problem in the response.
        detail: String,
    },
}

impl GatewayError {
    /// Whether asking again may bring an outcome.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    pub(super) fn transient(reason: String) -> Self {
        Self::Transient {
            reason,
            source: None,
        }
    }
}

impl From<reqwest::Error> for GatewayError {
    fn from(error: reqwest::Error) -> Self {
        let reason = if error.is_connect() {
            "cannot connect"
        } else if error.is_timeout() {
            "timed out"
        } else {
            "the connection broke"
        };
        Self::Transient {
            reason: reason.to_owned(),
            source: Some(error),
        }
    }
}

/// Why a [`PaymentGateway`](super::PaymentGateway) could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GatewaySetupError {
    /// The address cannot be used. The message leaves it out: it may hold a password.
    #[error(
        "the payment gateway's URL is unusable ({0}); give one like http://gateway.internal:8090"
    )]
    Url(String),
    /// The HTTP client could not be built.
    #[error("cannot build the payment gateway's HTTP client")]
    Client(#[from] reqwest::Error),
    /// Made outside a Tokio runtime.
    #[error("a payment gateway's client must be made inside the runtime that will drive it")]
    Runtime(#[from] TryCurrentError),
}
