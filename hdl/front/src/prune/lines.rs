//! Which weights are consecutive inputs of one output.

/// The elements of a tensor that lie on one line along the inputs: the place of the first, and the distance of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Place of the first.
    pub(super) start: usize,
    /// Distance of two.
    pub(super) stride: usize,
    /// How many.
    pub(super) len: usize,
}

impl Line {
    /// The places, in blocks of `m`; the last may be short.
    pub(super) fn blocks(self, m: usize) -> impl Iterator<Item = Vec<usize>> {
        (0..self.len)
            .step_by(m)
            .map(move |from| (from..self.len.min(from + m)).map(|n| self.start + n * self.stride).collect())
    }
}

/// The axis of the inputs. A `layout` that names inputs and outputs says which it is (the height is left out where a map has one
/// axis); else the `description` of the weights, where it lists as many axes, such as `[out, in]`; else it is the last.
pub(super) fn axis(rank: usize, layout: Option<&str>, description: &str) -> usize {
    let named = layout.filter(|l| l.contains('i') && l.contains('o')).and_then(|layout| {
        let letters: Vec<char> = layout.chars().filter(|c| rank == layout.len() || *c != 'h').collect();
        letters.iter().position(|c| *c == 'i').filter(|_| letters.len() == rank)
    });
    let listed = || {
        let lists = description.split("`[").skip(1).filter_map(|text| text.split_once("]`"));
        let mut lists = lists.map(|(list, _)| list.split(',').map(str::trim).collect::<Vec<_>>());
        let list = lists.find(|list| list.len() == rank)?;
        list.iter().position(|axis| axis.split(' ').next() == Some("in"))
    };
    named.or_else(listed).unwrap_or(rank - 1)
}

/// All lines of a tensor of this shape along an axis. Together they hold every element once.
pub(super) fn along(shape: &[usize], axis: usize) -> Vec<Line> {
    let (len, stride) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let outer = shape[..axis].iter().product::<usize>();
    let line = |o: usize| (0..stride).map(move |i| Line { start: o * len * stride + i, stride, len });
    (0..outer).flat_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_the_inputs_is_the_one_that_is_named() {
        let cases = [
            (2, None, 1),
            (3, None, 2),
            (4, Some("hwio"), 2),
            (4, Some("oihw"), 1),
            (4, Some("hwoi"), 3),
            (4, Some("iohw"), 0),
            (3, Some("hwio"), 1),
            (3, Some("iohw"), 0),
            (4, Some("hwc"), 3), // That of an input.
            (2, Some("hwio"), 1),
        ];
        for (rank, layout, expected) in cases {
            assert_eq!(axis(rank, layout, ""), expected, "{rank} axes, {layout:?}");
        }
        let described = "Weights, `[out, in / groups, height, width]`, or `[groups, out, in]`, of `x`";
        assert_eq!([4, 3, 2].map(|rank| axis(rank, None, described)), [1, 2, 1]);
        assert_eq!(axis(4, Some("hwio"), described), 2);
        assert_eq!(axis(4, Some("hwc"), "`[out, in]` or `[out, height, width, in]`"), 3);
    }

    #[test]
    fn lines_hold_every_element_once() {
        for (shape, axis) in [(vec![3, 5], 1), (vec![2, 3, 4, 5], 2), (vec![2, 3, 4], 1)] {
            let lines = along(&shape, axis);
            let mut seen: Vec<usize> =
                lines.iter().flat_map(|l| l.blocks(3).flatten().collect::<Vec<_>>()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..shape.iter().product()).collect::<Vec<_>>(), "{shape:?}");
        }
        let hwio = along(&[1, 1, 5, 2], 2);
        assert_eq!(hwio[1].blocks(4).collect::<Vec<_>>(), [vec![1, 3, 5, 7], vec![9]]);
    }
}
