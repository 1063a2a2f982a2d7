//! Why a request is refused, and what the sender is told.

use saker_events::audit::Rejection;
use serde::Serialize;
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

/// How many refused items an answer names.
const NAMED: usize = 10;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another method than POST.
    #[error("audit events are sent with POST")]
    Method,
    /// A compressed body.
    #[error("a body in another encoding than identity is not read; send it uncompressed")]
    Encoding,
    /// More bytes than allowed.
    #[error(
        "a body of more than {limit} bytes is not read; send smaller batches (--audit-webhook-batch-max-size)"
    )]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// The body did not come in time.
    #[error("the body took more than {seconds} s to arrive")]
    Slow {
        /// Seconds allowed.
        seconds: u64,
    },
    /// The body broke off.
    #[error("the body broke off: {0}")]
    Broken(#[source] warp::Error),
    /// No item could be used.
    #[error("no audit event found: {}", name(.0))]
    NoEvent(Vec<Rejection>),
    /// Nothing more fits in.
    #[error("too many events are waiting; send this batch again later")]
    Overloaded,
    /// The decoder ended before its time. That is a bug of ours.
    #[error("the events could not be read: {0}")]
    Decoder(#[source] tokio::task::JoinError),
}

/// The first refused items.
pub(crate) fn name(rejected: &[Rejection]) -> String {
    let mut text: Vec<String> = rejected.iter().take(NAMED).map(ToString::to_string).collect();
    let more = rejected.len().saturating_sub(NAMED);
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join("; ")
}

#[derive(Serialize)]
struct Body {
    error: String,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            Refusal::Broken(_) | Refusal::NoEvent(_) => StatusCode::BAD_REQUEST,
            Refusal::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Decoder(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The header that goes with the status.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Refusal::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Refusal::Encoding => Some((header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Refusal::Overloaded => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }
}

impl Reply for Refusal {
    fn into_response(self) -> Response {
        let body = warp::reply::json(&Body { error: self.to_string() });
        let mut response = warp::reply::with_status(body, self.status()).into_response();
        response.headers_mut().extend(self.header());
        response
    }
}
