//! Columns that are others times a power of two, or their negatives, are solved once.

use std::collections::HashMap;

use crate::{Matrix, Tap};

/// The columns that differ, odd, and for each output of the question its column, shift and sign.
#[derive(Debug)]
pub(crate) struct Distinct {
    pub(crate) matrix: Matrix,
    outputs: Vec<Option<(usize, u8, bool)>>,
}

impl Distinct {
    pub(crate) fn new(matrix: &Matrix) -> Self {
        let mut columns: Vec<Vec<i64>> = Vec::new();
        let mut known: HashMap<Vec<i64>, usize> = HashMap::new();
        let outputs = (0..matrix.outputs()).map(|j| {
            let shift = matrix.column(j).filter(|w| *w != 0).map(i64::trailing_zeros).min()?;
            let column: Vec<i64> = matrix.column(j).map(|w| w >> shift).collect();
            let opposite: Vec<i64> = column.iter().map(|w| -w).collect();
            // The first of its kind stays as it is: its sum can be made with its own sign.
            if let Some(at) = known.get(&opposite) {
                return Some((*at, shift as u8, true));
            }
            let at = *known.entry(column.clone()).or_insert_with(|| {
                columns.push(column);
                columns.len() - 1
            });
            Some((at, shift as u8, false))
        });
        let outputs = outputs.collect();
        let weights = (0..matrix.inputs().len()).flat_map(|i| columns.iter().map(move |c| c[i])).collect();
        Self { matrix: Matrix::new(matrix.inputs().to_vec(), columns.len(), weights), outputs }
    }

    /// The taps of the question, from those of the distinct columns.
    pub(crate) fn taps(&self, taps: &[Tap]) -> Vec<Tap> {
        let tap = |(at, shift, negative): (usize, u8, bool)| taps[at].map(|t| t.moved(shift, negative));
        self.outputs.iter().map(|output| output.and_then(tap)).collect()
    }
}
