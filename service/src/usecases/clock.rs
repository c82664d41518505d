//! The clock of use cases and jobs. The domain does not read it: the time is passed in.

use chrono::{DateTime, SubsecRound as _, Utc};

/// Returns the current time, cut to the microseconds that Postgres keeps, so that the time in a
/// response and the stored one are equal.
pub(crate) fn current_time() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
