//! The `nervure` command.

fn main() {}
