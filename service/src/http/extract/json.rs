//! A JSON body.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, web};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::fields::{escape_pointer, field_error_from_serde};
use crate::domain::validation::ValidationCode;
use crate::http::problem::{Problem, ProblemKind};

/// A body of the shape `T`.
///
/// Not JSON at all is 400, JSON of another shape (a missing, unknown or mistyped
/// field) is 422 with a pointer to the field, another content type or a content coding is 415,
/// and more bytes than `http.body_limit_bytes` are 413 (`middleware/body_buffering.rs`).
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if let Some(problem) = unsupported_body(request) {
            return Box::pin(async { Err(problem.into()) });
        }
        let body = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?;
            parse(&body).map(Self).map_err(Error::from)
        })
    }
}

fn unsupported_body(request: &HttpRequest) -> Option<Problem> {
    if !is_json(request) {
        let problem = Problem::new(
            ProblemKind::UnsupportedMediaType,
            "send the header content-type: application/json",
        );
        let accepted = HeaderValue::from_static("application/json");
        return Some(problem.with_header(header::ACCEPT, accepted));
    }
    if is_compressed(request) {
        let problem = Problem::new(
            ProblemKind::UnsupportedContentEncoding,
            "send the body as it is, without the header content-encoding",
        );
        // RFC 9110, section 12.5.3.
        let accepted = HeaderValue::from_static("identity");
        return Some(problem.with_header(header::ACCEPT_ENCODING, accepted));
    }
    None
}

fn is_json(request: &HttpRequest) -> bool {
    matches!(request.mime_type(), Ok(Some(mime)) if mime.essence_str() == "application/json")
}

/// Whether any coding was applied to the body. `identity` is the absence of one (RFC 9110, section
/// 8.4.1).
fn is_compressed(request: &HttpRequest) -> bool {
    let mut codings = request
        .headers()
        .get_all(header::CONTENT_ENCODING)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let error = match parsed {
        Ok(value) => match json.end() {
            Ok(()) => return Ok(value),
            Err(trailing) => return Err(malformed_json(&trailing)),
        },
        Err(error) => error,
    };
    match error.inner().classify() {
        Category::Data => {
            // serde stops at the first fault; behind it there may be no JSON.
            serde_json::from_slice::<IgnoredAny>(body).map_err(|error| malformed_json(&error))?;
            let message = error.inner().to_string();
            // serde_json adds " at line 1 column 2", which says nothing of the field.
            let message = message
                .rsplit_once(" at line ")
                .map_or(message.as_str(), |(message, _)| message);
            let pointer = json_pointer(error.path());
            let mut field_error = field_error_from_serde(&pointer, message);
            if field_error.code == ValidationCode::UnknownField.as_str() {
                // The path ends at the object that lacks a field or has it twice,
                // but at the field itself if the object may not have it.
                field_error.pointer = pointer;
            }
            Err(Problem::validation(vec![field_error]))
        }
        Category::Syntax | Category::Eof | Category::Io => Err(malformed_json(error.inner())),
    }
}

fn malformed_json(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemKind::MalformedJson, error.to_string())
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape_pointer(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its shape matters")]
        lines: Vec<TestLine>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TestLine {
        #[expect(dead_code, reason = "only its shape matters")]
        quantity: i64,
    }

    fn parse_problem(body: &str) -> (ProblemKind, Option<(String, String)>) {
        let problem = parse::<Body>(body.as_bytes()).unwrap_err();
        let field = problem.errors.first();
        (
            problem.kind,
            field.map(|field| (field.pointer.clone(), field.code.clone())),
        )
    }

    #[test]
    fn names_invalid_field() {
        for (body, pointer, code) in [
            ("{}", "/lines", "missing"),
            (r#"{"lines":[],"x/y":1}"#, "/x~1y", "unknown_field"),
            (
                r#"{"lines":[],"a`b at line ":1}"#,
                "/a`b at line ",
                "unknown_field",
            ),
            (r#"{"lines":[{"x":1}]}"#, "/lines/0/x", "unknown_field"),
            (r#"{"lines":[],"lines":[]}"#, "/lines", "duplicate_field"),
            (
                r#"{"lines":[{"quantity":1},{"quantity":"2"}]}"#,
                "/lines/1/quantity",
                "wrong_type",
            ),
            (r#"{"lines":[{}]}"#, "/lines/0/quantity", "missing"),
            ("[]", "", "wrong_type"),
        ] {
            let field = Some((pointer.to_owned(), code.to_owned()));
            assert_eq!(
                parse_problem(body),
                (ProblemKind::ValidationFailed, field),
                "{body}"
            );
        }
    }

    #[test]
    fn names_expected_type_in_json_terms() {
        fn message<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
            let problem = parse::<T>(body.as_bytes()).unwrap_err();
            problem.errors[0].message.clone()
        }
        for (message, expected) in [
            (message::<Uuid>(r#""abc, expected i64""#), "a UUID"),
            (message::<Uuid>("1"), "a UUID"),
            (
                message::<i64>(r#""1, expected a string""#),
                "a whole number of at most 64 bits",
            ),
            (message::<i64>("1.5"), "a whole number of at most 64 bits"),
            (message::<i64>("1e300"), "a whole number of at most 64 bits"),
            (message::<String>("1"), "a string"),
            (message::<Vec<i64>>("{}"), "an array"),
            (message::<Body>("1"), "an object"),
            (message::<Body>(r#"{"lines":[1]}"#), "an object"),
        ] {
            assert_eq!(message, format!("must be {expected}"));
        }
    }

    #[test]
    fn rejects_malformed_json() {
        for body in [
            "",
            "{",
            "nope",
            r#"{"lines":[]} x"#,
            r#"{"x":1,"#,
            "{} {}",
            "\u{feff}{}",
        ] {
            assert_eq!(
                parse_problem(body),
                (ProblemKind::MalformedJson, None),
                "{body}"
            );
        }
    }
}
