//! What proves who somebody is: password hashes and access tokens.

pub mod passwords;
pub mod tokens;
