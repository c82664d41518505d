//! Connections to Postgres and Redis, and the SQL statements of an order.

mod abandoned_statements;
mod connection_pool;
mod migrations;
mod parsed_statements;
mod pgbouncer;
mod pgbouncer_start;
mod pipeline;
mod plain_order;
mod query_plans;
mod redis_connection;
mod redis_replies;
mod round_trips;
mod server_errors;
mod session_parameters;
