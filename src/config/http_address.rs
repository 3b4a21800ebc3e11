//! Where HTTP is served: an address and a port, or `localhost` and a port.
//!
//! `localhost` is 127.0.0.1 for some clients and ::1 for others: it means both, and no other machine.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

const LOCALHOST: &str = "localhost";

/// Where HTTP is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpAddress {
    /// There alone.
    At(SocketAddr),
    /// On this port of both loopback addresses.
    Localhost(u16),
}

impl HttpAddress {
    /// The default: 127.0.0.1:9464.
    pub const DEFAULT: Self = Self::At(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464));

    /// Returns the address that is served in any case.
    pub fn first(self) -> SocketAddr {
        match self {
            Self::At(address) => address,
            Self::Localhost(port) => (Ipv4Addr::LOCALHOST, port).into(),
        }
    }

    /// Whether the other loopback address, that of [`Self::beside`], is served too where the machine has it.
    pub const fn is_localhost(self) -> bool {
        matches!(self, Self::Localhost(_))
    }

    /// Returns the IPv6 loopback with the port of `first`, which may have been chosen by the system.
    pub fn beside(first: SocketAddr) -> SocketAddr {
        (Ipv6Addr::LOCALHOST, first.port()).into()
    }
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || {
            format!(
                "expected an IP address and a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"localhost:9464\" \
                 for both, found {text:?}"
            )
        };
        if let Some((_, port)) = text.rsplit_once(':').filter(|(name, _)| name.eq_ignore_ascii_case(LOCALHOST)) {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            return port.parse().ok().filter(|_| is_number).map(Self::Localhost).ok_or_else(expected);
        }
        text.parse().map(Self::At).map_err(|_| expected())
    }
}

impl From<SocketAddr> for HttpAddress {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "{LOCALHOST}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_read_and_written_and_nothing_else() {
        let cases = [
            ("127.0.0.1:9464", "127.0.0.1:9464", false),
            ("[::1]:0", "[::1]:0", false),
            ("localhost:9464", "127.0.0.1:9464", true),
            ("LocalHost:1", "127.0.0.1:1", true),
        ];
        for (text, first, is_localhost) in cases {
            let address: HttpAddress = text.parse().unwrap();
            assert_eq!((address.first().to_string().as_str(), address.is_localhost()), (first, is_localhost), "{text}");
            assert_eq!(address.to_string(), text.to_lowercase());
        }
        for text in ["localhost", "localhost:", "localhost:+1", "localhost:70000", "host:1", "9464", "127.0.0.1"] {
            assert!(text.parse::<HttpAddress>().unwrap_err().contains("\"localhost:9464\" for both"), "{text}");
        }
    }
}
