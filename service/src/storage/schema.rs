//! The tables as diesel sees them; `migrations/` says what each column is for.
#![expect(missing_docs, reason = "the migrations describe the columns")]

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    products (id) {
        id -> Uuid,
        sku -> Text,
        name -> Text,
        price_minor -> Int8,
        currency -> Text,
        stock -> Int4,
        stock_received -> Int8,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        search_key -> Nullable<Text>,
        search_key_source -> Nullable<Text>,
    }
}

diesel::table! {
    orders (id) {
        id -> Uuid,
        user_id -> Uuid,
        status -> Text,
        total_minor -> Int8,
        currency -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        failure_reason -> Nullable<Text>,
    }
}

diesel::table! {
    order_lines (order_id, line_no) {
        order_id -> Uuid,
        line_no -> Int2,
        product_id -> Uuid,
        quantity -> Int4,
        unit_price_minor -> Int8,
        line_total_minor -> Int8,
    }
}

diesel::table! {
    payments (order_id) {
        order_id -> Uuid,
        charge_id -> Text,
        amount_minor -> Int8,
        currency -> Text,
        paid_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (user_id, key) {
        user_id -> Uuid,
        key -> Text,
        fingerprint -> Bytea,
        resource_id -> Nullable<Uuid>,
        response_body -> Nullable<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (kind, key) {
        kind -> Text,
        key -> Text,
        payload -> Jsonb,
        attempts -> Int4,
        run_at -> Timestamptz,
        due_at -> Timestamptz,
        lease_token -> Nullable<Uuid>,
        last_error -> Nullable<Text>,
        dead_at -> Nullable<Timestamptz>,
        trace_context -> Nullable<Text>,
    }
}

diesel::table! {
    outbox (id) {
        id -> Int8,
        event_id -> Uuid,
        order_id -> Uuid,
        kind -> Text,
        data -> Text,
        occurred_at -> Timestamptz,
        trace_context -> Nullable<Text>,
    }
}

/// Their names, in the order from above.
pub(super) const TABLES: [&str; 8] = [
    "users",
    "products",
    "orders",
    "order_lines",
    "payments",
    "idempotency_keys",
    "jobs",
    "outbox",
];

diesel::allow_tables_to_appear_in_same_query!(orders, order_lines, users);
diesel::allow_tables_to_appear_in_same_query!(products, idempotency_keys);
