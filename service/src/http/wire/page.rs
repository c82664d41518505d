//! Pages on the wire.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::orders::OrderResponse;
use super::products::ProductResponse;
use crate::domain::order_status::OrderStatus;
use crate::domain::page::{Cursor, List, PageRequest};
use crate::domain::text::parse_short_text;
use crate::domain::validation::{ValidationCode, ValidationError};
use crate::http::extract::{FieldErrors, WHOLE_NUMBER};
use crate::http::problem::Problem;

/// The query of `GET /v1/products`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListProductsQuery {
    /// Rows in a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, nullable = false)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, pattern = "^[A-Za-z0-9_-]+$", nullable = false)]
    cursor: Option<String>,
    /// Only products with this text somewhere in the name, in any case.
    #[param(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$",
        nullable = false
    )]
    search: Option<String>,
}

impl ListProductsQuery {
    /// What the domain makes of it: the page, and the text to search for.
    ///
    /// # Errors
    /// Returns a problem that names every invalid parameter.
    pub(crate) fn check(self) -> Result<(PageRequest, Option<String>), Problem> {
        let mut fields = FieldErrors::default();
        let page = check_page(&mut fields, self.limit, self.cursor, List::Products);
        let search = fields.check_optional(
            "/search",
            self.search.map(|text| parse_short_text(text, 200)),
        );
        fields.finish(page.zip(search))
    }
}

/// The query of `GET /v1/orders`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListOrdersQuery {
    /// Rows in a page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, nullable = false)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1, pattern = "^[A-Za-z0-9_-]+$", nullable = false)]
    cursor: Option<String>,
    /// Only orders that stand there: `pending`, `paid`, `shipped`, `cancelled` or `payment_failed`.
    #[param(
        pattern = "^(pending|paid|shipped|cancelled|payment_failed)$",
        nullable = false
    )]
    status: Option<String>,
}

impl ListOrdersQuery {
    /// What the domain makes of it: the page, and the status to filter by.
    ///
    /// # Errors
    /// Returns a problem that names every invalid parameter.
    pub(crate) fn check(self) -> Result<(PageRequest, Option<OrderStatus>), Problem> {
        let mut fields = FieldErrors::default();
        let page = check_page(&mut fields, self.limit, self.cursor, List::Orders);
        let status = self.status.map(|status| OrderStatus::parse(&status));
        let status = fields.check_optional("/status", status);
        fields.finish(page.zip(status))
    }
}

fn check_page(
    fields: &mut FieldErrors,
    limit: Option<String>,
    cursor: Option<String>,
    list: List,
) -> Option<PageRequest> {
    let limit = match limit {
        None => Ok(PageRequest::DEFAULT_LIMIT),
        Some(text) => text.parse().map_err(|_| {
            ValidationError::new(ValidationCode::WrongType, format!("must be {WHOLE_NUMBER}"))
        }),
    };
    let limit = fields.check("/limit", limit.and_then(PageRequest::parse_limit));
    let cursor = cursor.map(|text| Cursor::decode(&text, list));
    let after = fields.check_optional("/cursor", cursor);
    let (limit, after) = limit.zip(after)?;
    Some(PageRequest { limit, after })
}

/// A page of products.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProductPage {
    /// The products.
    pub(crate) items: Vec<ProductResponse>,
    /// For the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

/// A page of orders.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderPage {
    /// The orders.
    pub(crate) items: Vec<OrderResponse>,
    /// For the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}
