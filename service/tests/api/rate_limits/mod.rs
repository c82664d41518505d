//! Rate limits: quotas, client identity, several replicas.

mod client_identity;
mod quotas;
mod replicas;
