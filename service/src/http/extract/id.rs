//! The id in a path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use uuid::Uuid;

use crate::http::problem::{Problem, ProblemKind};

/// The `{id}` of a path. What is no UUID names nothing: 404.
pub(crate) struct PathId(pub(crate) Uuid);

impl FromRequest for PathId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id");
        let parsed = id.and_then(|id| Uuid::try_parse(id).ok()).map(Self);
        ready(parsed.ok_or_else(|| {
            Problem::new(ProblemKind::NotFound, "the id in the path must be a UUID")
        }))
    }
}
