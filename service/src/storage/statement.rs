//! Statements written as SQL, prepared once for each connection.
//!
//! Most statements here are diesel's typed DSL. A few can't be said in it (data
//! in several tables at once, `unnest`, `SKIP LOCKED` in a subquery), and
//! `diesel::sql_query` would have the server parse and plan them anew on every
//! call. [`statement!`] declares such a statement as a type with fixed text, so
//! that diesel's statement cache finds it again by that type.

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
