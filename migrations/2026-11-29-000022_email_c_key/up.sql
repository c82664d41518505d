-- E-mail addresses are unique without regard to case, in every locale: in tr_TR, lower('ADMIN') is
-- 'admın'. Addresses are ASCII, for which the collation "C" is enough. The version before uses
-- users_email_key, on lower(email); a later release drops it.
--
-- Safe to run live: built without a lock on writes. In a database with a Turkish, Azerbaijani or
-- Lithuanian locale, two users may have addresses that differ only in the case of an I; then this
-- fails and names the address.
--
-- Oldest compatible version: 20261128000008
-- No transaction: CREATE INDEX CONCURRENTLY cannot run in one.
DROP INDEX CONCURRENTLY IF EXISTS users_email_c_key;
CREATE UNIQUE INDEX CONCURRENTLY users_email_c_key ON users (lower(email COLLATE "C"));
