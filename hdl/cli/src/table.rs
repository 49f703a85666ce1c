//! Plain tables and bars for people.

/// Columns as wide as their widest cell; the last is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(c, s)| format!("{s:0$}", widths[c]));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `name`, a bar of forty characters, and numbers.
pub(crate) fn bar(name: &str, used: f64, of: f64) -> String {
    const WIDTH: usize = 40;
    let share = if of > 0.0 { used / of } else { f64::from(u8::from(used > 0.0)) * 10.0 };
    let full = ((share * WIDTH as f64).ceil() as usize).min(WIDTH);
    let short = if used > of { "  does not fit" } else { "" };
    format!(
        "  {name:10}[{}{}] {:5.1} %  {used:.0} of {of:.0}{short}",
        "#".repeat(full),
        ".".repeat(WIDTH - full),
        share * 100.0
    )
}

/// `1234567` as `1 234 567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|g| std::str::from_utf8(g).expect("digits are ASCII"))
        .collect();
    groups.join(" ")
}
