//! The engine: what an event loop is, without Python.
//!
//! Role: the data structures and system calls of one event loop, each in a file
//! of its own. Nothing here knows what a callback is: the ready queue and the
//! timers are generic over what they hold, the driver speaks in file
//! descriptors and tokens.
//!
//! Threads: everything belongs to the thread that runs the loop, except
//! [`waker::Waker::wake`], which any thread may call, and the threads of [`resolver`].

pub mod boundary;
pub mod bytes;
pub mod clock;
pub mod driver;
pub mod heap;
pub mod ready;
pub mod registry;
pub mod resolver;
pub mod search;
pub mod signals;
pub mod timers;
pub mod turn;
pub mod waker;
