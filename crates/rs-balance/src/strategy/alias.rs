use crate::dice::scaled;

/// Draws by weights in constant time (Walker's alias method as Vose has it).
#[derive(Debug)]
pub(crate) struct Alias(Box<[Slot]>);

/// A column: below the threshold its own number is drawn, above it the other one.
#[derive(Debug, Clone, Copy)]
struct Slot {
    threshold: u32,
    other: u32,
}

impl Alias {
    /// From weights that are finite and not below zero; all zero counts as all equal.
    pub(crate) fn new(weights: &[f32]) -> Self {
        let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let count = weights.len() as f64;
        let scale = if sum > 0.0 { count / sum } else { 0.0 };
        let mut heights: Vec<f64> = weights
            .iter()
            .map(|weight| {
                if sum > 0.0 {
                    f64::from(*weight) * scale
                } else {
                    1.0
                }
            })
            .collect();
        let mut slots: Vec<Slot> = (0..weights.len())
            .map(|own| Slot {
                threshold: u32::MAX,
                other: own as u32,
            })
            .collect();
        let (mut low, mut high): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|place| heights[*place] < 1.0);
        while let (Some(short), Some(tall)) = (low.pop(), high.last().copied()) {
            let height = heights[short];
            slots[short] = Slot {
                threshold: (height * 4_294_967_296.0) as u32,
                other: tall as u32,
            };
            heights[tall] -= 1.0 - height;
            if heights[tall] < 1.0 {
                high.pop();
                low.push(tall);
            }
        }
        // What is left is full but for rounding.
        Self(slots.into())
    }

    #[inline]
    pub(crate) fn draw(&self, number: u64) -> usize {
        let (column, rest) = scaled(number, self.0.len());
        match self.0.get(column) {
            Some(slot) if (rest >> 32) as u32 >= slot.threshold && slot.threshold < u32::MAX => {
                slot.other as usize
            }
            _ => column,
        }
    }
}
