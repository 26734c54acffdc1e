//! Images as text.

use blindsight_network::Image;

/// The image in half blocks: two rows of pixels to a line, light pixels drawn.
pub fn half_blocks(image: &Image) -> String {
    let shape = image.shape();
    let light = |y: usize, x: usize| y < shape.height && brightness(image, y, x) >= 96;
    let block = |y: usize, x: usize| match (light(y, x), light(y + 1, x)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    let line = |y: usize| (0..shape.width).map(|x| block(y, x)).collect::<String>().trim_end().to_string();
    let lines: Vec<String> = (0..shape.height).step_by(2).map(line).collect();
    let first = lines.iter().position(|l| !l.is_empty()).unwrap_or(0);
    let end = lines.iter().rposition(|l| !l.is_empty()).map_or(first, |last| last + 1);
    lines[first..end].join("\n")
}

/// The mean over the channels.
fn brightness(image: &Image, y: usize, x: usize) -> u32 {
    let shape = image.shape();
    let plane = shape.height * shape.width;
    let channels = (0..shape.channels).map(|c| u32::from(image.pixels()[c * plane + y * shape.width + x]));
    channels.sum::<u32>() / shape.channels as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindsight_network::Shape;

    #[test]
    fn two_rows_make_one_line_and_empty_lines_are_left_out() {
        let rows = [[0, 0, 0], [0, 0, 0], [255, 0, 255], [0, 255, 255], [0, 0, 0]];
        let image = Image::new(Shape::new(1, 5, 3), rows.concat()).expect("15 pixels");
        assert_eq!(half_blocks(&image), "▀▄█");
    }
}
