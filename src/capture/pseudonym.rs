//! Pseudonyms from a key: a person has the same one in every capture made with that key.
//!
//! Login ids and extensions are *permuted* among the texts of their shape (HMAC-SHA-256 as the round function of a Feistel
//! network), so that no two people become one, however short the ids are. Names become letters taken from the HMAC: two of
//! the same length could collide, for five letters one pair in 12 million. Somebody who has the key can find out who a person
//! is, if only by trying; without it nobody can. Lengths are not hidden.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::wire::layout::Column;
use crate::wire::mask::Replace;

/// Bytes of a key that is made here.
const KEY_BYTES: usize = 32;
/// Fewest characters of a key that somebody else has made.
const LEAST_KEY: usize = 32;
/// Bytes of its file.
const LARGEST_KEY: usize = 4 * 1024;
/// Rounds of the permutation, each over one half.
const ROUNDS: u8 = 10;
/// Symbols that are permuted at once: as many letters as a 128-bit number has room for.
const BLOCK: usize = 26;
/// Pseudonyms that are remembered.
const MOST_REMEMBERED: usize = 200_000;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The content is too short for a key.
    #[error("expected at least {LEAST_KEY} characters")]
    TooShort,
    /// The content is far too long for a key.
    #[error("expected at most {LARGEST_KEY} bytes")]
    TooLong,
    /// Others may read it.
    #[error("others may read it (mode {0:o}): `chmod 600` keeps them out")]
    Open(u32),
    /// The system gives no random numbers.
    #[error("no random numbers")]
    Random,
}

/// Gives pseudonyms.
#[derive(Debug)]
pub struct Pseudonyms {
    key: hmac::Key,
    known: HashMap<(Column, Vec<u8>), Vec<u8>>,
}

impl Pseudonyms {
    /// Creates them with the key in a file; a missing file is created, readable by its owner alone. True if it was created.
    ///
    /// # Errors
    /// When the file cannot be read or created, or does not hold a key.
    pub fn from_file(path: &Path) -> Result<(Self, bool), KeyError> {
        match File::open(path) {
            Ok(file) => Ok((Self::read(file)?, false)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Self::make(path)?, true)),
            Err(error) => Err(error.into()),
        }
    }

    fn read(file: File) -> Result<Self, KeyError> {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open(mode));
        }
        let mut text = String::new();
        file.take(LARGEST_KEY as u64 + 1).read_to_string(&mut text)?;
        let key = text.trim();
        match key.len() {
            _ if text.len() > LARGEST_KEY => Err(KeyError::TooLong),
            ..LEAST_KEY => Err(KeyError::TooShort),
            _ => Ok(Self::new(key.as_bytes())),
        }
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::Random)?;
        let text = hex::encode(bytes);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        Ok(Self::new(text.as_bytes()))
    }

    /// Creates them with these bytes as the key.
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(HMAC_SHA256, key), known: HashMap::new() }
    }

    fn remembered(&mut self, column: Column, bytes: &[u8], make: impl FnOnce(&hmac::Key) -> Vec<u8>) -> Vec<u8> {
        let key = (column, bytes.to_vec());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        if self.known.len() >= MOST_REMEMBERED {
            self.known.clear();
        }
        let made = make(&self.key);
        self.known.insert(key, made.clone());
        made
    }
}

impl Replace for Pseudonyms {
    fn same_shape(&mut self, column: Column, bytes: &[u8], is_free: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
        self.remembered(column, bytes, |key| {
            let mut walked = permuted(key, column, bytes);
            // Restricted to the free ones it is a permutation, too. It comes back to `bytes` in the end, which are free.
            while !is_free(&walked) && walked != bytes {
                walked = permuted(key, column, &walked);
            }
            walked
        })
    }

    fn letters(&mut self, column: Column, bytes: &[u8]) -> Vec<u8> {
        self.remembered(column, bytes, |key| {
            let mut letters = Vec::with_capacity(bytes.len());
            for block in 0_u32.. {
                if letters.len() >= bytes.len() {
                    break;
                }
                let tag = tag(key, column, &[b"letters", &block.to_be_bytes(), bytes]);
                letters.extend(tag.as_ref().iter().map(|byte| b'a' + byte % 26));
            }
            letters.truncate(bytes.len());
            letters
        })
    }
}

/// Returns a tag over parts, each preceded by its length.
fn tag(key: &hmac::Key, column: Column, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [column.name().as_bytes()].iter().chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

/// The number of symbols that may replace this one, and its own index among them; `None`: it stays.
const fn symbol(byte: u8) -> Option<(u128, u128)> {
    match byte {
        b'0'..=b'9' => Some((10, (byte - b'0') as u128)),
        b'a'..=b'z' => Some((26, (byte - b'a') as u128)),
        b'A'..=b'Z' => Some((26, (byte - b'A') as u128)),
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation)] // below 26
const fn of_number(like: u8, number: u128) -> u8 {
    let number = number as u8;
    match like {
        b'0'..=b'9' => b'0' + number,
        b'a'..=b'z' => b'a' + number,
        _ => b'A' + number,
    }
}

/// Applies a permutation of the texts with the same kinds of symbols in the same places. Bytes beyond ASCII become an `x`,
/// and what was there selects another permutation.
fn permuted(key: &hmac::Key, column: Column, bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = bytes.iter().map(|byte| if byte.is_ascii() { *byte } else { b'x' }).collect();
    let beyond: Vec<u8> = bytes.iter().filter(|byte| !byte.is_ascii()).copied().collect();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| symbol(bytes[*at]).is_some()).collect();
    for block in places.chunks(BLOCK) {
        let (mut size, mut value) = (1_u128, 0_u128);
        let mut others = out.clone();
        for at in block {
            let Some((count, number)) = symbol(out[*at]) else { continue };
            size *= count;
            value = value * count + number;
            others[*at] = if count == 10 { b'0' } else { b'a' };
        }
        let mut image = permuted_number(key, column, &[&others, &beyond], size, value);
        for at in block.iter().rev() {
            let Some((count, _)) = symbol(out[*at]) else { continue };
            out[*at] = of_number(out[*at], image % count);
            image /= count;
        }
    }
    out
}

/// Applies a permutation of the numbers below `size`.
fn permuted_number(key: &hmac::Key, column: Column, tweak: &[&[u8]; 2], size: u128, value: u128) -> u128 {
    let left_size = size.isqrt() + 1;
    let right_size = size.div_ceil(left_size);
    let mut walked = value;
    loop {
        let (mut left, mut right) = (walked / right_size, walked % right_size);
        for round in 0..ROUNDS {
            let (other, own, own_size) =
                if round % 2 == 0 { (right, &mut left, left_size) } else { (left, &mut right, right_size) };
            let parts: [&[u8]; 6] =
                [b"permute", tweak[0], tweak[1], &size.to_be_bytes(), &[round], &other.to_be_bytes()];
            let tag = tag(key, column, &parts);
            let number = tag.as_ref().iter().take(15).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
            *own = (*own + number % own_size) % own_size;
        }
        walked = left * right_size + right;
        // Each of the few numbers that are too large leads to another one, and in the end back below `size`.
        if walked < size {
            return walked;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn any(_: &[u8]) -> bool {
        true
    }

    #[test]
    fn no_two_become_one() {
        let mut pseudonyms = Pseudonyms::new(b"a key");
        for width in [1, 2, 4] {
            let all: Vec<String> =
                (0..10_u32.pow(width)).map(|n| format!("{n:0width$}", width = width as usize)).collect();
            let images: HashSet<Vec<u8>> =
                all.iter().map(|id| pseudonyms.same_shape(Column::LoginId, id.as_bytes(), &any)).collect();
            assert_eq!(images.len(), all.len());
            assert!(images.iter().all(|image| image.len() == width as usize && image.iter().all(u8::is_ascii_digit)));
        }
        // Texts that must not be produced are left out, and the rest is still a permutation.
        let free = |id: &[u8]| id != b"00" && id != b"99";
        let all = (0..100).map(|n| format!("{n:02}")).filter(|id| free(id.as_bytes()));
        let images: HashSet<Vec<u8>> =
            all.map(|id| Pseudonyms::new(b"k").same_shape(Column::LoginId, id.as_bytes(), &free)).collect();
        assert!(images.len() == 98 && images.iter().all(|image| free(image)));
    }

    #[test]
    fn so_many_are_remembered_and_the_rest_is_made_again() {
        let mut pseudonyms = Pseudonyms::new(b"a key");
        let mut image = |number: usize| {
            let image = pseudonyms.same_shape(Column::LoginId, number.to_string().as_bytes(), &any);
            (image, pseudonyms.known.len())
        };
        let (first, _) = image(0);
        assert_eq!((1..MOST_REMEMBERED).map(|number| image(number).1).max(), Some(MOST_REMEMBERED));
        assert_eq!(image(MOST_REMEMBERED).1, 1);
        assert_eq!(image(0), (first, 2));
    }

    #[test]
    fn the_shape_stays_and_the_key_counts() {
        let mut one = Pseudonyms::new(b"one");
        for id in
            ["301204", "AB-0471x", "7", "a long login id with 20 words and 123456789012345678901234567890 digits", "é7"]
        {
            let image = one.same_shape(Column::LoginId, id.as_bytes(), &any);
            let kinds = |bytes: &[u8]| -> Vec<u8> {
                let kind = |byte: &u8| match byte {
                    b'0'..=b'9' => b'0',
                    b'a'..=b'z' | 0x80.. => b'a',
                    b'A'..=b'Z' => b'A',
                    other => *other,
                };
                bytes.iter().map(kind).collect()
            };
            assert_eq!(kinds(&image), kinds(id.as_bytes()), "{id}");
            assert_eq!(Pseudonyms::new(b"one").same_shape(Column::LoginId, id.as_bytes(), &any), image, "again");
            assert_ne!(one.same_shape(Column::Extension, b"301204", &any), b"301204");
        }
        let images = [b"one", b"two"].map(|key| Pseudonyms::new(key).same_shape(Column::LoginId, b"301204", &any));
        assert_ne!(images[0], images[1]);
        let names = ["Lovelace, Ada", "Müller"].map(|name| one.letters(Column::Name, name.as_bytes()));
        assert_eq!(names.each_ref().map(Vec::len), [13, 7]);
        assert!(names.iter().flatten().all(u8::is_ascii_lowercase));
    }

    #[test]
    fn a_key_is_made_once_and_is_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let (mut made, is_new) = Pseudonyms::from_file(&path).unwrap();
        assert!(is_new);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (mut read, is_new) = Pseudonyms::from_file(&path).unwrap();
        assert!(!is_new);
        let image = |pseudonyms: &mut Pseudonyms| pseudonyms.same_shape(Column::LoginId, b"301204", &any);
        assert_eq!(image(&mut made), image(&mut read));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            Pseudonyms::from_file(&path).unwrap_err().to_string(),
            "others may read it (mode 640): `chmod 600` keeps them out"
        );
        std::fs::write(&path, "short\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(Pseudonyms::from_file(&path), Err(KeyError::TooShort)));
        for (bytes, is_key) in [(LARGEST_KEY, true), (LARGEST_KEY + 1, false)] {
            std::fs::write(&path, "k".repeat(bytes)).unwrap();
            let read = Pseudonyms::from_file(&path);
            assert_eq!(read.is_ok(), is_key, "{bytes}");
            assert!(is_key || matches!(read, Err(KeyError::TooLong)));
        }
    }
}
