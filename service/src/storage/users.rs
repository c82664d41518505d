//! The table `users`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::StorageError;
use super::rows::UserRow;
use super::schema::users;
use super::statement::cacheable;
use crate::domain::ids::UserId;
use crate::domain::user::{EmailAddress, PersonName, Role, User};

diesel::define_sql_function! {
    /// SQL's `lower`.
    fn lower(text: Text) -> Text;
}

// In the locale `tr_TR`, `lower` without it makes a dotless `ı` of `I`.
diesel::postfix_operator!(CollateC, " COLLATE \"C\"", Text, backend: diesel::pg::Pg);

/// A user to insert.
pub(crate) struct NewUser<'a> {
    pub(crate) id: UserId,
    /// Unique without regard to case.
    pub(crate) email: &'a EmailAddress,
    pub(crate) name: &'a PersonName,
    pub(crate) role: Role,
    /// In PHC string format.
    pub(crate) password_hash: &'a str,
    pub(crate) created_at: DateTime<Utc>,
}

/// Inserts a user.
///
/// # Errors
/// Returns `ConstraintViolated(EmailUnique)` if the address is taken.
pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    user: &NewUser<'_>,
) -> Result<(), StorageError> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id.0),
            users::email.eq(user.email.as_str()),
            users::name.eq(user.name.as_str()),
            users::role.eq(user.role.as_str()),
            users::password_hash.eq(user.password_hash),
            users::created_at.eq(user.created_at),
            users::updated_at.eq(user.created_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The user of that id.
pub(crate) async fn find(
    conn: &mut AsyncPgConnection,
    id: UserId,
) -> Result<Option<User>, StorageError> {
    let row = users::table
        .find(id.0)
        .select(UserRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(User::try_from).transpose()
}

/// The user of that address, whatever its case, and their password hash.
pub(crate) async fn find_with_password_hash(
    conn: &mut AsyncPgConnection,
    email: &EmailAddress,
) -> Result<Option<(User, String)>, StorageError> {
    let row: Option<(UserRow, String)> = users::table
        .filter(lower(CollateC::new(users::email)).eq(email.key()))
        .select((UserRow::as_select(), users::password_hash))
        .first(conn)
        .await
        .optional()?;
    row.map(|(row, hash)| Ok((User::try_from(row)?, hash)))
        .transpose()
}

/// Gives a user another name, and returns the user if there is one.
pub(crate) async fn rename(
    conn: &mut AsyncPgConnection,
    id: UserId,
    name: &PersonName,
    now: DateTime<Utc>,
) -> Result<Option<User>, StorageError> {
    let update = diesel::update(users::table.find(id.0))
        .set((users::name.eq(name.as_str()), users::updated_at.eq(now)))
        .returning(UserRow::as_returning());
    let row = cacheable(update).get_result(conn).await.optional()?;
    row.map(User::try_from).transpose()
}
