//! Labels as files have them, and as classes of a network.

use crate::Error;
use crate::error::check;
use crate::limits;
use std::collections::BTreeMap;

/// The labels of a data set's samples as its files have them, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Labels {
    /// No labels at all.
    None,
    /// Numbers of classes.
    Indices(Vec<u64>),
    /// Names: the index of each sample's in a list.
    Names { of: Vec<u32>, names: Vec<String> },
}

/// Names of classes, each once, as samples come.
#[derive(Debug, Default)]
pub(crate) struct Names {
    of: Vec<u32>,
    index: BTreeMap<String, u32>,
    bytes: u64,
}

impl Names {
    /// The label of one more sample. `place` names the file.
    pub fn push(&mut self, name: &str, place: &str) -> Result<(), Error> {
        let index = match self.index.get(name) {
            Some(index) => *index,
            None => {
                self.bytes += name.len() as u64;
                check(place, "bytes of different labels", self.bytes, limits::NAME_BYTES)?;
                let next = self.index.len() as u32;
                *self.index.entry(name.into()).or_insert(next)
            }
        };
        self.of.push(index);
        Ok(())
    }

    /// The labels: numbers where all of them are.
    pub fn finish(self) -> Labels {
        let mut names = vec![String::new(); self.index.len()];
        self.index.into_iter().for_each(|(name, index)| names[index as usize] = name);
        match names.iter().map(|name| whole(name)).collect::<Option<Vec<u64>>>() {
            Some(numbers) => Labels::Indices(self.of.into_iter().map(|i| numbers[i as usize]).collect()),
            None => Labels::Names { of: self.of, names },
        }
    }
}

/// The number that a text is, where it is a whole one: `7`, and `7.0` as pandas writes it.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| text.parse().ok().and_then(index))
}

/// A label given as a number.
pub(crate) fn index(number: f64) -> Option<u64> {
    (number >= 0.0 && number.fract() == 0.0 && number < 2f64.powi(32)).then_some(number as u64)
}

impl Labels {
    /// The names, sorted; `None` where labels are numbers.
    pub fn names(&self) -> Option<Vec<String>> {
        let Self::Names { names, .. } = self else { return None };
        let mut names = names.clone();
        names.sort();
        Some(names)
    }

    /// The class of each sample, for a network with these names of classes.
    pub fn classes(self, labels: &[String], place: &str) -> Result<Vec<usize>, Error> {
        match self {
            Self::None => Err(Error::unfit(place, "a label for each sample", "none")
                .remedy("a table needs a column `label`, an archive an array `y`")),
            Self::Indices(indices) => numbered(indices, labels, place),
            Self::Names { of, names } => {
                let classes = named(&names, labels, place)?;
                Ok(of.into_iter().map(|i| classes[i as usize]).collect())
            }
        }
    }
}

fn numbered(indices: Vec<u64>, labels: &[String], place: &str) -> Result<Vec<usize>, Error> {
    match indices.iter().position(|&index| index >= labels.len() as u64) {
        None => Ok(indices.into_iter().map(|index| index as usize).collect()),
        Some(at) => {
            let expected = format!("labels below {}, the network's number of scores", labels.len());
            Err(Error::unfit(place, expected, format!("{} at sample {at}", indices[at])))
        }
    }
}

/// The class of each name: the network's where it has all of them, else their places in sorted order.
pub(crate) fn named(names: &[String], labels: &[String], place: &str) -> Result<Vec<usize>, Error> {
    let known = |name: &String| labels.iter().position(|label| label == name);
    if let Some(classes) = names.iter().map(known).collect() {
        return Ok(classes);
    }
    if let Some(other) = names.iter().find(|name| known(name).is_none())
        && names.iter().any(|name| known(name).is_some())
    {
        let expected = format!("labels among the network's: {}", listed(labels));
        return Err(Error::unfit(place, expected, format!("{other:?}"))
            .remedy("name all classes as the model does, or none of them"));
    }
    if names.len() > labels.len() {
        let expected = format!("at most {} classes, one for each score", labels.len());
        return Err(Error::unfit(place, expected, format!("{}: {}", names.len(), listed(names))));
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    let place = |name: &String| sorted.binary_search(&name).expect("it is one of them");
    Ok(names.iter().map(place).collect())
}

/// The first few of them, each cut to a readable length.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown = names.iter().take(MOST).map(|name| name.chars().take(40).collect::<String>());
    let rest = if names.len() > MOST { ", ..." } else { "" };
    shown.collect::<Vec<_>>().join(", ") + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(texts: &[&str], labels: &[&str]) -> Result<Vec<usize>, String> {
        let mut names = Names::default();
        texts.iter().for_each(|text| names.push(text, "x.csv").expect("short"));
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        names.finish().classes(&labels, "x.csv").map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_classes_and_names_are_looked_up_or_sorted() {
        assert_eq!(classes(&["2", "0", "1.0"], &["0", "1", "2"]), Ok(vec![2, 0, 1]));
        assert_eq!(classes(&["M", "B", "M"], &["0", "1"]), Ok(vec![1, 0, 1]));
        assert_eq!(classes(&["B", "M"], &["M", "B"]), Ok(vec![1, 0]));
        assert_eq!(classes(&["dog"], &["cat", "dog"]), Ok(vec![1]));
    }

    #[test]
    fn labels_without_a_class_are_refused() {
        let said = classes(&["0", "3"], &["a", "b", "c"]).expect_err("three classes");
        assert!(said.contains("labels below 3") && said.contains("3 at sample 1"), "{said}");
        let said = classes(&["a", "b", "c"], &["0", "1"]).expect_err("two classes");
        assert!(said.contains("at most 2 classes") && said.contains("3: a, b, c"), "{said}");
        let said = classes(&["cat", "bird"], &["cat", "dog"]).expect_err("one is unknown");
        assert!(said.contains("among the network's: cat, dog") && said.contains("\"bird\""), "{said}");
        assert!(classes(&["-1"], &["0"]).is_ok_and(|c| c == [0]), "a name like any other");
        assert!(Labels::None.classes(&[], "x").is_err());
    }
}
