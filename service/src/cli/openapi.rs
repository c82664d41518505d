//! `orderly openapi`: the API's description.

use super::command::print_stdout;
use crate::http::openapi;

/// Print the OpenAPI 3.1 document, the same as GET /openapi.json.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_: Args) -> anyhow::Result<()> {
    print_stdout(openapi::document()?).await
}
