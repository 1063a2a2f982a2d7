//! Who may post audit events.

use std::{fs, io, path::PathBuf};

use subtle::ConstantTimeEq as _;
use warp::http::HeaderValue;

use crate::files::Reloaded;

/// Bytes of a token, fewer than which can be guessed.
const MIN_TOKEN: usize = 16;

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The file holds too little.
    #[error("{}: a token has {MIN_TOKEN} characters at least, for example those of 'openssl rand -hex 32'", .0.display())]
    TooShort(PathBuf),
}

/// Who may post. With a token or a client CA, one of the two must be shown.
#[derive(Default)]
pub struct Access {
    /// The token that may be shown as `Authorization: Bearer …`.
    pub token: Option<Token>,
    /// Whether a client certificate may be shown.
    pub certificate: bool,
}

impl Access {
    /// Whether a sender of this header, with a good certificate or none, may post.
    pub(crate) fn allows(&self, certified: bool, authorization: Option<&HeaderValue>) -> bool {
        let open = self.token.is_none() && !self.certificate;
        let token = || self.token.as_ref().is_some_and(|token| authorization.is_some_and(|h| token.is(h)));
        open || (self.certificate && certified) || token()
    }
}

/// A bearer token from a file, read again when the file changes.
pub struct Token {
    path: PathBuf,
    text: Reloaded<String>,
}

impl Token {
    /// Reads the file for the first time.
    pub fn load(path: PathBuf) -> Result<Self, TokenError> {
        let text = Reloaded::new(vec![path.clone()], || read(&path))?;
        Ok(Self { path, text })
    }

    fn is(&self, header: &HeaderValue) -> bool {
        let text = self
            .text
            .get(|| read(&self.path), |error| tracing::error!("the last good token stays in use: {error}"));
        let shown = header
            .as_bytes()
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
        shown.is_some_and(|(_, shown)| shown.trim_ascii().ct_eq(text.as_bytes()).into())
    }
}

fn read(path: &PathBuf) -> Result<String, TokenError> {
    let text = fs::read_to_string(path).map_err(|source| TokenError::Io { path: path.clone(), source })?;
    let token = text.trim();
    if token.len() < MIN_TOKEN {
        return Err(TokenError::TooShort(path.clone()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123";

    fn access(token: bool, certificate: bool) -> (tempfile::TempDir, Access) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, format!("{TOKEN}\n")).unwrap();
        let token = token.then(|| Token::load(path).unwrap());
        (dir, Access { token, certificate })
    }

    #[test]
    fn one_of_what_is_configured_must_be_shown() {
        let good = format!("Bearer {TOKEN}");
        for (token, certificate, certified, header, allowed) in [
            (false, false, false, None, true),
            (true, false, false, None, false),
            (true, false, true, None, false),
            (true, false, false, Some(good.as_str()), true),
            (true, false, false, Some("bearer  0123456789abcdef0123 "), true),
            (true, false, false, Some("Bearer 0123456789abcdef0124"), false),
            (true, false, false, Some("Bearer 0123456789abcdef"), false),
            (true, false, false, Some("Basic 0123456789abcdef0123"), false),
            (true, false, false, Some("Bearer"), false),
            (false, true, false, Some(good.as_str()), false),
            (false, true, true, None, true),
            (true, true, false, None, false),
            (true, true, true, None, true),
            (true, true, false, Some(good.as_str()), true),
        ] {
            let header = header.map(|text| HeaderValue::from_str(text).unwrap());
            let (_dir, access) = access(token, certificate);
            assert_eq!(
                access.allows(certified, header.as_ref()),
                allowed,
                "{token} {certificate} {header:?}"
            );
        }
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert!(matches!(Token::load(path.clone()), Err(TokenError::Io { .. })));
        fs::write(&path, "secret\n").unwrap();
        assert!(matches!(Token::load(path), Err(TokenError::TooShort(_))));
    }
}
