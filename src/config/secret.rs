//! The secret of a token, of which only the SHA-256 is kept: nothing in memory could be shown by mistake.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads it from 64 hexadecimal digits, as `sha256sum` prints them.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        Some(Self(hash))
    }

    /// Whether this is the hash of the same secret; takes the same time whichever bytes differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_sha256sum_and_is_not_shown() {
        // printf 'abc' | sha256sum
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash = SecretHash::from_hex(hex).unwrap();
        assert!(hash.is_same(&SecretHash::of(b"abc")) && !hash.is_same(&SecretHash::of(b"abd")));
        assert!(SecretHash::from_hex(&hex.to_uppercase()).unwrap().is_same(&hash));
        assert_eq!(format!("{hash:?}"), "SecretHash(…)");
        for wrong in ["", "ba78", &hex[1..], &hex.replace('f', "g"), &"é".repeat(32)] {
            assert_eq!(SecretHash::from_hex(wrong), None, "{wrong}");
        }
    }
}
