//! What the operator remembers from one reconcile to the next. It only spares writes, and nothing of it must survive a
//! restart.

mod pace;
mod shipped;

pub(super) use pace::Pace;
pub(super) use shipped::Shipped;

/// What is remembered.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which bundles were shipped.
    pub(super) shipped: Shipped,
    /// Which statuses were written, and which are to be written later.
    pub(super) pace: Pace,
}
