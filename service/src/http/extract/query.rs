//! The query string.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::fields::field_error_from_serde;
use crate::http::problem::Problem;

/// A query string of the shape `T`. An unknown parameter is rejected with 422: a
/// filter with a slip of the pen would otherwise filter nothing, silently.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        ready(
            parsed
                .map(|query| Self(query.into_inner()))
                .map_err(|error| {
                    let message = error.to_string();
                    let message = message
                        .strip_prefix("Query deserialize error: ")
                        .unwrap_or(&message);
                    Problem::validation(vec![field_error_from_serde("", message)])
                }),
        )
    }
}
