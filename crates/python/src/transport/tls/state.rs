//! How far a TLS connection has come: asyncio's `SSLProtocolState`.
//!
//! ```text
//! Unwrapped -> DoHandshake -> Wrapped -> Flushing -> Shutdown
//!     ^------------ from any of them: the end -----------'
//! ```
//!
//! asyncio's `_set_state()` holds the transitions; it assigns `_state`, a property of ours.

use crate::ffi::{Obj, PyResult, Raised};

use super::lookups::Lookups;

/// What may happen on the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No TLS yet, or no longer.
    #[default]
    Unwrapped,
    /// The handshake is under way: what is written waits.
    DoHandshake,
    /// Data goes both ways.
    Wrapped,
    /// Closing: what has come is still handed over.
    Flushing,
    /// Closing: the peer's farewell is waited for.
    Shutdown,
}

/// In the order of the members that [`Lookups`] holds.
const STATES: [State; 5] =
    [State::Unwrapped, State::DoHandshake, State::Wrapped, State::Flushing, State::Shutdown];

impl State {
    /// Of asyncio's member.
    pub fn from_member(member: &Obj) -> PyResult<Self> {
        let members = &Lookups::get().states;
        let found = members.iter().zip(STATES).find(|(known, _)| known.is(member));
        found
            .map(|(_, state)| state)
            .ok_or_else(|| Raised::type_error("not a member of asyncio.sslproto.SSLProtocolState"))
    }

    /// asyncio's member.
    pub fn member(self) -> Obj {
        let members = &Lookups::get().states;
        match self {
            Self::Unwrapped => members[0].clone(),
            Self::DoHandshake => members[1].clone(),
            Self::Wrapped => members[2].clone(),
            Self::Flushing => members[3].clone(),
            Self::Shutdown => members[4].clone(),
        }
    }

    /// Whether data that has come goes to the program.
    #[inline]
    pub fn reads(self) -> bool {
        matches!(self, Self::Wrapped | Self::Flushing)
    }

    /// Whether what is written is dropped.
    #[inline]
    pub fn drops_writes(self) -> bool {
        matches!(self, Self::Unwrapped | Self::Flushing | Self::Shutdown)
    }
}
