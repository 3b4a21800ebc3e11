//! The unfinished handshakes of a listener: bounded, and the oldest gives way.
//!
//! A peer that opens connections and stays silent must not keep CMS out. A newcomer that found every place taken would have
//! to wait for a time limit; instead the handshake that has taken longest loses its place. An honest handshake takes
//! milliseconds, so that only a steady flood of connections can displace it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::engine::session::ConnectionId;

/// Most unfinished handshakes of one listener.
pub const MAX_HANDSHAKES: usize = 8;

/// The unfinished handshakes of a listener.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshakes(Arc<Mutex<VecDeque<(ConnectionId, CancellationToken)>>>);

impl Handshakes {
    /// Adds one; the token is cancelled when it has to give way.
    pub(super) fn begin(&self, id: ConnectionId) -> CancellationToken {
        let gives_way = CancellationToken::new();
        let mut open = self.0.lock();
        if open.len() >= MAX_HANDSHAKES
            && let Some((_, oldest)) = open.pop_front()
        {
            oldest.cancel();
        }
        open.push_back((id, gives_way.clone()));
        gives_way
    }

    /// Removes one, however it ended.
    pub(super) fn end(&self, id: ConnectionId) {
        self.0.lock().retain(|(open, _)| *open != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let handshakes = Handshakes::default();
        let tokens: Vec<_> = (0..10).map(|id| handshakes.begin(id)).collect();
        let displaced: Vec<_> = tokens.iter().map(CancellationToken::is_cancelled).collect();
        assert_eq!(displaced, [true, true, false, false, false, false, false, false, false, false]);
        handshakes.end(5);
        assert!(!handshakes.begin(10).is_cancelled());
        assert!(!tokens[2].is_cancelled(), "there was room");
    }
}
