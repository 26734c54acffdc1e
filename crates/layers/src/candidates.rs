//! Layouts worth trying for a tensor: the named forms of the literature and this project, with their
//! parameters.

use crate::graph::{Layer, LayerGraph};
use crate::linear::Linear;
use blindsight_layout::{Axis, Blocks, Digit, Layout};
use blindsight_network::Shape;
use std::collections::HashSet;

/// A plane that maps lie in, row by row. Later layers, whose maps are smaller, keep its rows: where strides
/// leave gaps, other maps lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Grid {
    /// Slots from one row to the next.
    row: usize,
    /// Slots from one plane to the next.
    plane: usize,
    /// Rows and columns from one element of a map to the next.
    gap: [usize; 2],
}

/// Who makes a tensor and who reads it: what layouts are of use depends on both.
#[derive(Clone, Copy)]
struct Setting<'a> {
    /// The layer whose output it is; `None` for the image.
    index: Option<usize>,
    /// Over how many blocks the products of a row of that layer may be shared out: no more than it has.
    shares: usize,
    /// Whether im2col are written out for that layer, so that any arrangement is free.
    im2col: bool,
    consumer: Option<&'a Linear>,
    /// Whether the consumer is the last layer: it reads sums that repeat over all slots.
    scores: bool,
    slots: usize,
}

/// Layouts for the image.
pub fn images(graph: &LayerGraph, slots: usize) -> Vec<Layout> {
    let setting = Setting { index: None, shares: 1, im2col: false, consumer: None, scores: false, slots };
    for_consumers(graph, graph.input, setting)
}

/// Layouts for the output of layer `index` in partial sums. Im2col are written out for the first layer if so
/// wished.
pub fn outputs(graph: &LayerGraph, index: usize, im2col: bool, slots: usize) -> Vec<Layout> {
    let maker = &graph.layers[index];
    let shares = maker.main().linear.most_weights_of_a_row().next_power_of_two();
    let setting = Setting { index: Some(index), shares, im2col, consumer: None, scores: false, slots };
    for_consumers(graph, maker.output, setting)
}

/// Layouts that suit any of those that read a tensor: of these, the layers whose latest input it is, if there
/// is one.
fn for_consumers(graph: &LayerGraph, shape: Shape, setting: Setting<'_>) -> Vec<Layout> {
    let tensor = graph.judged_by(setting.index.map_or(0, |index| index + 1));
    let readers = || graph.readers(tensor);
    let is_main = |layer: &Layer| layer.main().operand.tensor == tensor;
    let any_main = readers().any(|(_, layer, _)| is_main(layer));
    let consumers = readers().filter(|(_, layer, _)| !any_main || is_main(layer));
    let settings = consumers.map(|(index, _, term)| {
        let scores = index + 1 == graph.layers.len();
        Setting { consumer: Some(&*term.linear), scores, ..setting }
    });
    let mut found: Vec<Layout> = vec![];
    for setting in settings.collect::<Vec<_>>() {
        let more = layouts(graph, shape, setting).into_iter();
        let more: Vec<Layout> = more.filter(|layout| !found.contains(layout)).collect();
        found.extend(more);
    }
    found
}

fn layouts(graph: &LayerGraph, shape: Shape, setting: Setting<'_>) -> Vec<Layout> {
    let mut found = vec![];
    for base in bases(graph, shape, setting) {
        match base.ciphertexts {
            1 => found.extend(arranged(&base, setting)),
            _ => found.push(base),
        }
    }
    if setting.index.is_some() && !setting.im2col {
        match shape.is_vector() {
            true => found.extend(segmented(shape, setting.slots)),
            false => found.extend(parts_in_gaps(graph, shape, setting)),
        }
    }
    let mut seen = HashSet::new();
    found.retain(|layout| seen.insert(layout.clone()) && layout.validate().is_ok());
    found
}

/// Block 0: the tensor packed, or multiplexed in the plane of an earlier one. Rows of a dense layer may lie
/// anywhere, so there is no use in planes where nobody convolves.
fn bases(graph: &LayerGraph, shape: Shape, setting: Setting<'_>) -> Vec<Layout> {
    let slots = setting.slots;
    let mut bases = vec![Layout::packed(shape, slots)];
    let maker = setting.index.filter(|_| !setting.im2col).map(|i| &*graph.layers[i].main().linear);
    let made = maker.is_some_and(|maker| maker.convolution().is_some());
    let read = setting.consumer.is_some_and(|c| c.convolution().is_some());
    if !shape.is_vector() && (made || read) {
        let grids = grids(graph, setting);
        bases.extend(grids.into_iter().filter_map(|grid| multiplexed(shape, grid, slots)));
    }
    bases.extend(setting.consumer.into_iter().flat_map(|consumer| polyphase(consumer, slots)));
    bases.extend(setting.consumer.and_then(|consumer| channels_first(consumer, slots)));
    bases.extend(maker.and_then(|maker| like_input(maker, slots)));
    bases
}

/// Polyphase: a map for each remainder of rows and columns by the strides with which they are read: all that
/// a window sees lies at neighbouring positions of maps of the size of the output. The maps lie one after
/// another, residues outermost, over as many ciphertexts as they need.
fn polyphase(consumer: &Linear, slots: usize) -> Vec<Layout> {
    let Some([height, width]) = residues(consumer) else { return vec![] };
    if consumer.convolution().is_some_and(|convolution| convolution.stride == [1, 1]) {
        return vec![];
    }
    let padded = [width.next_power_of_two(), height.next_power_of_two()];
    let layout = |[row, rows]: [usize; 2]| residue_maps(consumer, Maps::new(row * rows, slots)?, [1, row]);
    let mut sizes = vec![[width, height], padded];
    sizes.dedup();
    sizes.into_iter().filter_map(layout).collect()
}

/// The same maps, but all values of a position side by side.
fn channels_first(consumer: &Linear, slots: usize) -> Option<Layout> {
    let (pitch, [_, width]) = (side_by_side(consumer, slots)?, residues(consumer)?);
    let maps = Maps { room: pitch, ..Maps::new(1, slots)? };
    residue_maps(consumer, maps, [pitch, pitch * width])
}

/// The output of a layer that reads its input channels first, at the same positions.
fn like_input(maker: &Linear, slots: usize) -> Option<Layout> {
    let (pitch, [_, width], shape) = (side_by_side(maker, slots)?, residues(maker)?, maker.output);
    let digits = vec![
        Digit { axis: Axis::Channel, count: shape.channels, stride: 1 },
        Digit { axis: Axis::Column, count: shape.width, stride: pitch },
        Digit { axis: Axis::Row, count: shape.height, stride: pitch * width },
    ];
    Some(Layout { shape, slots, ciphertexts: 1, digits, bias_slot: None, blocks: Blocks::ONE })
}

/// How many slots a position takes where all its values lie side by side, those of the input and of the
/// output.
fn side_by_side(linear: &Linear, slots: usize) -> Option<usize> {
    let [height, width] = residues(linear)?;
    let mut maps = Maps { room: slots.checked_div(height * width)?, ..Maps::new(1, slots)? };
    let [sy, sx] = linear.convolution()?.stride;
    for (axis, count) in [(Axis::Channel, linear.input.channels), (Axis::Column, sx), (Axis::Row, sy)] {
        maps.digits(axis, count);
    }
    let pitch = maps.used.max(linear.output.channels);
    (pitch * height * width <= slots).then_some(pitch)
}

/// Rows and columns of a map that holds one residue of rows and of columns; `None` where nothing convolves.
fn residues(linear: &Linear) -> Option<[usize; 2]> {
    let [sy, sx] = linear.convolution()?.stride;
    Some([linear.input.height.div_ceil(sy), linear.input.width.div_ceil(sx)])
}

/// The input of a convolution in maps of residues; columns and rows of these lie so far apart.
fn residue_maps(consumer: &Linear, mut maps: Maps, [column, row]: [usize; 2]) -> Option<Layout> {
    let ([height, width], [sy, sx]) = (residues(consumer)?, consumer.convolution()?.stride);
    let (shape, slots) = (consumer.input, maps.slots);
    let mut digits = maps.digits(Axis::Channel, shape.channels);
    digits.extend(maps.digits(Axis::Column, sx));
    digits.push(Digit { axis: Axis::Column, count: width, stride: column });
    digits.extend(maps.digits(Axis::Row, sy));
    digits.push(Digit { axis: Axis::Row, count: height, stride: row });
    digits.retain(|d| d.count > 1);
    Some(Layout { shape, slots, ciphertexts: maps.ciphertexts, digits, bias_slot: None, blocks: Blocks::ONE })
}

/// Places for maps of one size: in a ciphertext as long as there is room, then in further ones.
struct Maps {
    size: usize,
    /// How many a ciphertext has room for.
    room: usize,
    /// How many lie in each so far.
    used: usize,
    ciphertexts: usize,
    slots: usize,
}

impl Maps {
    /// None yet, of this size.
    fn new(size: usize, slots: usize) -> Option<Self> {
        (size <= slots).then_some(Self { size, room: slots / size, used: 1, ciphertexts: 1, slots })
    }

    /// The digits of an axis by which the maps so far are repeated.
    fn digits(&mut self, axis: Axis, count: usize) -> Vec<Digit> {
        let room = if self.ciphertexts > 1 { 1 } else { self.room / self.used };
        // Digits above these need them to be exact; above channels there are none.
        let exact = |c: usize| axis == Axis::Channel || count.is_multiple_of(c);
        let fits = |c: &usize| count.div_ceil(*c) <= room && exact(*c);
        let ciphertexts = (1..=count).find(fits).unwrap_or(count);
        let each = count.div_ceil(ciphertexts);
        let within = Digit { axis, count: each, stride: self.used * self.size };
        let across = Digit { axis, count: ciphertexts, stride: self.ciphertexts * self.slots };
        self.used *= each;
        self.ciphertexts *= ciphertexts;
        vec![within, across]
    }
}

/// Pictures that a tensor may lie in: those of the image and of the first layer's output, packed and with
/// rows and size padded to powers of two.
fn grids(graph: &LayerGraph, setting: Setting<'_>) -> Vec<Grid> {
    let made = setting.index.map_or(0, |i| i + 1);
    let mut origins = vec![1];
    if !setting.im2col {
        origins.push(0);
    }
    // Where a stride left gaps that were not filled, later maps lie closer in a plane that begins after it.
    origins.extend((2..=made).filter(|tensor| !graph.shape(*tensor).is_vector()));
    let mut grids: Vec<Grid> = vec![];
    for first in origins.into_iter().filter(|first| *first <= made) {
        let (origin, Some(gap)) = (graph.shape(first), gap(graph, first, made)) else { continue };
        let packed = Grid { row: origin.width, plane: origin.positions(), gap };
        let row = origin.width.next_power_of_two();
        let plane = row * origin.height.next_power_of_two();
        for grid in [packed, Grid { row, plane, gap }] {
            if !grids.contains(&grid) {
                grids.push(grid);
            }
        }
    }
    grids
}

/// The product of the strides on the way from one tensor to another; `None` where a layer on it is no
/// convolution, or there is no such way.
fn gap(graph: &LayerGraph, first: usize, tensor: usize) -> Option<[usize; 2]> {
    let (mut gap, mut at) = ([1, 1], tensor);
    while at > first {
        let main = graph.layers[at - 1].main();
        let [y, x] = main.linear.convolution()?.stride;
        gap = [gap[0] * y, gap[1] * x];
        at = main.operand.tensor;
    }
    (at == first).then_some(gap)
}

/// Maps interleaved in the gaps of a plane, as many as there is room for; the others in further planes, and
/// where a ciphertext is full, in further ciphertexts.
fn multiplexed(shape: Shape, grid: Grid, slots: usize) -> Option<Layout> {
    interleaved(shape, grid, grid.gap, slots)
}

/// Partial sums in all gaps between two columns or two rows of a plane, where otherwise maps would lie: what
/// a window sees in an input with maps in its gaps lies at neighbouring places, and on one diagonal each
/// partial sum meets the next of them. The sums are whole in the first place only.
fn parts_in_gaps(graph: &LayerGraph, shape: Shape, setting: Setting<'_>) -> Vec<Layout> {
    let mut found = vec![];
    for grid in grids(graph, setting) {
        let [gy, gx] = grid.gap;
        for (parts, spacing, maps) in [(gx, 1, [gy, 1]), (gy, grid.row, [1, gx])] {
            if parts > 1 && parts <= setting.shares {
                let blocks = Blocks { count: parts, spacing, parts };
                let base = interleaved(shape, grid, maps, setting.slots);
                found.extend(base.map(|base| base.with_blocks(blocks)));
            }
        }
    }
    found
}

/// So many maps in rows and columns of the gaps of a plane, the others in further planes and ciphertexts.
fn interleaved(shape: Shape, grid: Grid, [my, mx]: [usize; 2], slots: usize) -> Option<Layout> {
    let Grid { row, plane, gap: [gy, gx] } = grid;
    if shape.width * gx > row + gx - 1 || (shape.height * gy).saturating_mul(row) > plane + (gy - 1) * row {
        return None;
    }
    let planes = shape.channels.div_ceil(my * mx);
    let (each, ciphertexts) = match slots / plane {
        0 => return None,
        room => (planes.min(room), planes.div_ceil(room)),
    };
    let each = if ciphertexts > 1 { planes.div_ceil(ciphertexts) } else { each };
    let channel = |count, stride| Digit { axis: Axis::Channel, count, stride };
    let mut digits = vec![
        Digit { axis: Axis::Column, count: shape.width, stride: gx },
        Digit { axis: Axis::Row, count: shape.height, stride: gy * row },
        channel(mx, 1),
        channel(my, row),
        channel(each, plane),
        channel(ciphertexts, slots),
    ];
    digits.retain(|d| d.count > 1);
    Some(Layout { shape, slots, ciphertexts, digits, bias_slot: None, blocks: Blocks::ONE })
}

/// Ways to repeat block 0: evenly over all slots, or at a spacing that suits whoever reads it; each with and
/// without a bias slot.
fn arranged(base: &Layout, setting: Setting<'_>) -> Vec<Layout> {
    let (slots, mut found) = (setting.slots, vec![]);
    for base in [base.clone(), base.clone().with_bias_slot(base.extent())] {
        let extent = base.extent();
        if extent > slots {
            continue;
        }
        let even = 1 << (slots / extent).ilog2();
        found.push(base.clone().with_blocks(Blocks::cyclic(even, slots, even.min(setting.shares))));
        let Some(consumer) = setting.consumer.filter(|_| !setting.scores || setting.im2col) else {
            continue;
        };
        for parts in part_counts(setting, slots / extent) {
            let blocks = match consumer.convolution() {
                Some(_) => displaced(&base, consumer, even, parts),
                None => apart(&base, consumer, parts).into_iter().collect(),
            };
            found.extend(blocks.into_iter().map(|blocks| base.clone().with_blocks(blocks)));
        }
    }
    found
}

/// How many partial sums may be added up: an image has none, im2col any number that rotate-and-sum can add
/// up; others powers of two, no more than there are shares, and not so few that most blocks compute what
/// others do.
fn part_counts(setting: Setting<'_>, most: usize) -> Vec<usize> {
    if setting.im2col {
        return (1..=most).filter(|c| smooth(*c)).collect();
    }
    let most = most.min(setting.shares);
    (0..3).filter_map(|less| most.ilog2().checked_sub(less)).map(|log| 1 << log).collect()
}

/// Whether rotate-and-sum can add up so many.
fn smooth(mut count: usize) -> bool {
    for prime in [2, 3, 5, 7] {
        while count.is_multiple_of(prime) {
            count /= prime;
        }
    }
    count == 1
}

/// Replicas for a convolution: evenly, and displaced against each other by a part of the window, so that each
/// meets other taps on the same diagonal.
fn displaced(base: &Layout, consumer: &Linear, count: usize, parts: usize) -> Vec<Blocks> {
    let slots = base.slots;
    if !parts.is_power_of_two() || parts > count {
        return vec![];
    }
    let mut found = vec![Blocks::cyclic(count, slots, parts)];
    let Some(convolution) = consumer.convolution().filter(|_| count > 1 && parts == 1) else {
        return found;
    };
    for (axis, own) in [(Axis::Row, 0), (Axis::Column, 1)] {
        let stride = base.digits.iter().find(|d| d.axis == axis).map_or(1, |d| d.stride);
        let below = base.digits.iter().filter(|d| d.axis == Axis::Channel && d.stride < stride);
        let gap = below.map(|d| d.count).max().unwrap_or(1);
        // Places that the window reaches: its taps, the maps in the gaps of the input and those in the gaps
        // of the output.
        let reach = (convolution.extent(own) - 1) * gap + (gap - 1) + (gap * convolution.stride[own] - 1) + 1;
        let spacing = slots / count + reach.div_ceil(count) * (stride / gap).max(1);
        if (count - 1) * spacing + base.extent() <= slots {
            found.push(Blocks { count, spacing, parts });
        }
    }
    found
}

/// Replicas for a dense layer whose rows repeat with a period: the spacing at which the shifts of the
/// replicas modulo the period leave the narrowest gaps, so that few diagonals cover all; the closest of
/// those. Only the spacing modulo the period matters for how shifts fall, so no wider ones are looked at.
fn apart(base: &Layout, consumer: &Linear, parts: usize) -> Option<Blocks> {
    let (slots, extent) = (base.slots, base.extent());
    let period = (consumer.rows() + usize::from(base.bias_slot.is_some())).next_power_of_two();
    let spacings = extent..=(extent + period - 1).min(slots / parts);
    let gap = |spacing: usize| widest_gap(spacing, slots / spacing + 1 - parts, period);
    let (_, spacing) = spacings.map(|s| (gap(s), s)).min()?;
    Some(Blocks { count: slots / spacing, spacing, parts })
}

/// The widest gap between neighbouring shifts of the replicas modulo the period: as many diagonals are needed
/// to fill it.
fn widest_gap(spacing: usize, replicas: usize, period: usize) -> usize {
    let mut shifts: Vec<usize> = (0..replicas.min(period)).map(|h| h * spacing % period).collect();
    shifts.sort_unstable();
    let around = shifts[0] + period - shifts[shifts.len() - 1];
    shifts.windows(2).map(|w| w[1] - w[0]).fold(around, usize::max)
}

/// Rows of a dense layer in segments: each computes its own rows from its own replica of the input, so that
/// more replicas mean fewer diagonals. The sums are whole in one place of each segment only.
fn segmented(shape: Shape, slots: usize) -> Vec<Layout> {
    let channel = |count, stride| Digit { axis: Axis::Channel, count, stride };
    let counts = (1..).map(|log| 1 << log).take_while(|count| count * 4 <= slots);
    let layout = |count: usize| {
        let (segment, width) = (slots / count, shape.channels.div_ceil(count).next_power_of_two());
        if width * 2 > segment || width * count > 2 * shape.channels.next_power_of_two() {
            return None;
        }
        let digits = vec![channel(width, 1), channel(count, segment)];
        let parts = segment / width;
        let blocks = Blocks { count: parts, spacing: width, parts };
        Some(Layout { shape, slots, ciphertexts: 1, digits, bias_slot: None, blocks })
    };
    counts.filter_map(layout).collect()
}
