//! Taking a request apart: each extractor knows one thing and refuses it with a
//! problem.

mod fields;
mod id;
mod idempotency;
mod identity;
mod json;
mod query;

pub(crate) use fields::{Fields, WHOLE_NUMBER};
pub(crate) use id::Id;
pub(crate) use idempotency::Key;
pub(crate) use identity::{Admin, User, identity};
pub(crate) use json::Json;
pub(crate) use query::Query;
