//! Rate limits: quotas, client identity, several replicas.

mod client_identity;
mod ipv6;
mod quotas;
mod replicas;
