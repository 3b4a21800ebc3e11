//! What librdkafka carries along with a message, so that its report can be told from others.

use crate::journal::message::Topic;

/// A position and a topic, packed into what librdkafka carries along with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) position: u64,
    pub(crate) topic: Topic,
}

impl Ticket {
    #[allow(clippy::cast_possible_truncation)] // 61 bits of positions; 29 on 32-bit machines
    pub(crate) const fn pack(self) -> usize {
        (self.position as usize) << 3 | self.topic as usize
    }

    pub(crate) const fn unpack(packed: usize) -> Self {
        Self { position: (packed >> 3) as u64, topic: Topic::ALL[packed & 7] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_the_journey() {
        for topic in Topic::ALL {
            let ticket = Ticket { position: 123_456_789_012, topic };
            assert_eq!(Ticket::unpack(ticket.pack()), ticket);
        }
    }
}
