//! Statements that the server parses once for each connection.
//!
//! # Problem
//!
//! A statement that diesel does not cache costs a second round trip and is parsed on every
//! execution, while the locks of its transaction are held. diesel 2.3 caches no statement that may
//! have any number of texts (module docs of `diesel::connection::statement_cache`):
//!
//! - `diesel::sql_query`, whose text may be generated;
//! - typed `UPDATE` and `ON CONFLICT DO UPDATE`, since each optional field changes the text;
//! - an `INSERT` of several rows or with a `DEFAULT`, for the same reason.
//!
//! # How it works
//!
//! - [`statement!`] is for statements that the typed DSL can't express (data in several tables at
//!   once, `unnest`, `SKIP LOCKED` in a subquery). It declares a type with fixed text, and the
//!   statement cache finds the statement by that type.
//! - [`cacheable`] is for typed statements. The statement cache finds the statement by its text.
//!
//! # Pitfalls
//!
//! - The statement cache never forgets. A changeset of n optional fields has 2^n texts. A statement
//!   whose text depends on the number of values must bind an array instead (`eq_any`, `unnest`).
//! - `is_safe_to_cache_prepared` is outside diesel's promise of stability (its feature
//!   `i-implement-a-third-party-backend-and-opt-into-breaking-changes`, which diesel-async
//!   enables).
//!
//! # Tests
//!
//! `no_statement_is_parsed_twice_on_one_connection` in `tests/api/storage/parsed_statements.rs`
//! reads what the service sends to Postgres.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;

/// A typed statement that the statement cache keeps, by its text.
pub(super) struct Cacheable<S>(S);

/// Has the statement cache keep a typed statement that has few texts.
pub(super) fn cacheable<S>(statement: S) -> Cacheable<S> {
    Cacheable(statement)
}

/// Without a static id, so that the text is the key of the cache.
impl<S> QueryId for Cacheable<S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for Cacheable<S> {
    type SqlType = S::SqlType;
}

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Cacheable<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

/// Declares a struct of binds and the text they go into: literals are SQL,
/// `{field: SqlType}` is a bind.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $name:ident $(<$lifetime:lifetime>)? { $($field:ident : $type:ty),* $(,)? } returns $result:ty;
        $($piece:tt)*
    ) => {
        $(#[$doc])*
        pub(super) struct $name $(<$lifetime>)? {
            $(pub(super) $field: $type,)*
        }

        const _: () = {
            /// Identifies the statement in diesel's statement cache.
            pub(super) struct CacheKey;

            impl $(<$lifetime>)? diesel::query_builder::QueryId for $name $(<$lifetime>)? {
                type QueryId = CacheKey;
                const HAS_STATIC_QUERY_ID: bool = true;
            }
        };

        impl $(<$lifetime>)? diesel::query_builder::Query for $name $(<$lifetime>)? {
            type SqlType = $result;
        }

        impl $(<$lifetime>)? diesel::query_builder::QueryFragment<diesel::pg::Pg>
            for $name $(<$lifetime>)?
        {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                $($crate::storage::statement::piece!(self, out, $piece);)*
                Ok(())
            }
        }
    };
}

/// One piece of a [`statement!`].
macro_rules! piece {
    ($this:ident, $out:ident, { $field:ident : $sql_type:ty }) => {
        $out.push_bind_param::<$sql_type, _>(&$this.$field)?;
    };
    ($this:ident, $out:ident, $text:literal) => {
        $out.push_sql($text);
    };
}

pub(super) use {piece, statement};
