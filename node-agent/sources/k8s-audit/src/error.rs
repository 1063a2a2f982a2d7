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
    /// Nothing was shown that allows to post.
    #[error(
        "audit events are taken from known senders only: show a client certificate that k8s_audit.client_ca signed, or 'Authorization: Bearer …' with the token of k8s_audit.token_file"
    )]
    Unauthorized,
    /// A body compressed by other means than gzip.
    #[error("a body in another encoding than gzip is not read; send it with gzip or uncompressed")]
    Encoding,
    /// A body that is not what its header says.
    #[error("the body cannot be unpacked: {0}")]
    NotGzip(#[source] std::io::Error),
    /// More bytes than allowed.
    #[error(
        "a body of more than {limit} bytes, unpacked, is not read; send smaller batches (--audit-webhook-batch-max-size)"
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
    /// The work ended before its time. That is a bug of ours.
    #[error("the events could not be read: {0}")]
    Task(#[source] tokio::task::JoinError),
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
    /// Its name in [`crate::OUTCOMES`], and the status of the answer.
    const fn row(&self) -> (&'static str, StatusCode) {
        match self {
            Refusal::Method => ("wrong_method", StatusCode::METHOD_NOT_ALLOWED),
            Refusal::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED),
            Refusal::Encoding => ("wrong_encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Refusal::NotGzip(_) => ("not_gzip", StatusCode::BAD_REQUEST),
            Refusal::TooLarge { .. } => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
            Refusal::Slow { .. } => ("timed_out", StatusCode::REQUEST_TIMEOUT),
            Refusal::Broken(_) => ("broken_off", StatusCode::BAD_REQUEST),
            Refusal::NoEvent(_) => ("no_event", StatusCode::BAD_REQUEST),
            Refusal::Overloaded => ("overloaded", StatusCode::TOO_MANY_REQUESTS),
            Refusal::Task(_) => ("failed", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    pub(crate) const fn outcome(&self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.row().1
    }

    /// The header that goes with the status.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Refusal::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Refusal::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Refusal::Encoding => Some((header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"))),
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
