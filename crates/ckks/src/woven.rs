//! The factors of a sum of products, laid out in the order in which they are read.

use crate::blocks::Block;
use crate::{Extension, Level, MOST_REPEATS, PlainFactor, Scale};
use blindsight_ring::kernels::{LINE, Run, WovenSum};
use blindsight_ring::{Factor, Poly, parallel};
use std::ops::Range;
use std::sync::Arc;

/// The factors of one sum among those of several that are computed together.
#[derive(Clone, PartialEq)]
pub(crate) struct Woven {
    all: Arc<Factors>,
    /// Which of them are its own.
    own: Range<usize>,
}

/// The factors of several sums, woven: of each limb line by line what each of them has there.
///
/// Sums that share their rotated inputs are computed a line at a time, for these stay in the first cache
/// then, and memory gives what lies together sooner than a part of a page each from megabytes apart.
#[derive(PartialEq)]
struct Factors {
    words: Poly<Factor>,
    /// Words of a limb.
    limb: usize,
    /// For each factor how many words one of its stands for.
    repeats: Vec<usize>,
    /// Where in a line the words of each factor begin, and where those of the last one end.
    offsets: Vec<usize>,
    scales: Vec<Scale>,
    level: Level,
    extension: Extension,
}

/// How many factors are there at a time, apart: a cache line of each is a run that memory writes well.
const AT_A_TIME: usize = 16;

impl Woven {
    /// For each sum the factors that `factor` gives, by the positions of the sum and of the factor; each
    /// repeats so often or more. Inside a rayon pool threads make one each.
    ///
    /// # Panics
    /// Where there are none, they are of different levels or extensions, or one repeats less often.
    pub fn new<E: Send>(
        repeats: &[Vec<usize>],
        factor: impl Fn(usize, usize) -> Result<PlainFactor, E> + Sync + Send,
    ) -> Result<Vec<Self>, E> {
        let of_sum =
            |(sum, repeats): (usize, &Vec<usize>)| (0..repeats.len()).map(move |factor| (sum, factor));
        let positions: Vec<_> = repeats.iter().enumerate().flat_map(of_sum).collect();
        let factor = |index: usize| factor(positions[index].0, positions[index].1);
        let all = Arc::new(Factors::new(repeats.concat(), factor)?);
        let of_sum = |start: &mut usize, repeats: &Vec<usize>| {
            assert!(!repeats.is_empty(), "a sum has factors");
            let own = *start..*start + repeats.len();
            *start = own.end;
            Some(Self { all: all.clone(), own })
        };
        Ok(repeats.iter().scan(0, of_sum).collect())
    }

    /// The level of the factors.
    pub fn level(&self) -> Level {
        self.all.level
    }

    /// Whether they are extended.
    pub fn extension(&self) -> Extension {
        self.all.extension
    }

    /// The scale of each.
    pub fn scales(&self) -> &[Scale] {
        &self.all.scales[self.own.clone()]
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let Factors { words, limb, offsets, .. } = &*self.all;
        let (limbs, lines) = (words.words().len() / limb, limb / self.all.stride());
        limbs * lines * (offsets[self.own.end] - offsets[self.own.start]) * size_of::<u32>()
    }

    /// How the words of some of them repeat.
    pub fn runs(&self, factors: Range<usize>) -> Vec<Run> {
        let alike = self.all.repeats[self.own.clone()][factors].chunk_by(|a, b| a == b);
        alike.map(|run| Run { terms: run.len(), repeats: run[0] }).collect()
    }

    /// In a block the sum of the products of some of them, from the first of these on, with what is to their
    /// `left`.
    pub fn sum<'a>(
        &'a self,
        block: &Block,
        first: usize,
        (left, runs): (&'a [u32], &'a [Run]),
        out: [&'a mut [u32]; 2],
    ) -> WovenSum<'a> {
        let Factors { words, limb, offsets, .. } = &*self.all;
        let stride = self.all.stride();
        let line = block.limb * limb + block.words.start / LINE * stride;
        WovenSum { left, runs, shared: &words.words()[line + offsets[self.own.start + first]..], stride, out }
    }
}

impl Factors {
    fn new<E: Send>(
        repeats: Vec<usize>,
        factor: impl Fn(usize) -> Result<PlainFactor, E> + Sync + Send,
    ) -> Result<Self, E> {
        let in_line = |repeats: &usize| repeats.is_power_of_two() && *repeats <= MOST_REPEATS;
        assert!(repeats.iter().all(in_line), "{repeats:?}: expected repeats that factors can have");
        let mut woven: Option<Self> = None;
        for start in (0..repeats.len()).step_by(AT_A_TIME) {
            let batch = start..repeats.len().min(start + AT_A_TIME);
            let factors = parallel::map(batch, &factor).into_iter().collect::<Result<Vec<_>, E>>()?;
            woven.get_or_insert_with(|| Self::room(&repeats, &factors[0])).add(factors);
        }
        Ok(woven.expect("a sum has factors"))
    }

    /// Room for factors like the first one.
    fn room(repeats: &[usize], first: &PlainFactor) -> Self {
        let mut offsets = vec![0];
        offsets.extend(repeats.iter().scan(0, |end, repeats| {
            *end += LINE / repeats;
            Some(*end)
        }));
        let limb = offsets[repeats.len()] * (first.degree() / LINE);
        let words = limb * first.limbs();
        Self {
            words: Poly::scratch(words.next_multiple_of(LINE), 1),
            limb,
            repeats: repeats.to_vec(),
            offsets,
            scales: vec![],
            level: first.level,
            extension: first.extension,
        }
    }

    /// Weaves the next factors in.
    fn add(&mut self, factors: Vec<PlainFactor>) {
        let (start, stride) = (self.scales.len(), self.stride());
        for (factor, repeats) in factors.iter().zip(&self.repeats[start..]) {
            assert!(factor.repeats() >= *repeats, "{} repeats: expected {repeats}", factor.repeats());
            assert_eq!(factor.level, self.level, "factors of a sum are at one level");
            assert_eq!(factor.extension, self.extension, "factors of a sum are all extended, or none");
            self.scales.push(factor.scale);
        }
        let offsets = &self.offsets[start..];
        parallel::for_each(
            self.words.words_mut().chunks_exact_mut(self.limb).enumerate(),
            |(limb, words)| {
                for (line, words) in words.chunks_exact_mut(stride).enumerate() {
                    for (factor, offsets) in factors.iter().zip(offsets.windows(2)) {
                        factor.write_line(limb, line, &mut words[offsets[0]..offsets[1]]);
                    }
                }
            },
        );
    }

    /// Words of a line.
    fn stride(&self) -> usize {
        self.offsets[self.repeats.len()]
    }
}
