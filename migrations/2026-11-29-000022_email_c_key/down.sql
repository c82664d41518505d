SET LOCAL lock_timeout = '1s';

DROP INDEX users_email_c_key;
