//! Taking a request apart: each extractor knows one thing and refuses it with a
//! problem.

mod fields;
mod id;
mod idempotency;
mod identity;
mod json;
mod query;

pub use fields::{Fields, WHOLE_NUMBER};
pub use id::Id;
pub use idempotency::Key;
pub use identity::{Admin, User, identity};
pub use json::Json;
pub use query::Query;
