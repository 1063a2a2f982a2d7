//! Who may read the status from another machine or pod: the operator. The cluster's rules come with the hash of its
//! token, so that nothing secret lies on a node, and the agent needs to ask nobody whether the token is good.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use saker_crds::bundle::sha256;
use warp::http::HeaderValue;

/// By what the operator is known.
#[derive(Debug, Default)]
pub struct Operator(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether there is an operator: without one the status is as open as the address that the agent listens on.
    expected: bool,
    /// SHA-256 of its token.
    token: Option<String>,
}

impl Operator {
    /// From now on the operator alone may ask from elsewhere.
    pub fn expect(&self) {
        self.lock().expected = true;
    }

    /// The operator's token has this hash.
    pub fn set_token(&self, sha256: Option<String>) {
        self.lock().token = sha256;
    }

    /// Whether a peer that shows this header may read the status. Whoever is in the agent's own network namespace, by
    /// `kubectl port-forward` for example, may.
    pub fn admits(&self, peer: Option<SocketAddr>, authorization: Option<&HeaderValue>) -> bool {
        let known = self.lock();
        let local = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let shown = || authorization?.to_str().ok()?.strip_prefix("Bearer ");
        let proved = || known.token.is_some() && shown().map(|token| sha256(token.as_bytes())) == known.token;
        !known.expected || local || proved()
    }

    /// Whole values are written: a panic elsewhere leaves them as they are.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_elsewhere_only_the_operator_may_ask() {
        let operator = Operator::default();
        let [near, mapped, far] =
            ["127.0.0.1:1", "[::ffff:127.0.0.1]:1", "10.0.0.1:1"].map(|peer| peer.parse().ok());
        let good = HeaderValue::from_static("Bearer secret");
        assert!(operator.admits(far, None), "there is no operator");
        operator.expect();
        assert!(
            !operator.admits(far, None) && !operator.admits(None, None) && !operator.admits(far, Some(&good))
        );
        assert!(operator.admits(near, None) && operator.admits(mapped, None));
        operator.set_token(Some(sha256(b"secret")));
        assert!(operator.admits(far, Some(&good)) && operator.admits(None, Some(&good)));
        for wrong in ["Bearer Secret", "Bearer ", "secret", "Basic secret", ""] {
            assert!(!operator.admits(far, Some(&HeaderValue::from_static(wrong))), "{wrong}");
        }
        operator.set_token(Some(sha256(b"other")));
        assert!(!operator.admits(far, Some(&good)), "it was replaced");
    }
}
