-- Who may log in.
--
-- Safe to run live: no version before reads the new table, and no other table is locked.
--
-- E-mail addresses are kept as the user wrote them and are unique without
-- regard to case: the index is on lower(email), and every look-up goes through
-- the same expression.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE TABLE users (
    id            uuid        NOT NULL,
    email         text        NOT NULL,
    name          text        NOT NULL,
    role          text        NOT NULL DEFAULT 'customer',
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT users_pkey         PRIMARY KEY (id),
    CONSTRAINT users_role_known   CHECK (role IN ('customer', 'admin')),
    CONSTRAINT users_email_length CHECK (char_length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_name_length  CHECK (char_length(name) BETWEEN 1 AND 200)
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));
