//! Reads a file up to a bound: an endless or unintended file must not exhaust the memory of a running service.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// Most bytes of a configuration file.
pub const LARGEST_CONFIGURATION: usize = 1024 * 1024;

/// Most bytes of a file that holds a value, named by a variable ending in `_FILE`.
pub const LARGEST_VALUE: usize = 64 * 1024;

/// Most bytes of a file with a secret.
pub const LARGEST_SECRET: usize = 4 * 1024;

/// Most bytes of a file with certificates or a key.
pub const LARGEST_PEM: usize = 1024 * 1024;

/// Most bytes of a mapping file: a million rows.
pub const LARGEST_MAPPING: usize = 64 * 1024 * 1024;

/// Reads a whole file that has at most so many bytes.
///
/// # Errors
/// When it cannot be read, or has more.
pub fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let message = format!("it is larger than {} KiB, which no such file should be", most / 1024);
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Why a file cannot be read, without the system's error number.
pub fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_at_most_so_many_bytes_and_an_endless_one_is_not_read_to_its_end() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        for most in [LARGEST_SECRET, LARGEST_VALUE, LARGEST_CONFIGURATION, LARGEST_PEM, LARGEST_MAPPING] {
            std::fs::write(&path, vec![b'x'; most]).unwrap();
            assert_eq!(read(&path, most).unwrap().len(), most);
            std::fs::write(&path, vec![b'x'; most + 1]).unwrap();
            let told = read(&path, most).unwrap_err();
            assert_eq!(told.kind(), ErrorKind::FileTooLarge);
            println!("a file of {} bytes, limit {most}: {told}", most + 1);
        }
        assert_eq!(read(Path::new("/dev/zero"), LARGEST_SECRET).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
