//! The secret of those who may call functions. Only its hash is kept, and compared without telling how much of a guess is
//! right.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// There is nothing in it.
    #[error("the token is empty")]
    Empty,
    /// No header could carry it.
    #[error("the token has spaces, or characters that are not visible ASCII")]
    Characters,
}

impl AdminToken {
    /// Takes a secret, without the white space around it.
    ///
    /// # Errors
    /// When nobody could send it.
    pub fn new(secret: &str) -> Result<Self, InvalidToken> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken::Characters);
        }
        Ok(Self(Sha256::digest(secret).into()))
    }

    /// Whether this is the secret.
    pub(super) fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_secret_without_the_space_around_it_and_nothing_else() {
        let token = AdminToken::new(" s3cret\n").unwrap();
        assert!(token.is("s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "s3cret\n", "s3cretx"] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn what_nobody_could_send_is_refused() {
        assert_eq!(AdminToken::new(" \n").unwrap_err(), InvalidToken::Empty);
        for secret in ["a b", "a\nb", "geheimniß"] {
            assert_eq!(AdminToken::new(secret).unwrap_err(), InvalidToken::Characters, "{secret}");
        }
    }
}
