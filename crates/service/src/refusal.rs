//! Refusals: why a request was not served, as `application/problem+json`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use blindsight_protocol::{Allowance, Code, Problem, headers};

/// Why a request was refused. `detail` says what was expected, what came and what to do; it holds nothing of
/// other clients.
#[derive(Debug)]
pub struct Refusal {
    /// The reason, for programs.
    pub code: Code,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
    allowance: Option<Box<Allowance>>,
}

/// What was asked for, or why not.
pub type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    /// A refusal for this reason; `detail` is for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), header: None, allowance: None }
    }

    /// A refusal that passes by itself.
    pub fn for_now(code: Code, detail: &str) -> Self {
        Self::new(code, detail).with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A bound of the client's token is reached. Where waiting helps, the header says how long.
    pub(crate) fn exhausted(code: Code, detail: String, allowance: Allowance) -> Self {
        let refusal = Self { allowance: Some(Box::new(allowance)), ..Self::new(code, detail) };
        match allowance.retry_after {
            Some(seconds) => refusal.with(header::RETRY_AFTER, seconds.into()),
            None => refusal,
        }
    }

    /// A fault of ours: the cause goes to the log, not to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Code::Internal, "the server failed; its log says why")
    }

    /// What was expected, what came and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The upload does not stand where the client thinks.
    pub(crate) fn wrong_offset(asked: u64, actual: u64) -> Self {
        let detail = format!("the body begins at byte {asked}, but {actual} bytes have arrived: go on there");
        Self::new(Code::WrongOffset, detail)
            .with(HeaderName::from_static(headers::UPLOAD_OFFSET), actual.into())
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    fn status(&self) -> StatusCode {
        match self.code {
            Code::BadRequest | Code::UnsupportedVersion => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::NotFound | Code::UnknownModel | Code::UnknownKeys => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::Timeout => StatusCode::REQUEST_TIMEOUT,
            Code::UploadInProgress | Code::WrongOffset => StatusCode::CONFLICT,
            Code::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::NotConforming => StatusCode::UNPROCESSABLE_ENTITY,
            Code::Busy | Code::RateExceeded | Code::BudgetExceeded => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::QuotaExceeded | Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error").to_string();
        let Self { code, detail, allowance, .. } = self;
        let allowance = allowance.map(|bound| *bound);
        let problem = Problem { title, status: status.as_u16(), code, detail, allowance };
        let body = serde_json::to_vec(&problem).expect("a problem is plain text and numbers");
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.extensions_mut().insert(code);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
