//! `orderly openapi`: the API's description.

use crate::http::openapi;

/// Print the OpenAPI 3.1 document, the same as GET /openapi.json.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> anyhow::Result<()> {
    super::print_stdout(&openapi::document()?)
}
