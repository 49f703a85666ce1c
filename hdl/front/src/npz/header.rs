//! The header of a `.npy` array: element type, order and shape.

use std::io::Read;

/// Type of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// Integer with sign, of 1, 2, 4 or 8 bytes.
    Signed(usize),
    /// Integer without sign, of 1, 2, 4 or 8 bytes.
    Unsigned(usize),
    /// IEEE 754, of 2, 4 or 8 bytes.
    Float(usize),
}

impl Dtype {
    /// Bytes an element.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Signed(n) | Self::Unsigned(n) | Self::Float(n) => n,
        }
    }

    fn parse(kind: char, size: usize) -> Option<Self> {
        match (kind, size) {
            ('b', 1) => Some(Self::Bool),
            ('i', 1 | 2 | 4 | 8) => Some(Self::Signed(size)),
            ('u', 1 | 2 | 4 | 8) => Some(Self::Unsigned(size)),
            ('f', 2 | 4 | 8) => Some(Self::Float(size)),
            _ => None,
        }
    }
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reject {
    /// It is broken, and how.
    Broken(String),
    /// The element type is not one of whole numbers or floating point.
    Type(String),
}

/// Reads a header of format version 1, 2 or 3.
pub(super) fn read(from: &mut impl Read) -> Result<Header, Reject> {
    let broken = |what: &str| Reject::Broken(what.to_owned());
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(|e| Reject::Broken(e.to_string()))?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(broken("it does not start with NumPy's mark"));
    }
    let mut length = [0; 4];
    let bytes = if start[6] == 1 { 2 } else { 4 };
    from.read_exact(&mut length[..bytes]).map_err(|e| Reject::Broken(e.to_string()))?;
    let length = u32::from_le_bytes(length) as usize;
    if !(1..=3).contains(&start[6]) || length > 1 << 16 {
        return Err(broken("its header has an unknown version or length"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(|e| Reject::Broken(e.to_string()))?;
    dictionary(&String::from_utf8_lossy(&text))
}

/// `{'descr': '<i8', 'fortran_order': False, 'shape': (3, 4), }`
fn dictionary(text: &str) -> Result<Header, Reject> {
    let missing = |key: &str| Reject::Broken(format!("its header has no `{key}`"));
    let value = |key: &str| {
        let (_, after) = text.split_once(&format!("'{key}'")).ok_or_else(|| missing(key))?;
        after.trim_start().strip_prefix(':').map(str::trim_start).ok_or_else(|| missing(key))
    };
    let descr = value("descr")?;
    let Some((descr, _)) = descr.strip_prefix('\'').and_then(|d| d.split_once('\'')) else {
        return Err(Reject::Type("a structure".to_owned()));
    };
    let unknown = || Reject::Type(descr.chars().take(20).collect());
    let order = descr.chars().next().filter(|c| "<>|=".contains(*c)).ok_or_else(unknown)?;
    let mut rest = descr[1..].chars();
    let kind = rest.next().ok_or_else(unknown)?;
    let dtype = rest.as_str().parse().ok().and_then(|size| Dtype::parse(kind, size)).ok_or_else(unknown)?;

    let shape = value("shape")?;
    let inner = shape.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or_else(|| missing("shape"))?.0;
    let extents = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape: Result<Vec<usize>, _> = extents.map(|s| s.trim_end_matches('L').parse()).collect();
    let shape = shape.map_err(|_| Reject::Broken("its shape is not a list of whole numbers".to_owned()))?;
    if shape.len() > 32 {
        return Err(Reject::Broken("it has more than 32 axes".to_owned()));
    }
    Ok(Header {
        dtype,
        big_endian: order == '>',
        fortran: value("fortran_order")?.starts_with("True"),
        shape,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes_and_refuses_the_rest() {
        let header =
            dictionary("{'descr': '>i4', 'fortran_order': True, 'shape': (3, 4), }  \n").expect("a header");
        assert_eq!(
            header,
            Header { dtype: Dtype::Signed(4), big_endian: true, fortran: true, shape: vec![3, 4] }
        );
        let shape =
            |s: &str| dictionary(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {s}}}"));
        assert_eq!(shape("()").expect("a header").shape, [0; 0]);
        assert_eq!(shape("(5,)").expect("a header").shape, [5]);
        for bad in ["", "(", "(-1,)", "(x)", "5"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
        for bad in ["|O", "<c8", "<U5", "<M8[ns]", "", "<", "<i16", "i8", "\u{e9}4", "<f\u{e9}"] {
            let text = format!("{{'descr': '{bad}', 'fortran_order': False, 'shape': ()}}");
            assert!(matches!(dictionary(&text), Err(Reject::Type(_))), "{bad}");
        }
        assert!(matches!(dictionary("{'descr': [('a', '<i4')], 'shape': ()}"), Err(Reject::Type(_))));
        assert!(read(&mut &b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..]).is_err());
    }
}
