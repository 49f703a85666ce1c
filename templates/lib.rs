//! The block library. One folder a block, with all that is known of it; [`registry`] lists what is here.
//!
//! Blocks know only `nervure-core`, and each other only by name through the registry.

use nervure_core::registry::{AnyBlock, Registry, erase};

mod shared;

include!(concat!(env!("OUT_DIR"), "/library.rs"));

/// Every block, every target, and the templates that back ends share.
pub fn registry() -> Registry {
    let target = |text: &&str| serde_yaml::from_str(text).expect("the library's own target files are valid");
    Registry::new(blocks(), TARGETS.iter().map(target).collect(), shared::TEMPLATES.to_vec())
}
