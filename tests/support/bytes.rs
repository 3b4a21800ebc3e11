//! Bytes as the inputs of `tests/decode` spell them.

/// The bytes that an input stands for: `\xNN` is a byte, `\\` a backslash, and a backslash at the end of a line joins it with the
/// next one.
pub(crate) fn of(input: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = input;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend(plain.bytes());
        rest = match escaped.as_bytes() {
            [b'\\', ..] => {
                bytes.push(b'\\');
                &escaped[1..]
            }
            [b'\n', ..] => &escaped[1..],
            [b'x', ..] => {
                bytes.push(u8::from_str_radix(&escaped[1..3], 16).unwrap());
                &escaped[3..]
            }
            _ => panic!("\\{escaped}: expected \\xNN, \\\\ or the end of a line"),
        };
    }
    bytes.extend(rest.bytes());
    bytes
}
