//! Files, by hand.
