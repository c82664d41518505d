//! What proves who somebody is: password hashes and access tokens.

pub(crate) mod passwords;
pub mod tokens;
