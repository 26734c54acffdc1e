//! What a reply says, and how sure it is.

use crate::{Warning, printable, rounding};
use blindsight_network::FinalActivation;
use std::borrow::Cow;

/// How many predicted errors two scores must be apart for their order to be sure: four standard deviations of
/// the difference of two scores.
///
/// The predicted error is the deviation of one score, so the difference of two with independent errors has
/// `sqrt(2)` of it. Beyond four deviations, normal errors turn the order round in fewer than one of 30,000
/// cases. Where the two errors are wholly opposed, the same distance is still 2.8 deviations.
const CLOSE: f64 = DEVIATIONS * std::f64::consts::SQRT_2;
/// How many standard deviations are sure.
const DEVIATIONS: f64 = 4.0;

/// What a reply says.
///
/// # Contract
///
/// - `label`, `margin` and `too_close` are decided by the scores as they were decrypted, so rounding does not
///   change them. The margin is then rounded as scores are: no figure is finer than the predicted error. It
///   may therefore be off the difference of the two rounded scores by a step.
/// - [`Classification::top`] looks at no more than what is here to be seen: scores that are rounded to the
///   same value come in the order of the classes, so the ranking tells nothing that the scores do not.
/// - One score for two classes is that of the second one, beside a first one of zero: the class is the second
///   one where the score is positive, and the margin is the score's size, its distance to the decision.
/// - A network with one score for one class has no next one: it has no margin, and nothing is too close.
///   Where such a score is read by a threshold, whoever knows it compares the distance to it with
///   `predicted_error`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Classification {
    /// The class with the largest score, the first of them where there are several.
    pub class: usize,
    /// Its name, as the plan has it.
    pub label: String,
    /// The names of all classes, as the plan has them.
    pub labels: Vec<String>,
    /// The scores, in the order of the plan's labels; or one for two labels.
    pub scores: Vec<f64>,
    /// What the network's file applies to the scores, and [`Classification::top`] applies here.
    pub output: FinalActivation,
    /// How far the largest score is above the next one; none where there is one score.
    pub margin: Option<f64>,
    /// The error of a score that the plan predicts, root mean square; what scores are rounded to.
    pub predicted_error: f64,
    /// Whether the margin is so small beside the predicted error that another class may be the best.
    pub too_close: bool,
    /// What to keep in mind when using them.
    pub warnings: Vec<Warning>,
}

/// A class among the best.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ranked<'a> {
    /// The class.
    pub class: usize,
    /// Its name, as the plan has it.
    pub label: &'a str,
    /// Its name, fit for a terminal.
    pub name: Cow<'a, str>,
    /// Its score; zero for the first of two classes with one score.
    pub score: f64,
    /// Its probability, of the scores as they are shown; none where the network's file ends in scores.
    pub probability: Option<f64>,
}

impl Classification {
    /// What decrypted scores say: one for each label, at least one; or one for two labels. Scores beyond
    /// `bound` get a warning.
    pub(crate) fn new(
        labels: &[String],
        output: FinalActivation,
        scores: Vec<f64>,
        predicted_error: f64,
        bound: f64,
    ) -> Self {
        let class = FinalActivation::class_of(&scores, labels.len());
        let by_class = FinalActivation::class_scores(&scores, labels.len());
        let others = by_class.iter().enumerate().filter(|(other, _)| *other != class);
        let margin = others.map(|(_, score)| by_class[class] - score).reduce(f64::min);
        // The zero that stands beside a single score has no error.
        let close = if scores.len() == 1 { DEVIATIONS } else { CLOSE };
        // Equal scores are too close whatever the error is.
        let too_close = margin.is_some_and(|margin| margin <= close * predicted_error);
        let large = labels.iter().zip(&by_class).filter(|(_, score)| score.abs() > bound);
        let warnings =
            large.map(|(label, &score)| Warning::LargeScore { label: label.clone(), score, bound }).collect();
        let (label, labels) = (labels[class].clone(), labels.to_vec());
        let mut new =
            Self { class, label, labels, scores, output, margin, predicted_error, too_close, warnings };
        new.warnings.extend(new.closeness());
        new
    }

    /// The same with every figure rounded to `error`: scores, margin, and those in warnings.
    pub(crate) fn rounded(mut self, error: f64) -> Self {
        self.predicted_error = error;
        self.scores
            .iter_mut()
            .chain(&mut self.margin)
            .for_each(|figure| *figure = rounding::round(*figure, error));
        let closeness = self.closeness();
        for warning in &mut self.warnings {
            match (warning, &closeness) {
                (Warning::LargeScore { score, .. }, _) => *score = rounding::round(*score, error),
                (warning @ Warning::TooClose { .. }, Some(rounded)) => *warning = rounded.clone(),
                _ => {}
            }
        }
        self
    }

    /// The name of the class with the largest score, fit for a terminal.
    pub fn name(&self) -> Cow<'_, str> {
        printable(&self.label)
    }

    /// The best `k` classes, fewer where there are fewer; the first is [`Classification::class`].
    pub fn top(&self, k: usize) -> Vec<Ranked<'_>> {
        let scores = FinalActivation::class_scores(&self.scores, self.labels.len());
        let probabilities = self.output.probabilities(&self.scores, self.labels.len());
        let mut classes: Vec<usize> = (0..scores.len()).collect();
        let score = |class: usize| scores[class];
        classes.sort_by(|&a, &b| {
            (b == self.class).cmp(&(a == self.class)).then(score(b).total_cmp(&score(a))).then(a.cmp(&b))
        });
        let ranked = |class: usize| {
            let label = self.labels[class].as_str();
            let probability = probabilities.as_ref().map(|of| of[class]);
            Ranked { class, label, name: printable(label), score: score(class), probability }
        };
        classes.into_iter().take(k).map(ranked).collect()
    }

    /// How many decimals of a score say anything.
    pub fn decimals(&self) -> usize {
        rounding::decimals(self.predicted_error)
    }

    /// The warning of an answer that is too close to call.
    fn closeness(&self) -> Option<Warning> {
        let (margin, predicted_error) = (self.margin.filter(|_| self.too_close)?, self.predicted_error);
        let [best, next] = self.top(2).try_into().ok()?;
        let labels = [best.label.to_string(), next.label.to_string()];
        Some(Warning::TooClose { labels, margin, predicted_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: f64 = 0.01;

    fn of(scores: &[f64]) -> Classification {
        let labels: Vec<String> = (0..scores.len()).map(|class| format!("class {class}")).collect();
        Classification::new(&labels, FinalActivation::None, scores.to_vec(), ERROR, 10.0)
    }

    #[test]
    fn a_margin_of_a_few_errors_is_too_close() {
        let threshold = CLOSE * ERROR;
        for (margin, too_close) in [(0.0, true), (0.99, true), (1.01, false), (100.0, false)] {
            let answer = of(&[-1.0, margin * threshold, 0.0]);
            assert_eq!((answer.class, answer.too_close), (1, too_close), "{margin}");
            assert!(answer.margin.is_some_and(|m| (m - margin * threshold).abs() < 1e-12), "{answer:?}");
            let told = answer.warnings.iter().any(|w| matches!(w, Warning::TooClose { .. }));
            assert_eq!(told, too_close, "{answer:?}");
        }
    }

    #[test]
    fn a_tie_is_too_close_even_without_error() {
        let labels = ["a", "b"].map(String::from);
        let answer = Classification::new(&labels, FinalActivation::None, vec![2.0, 2.0], 0.0, 10.0);
        assert_eq!((answer.label.as_str(), answer.margin, answer.too_close), ("a", Some(0.0), true));
    }

    #[test]
    fn one_score_has_no_margin_and_two_have_one() {
        let alone = of(&[0.001]).rounded(ERROR);
        assert_eq!((alone.margin, alone.too_close, alone.warnings.len()), (None, false, 0));
        assert_eq!(alone.top(5).len(), 1);
        let two = of(&[1.0, 1.0625]);
        assert_eq!((two.class, two.margin, two.too_close), (1, Some(0.0625), false));
    }

    #[test]
    fn one_score_for_two_classes_is_far_from_zero_or_not() {
        let labels = ["bad", "good"].map(String::from);
        let of = |score| Classification::new(&labels, FinalActivation::Sigmoid, vec![score], ERROR, 10.0);
        let good = of(0.5);
        assert_eq!(
            (good.class, good.label.as_str(), good.margin, good.too_close),
            (1, "good", Some(0.5), false)
        );
        let probabilities: Vec<f64> =
            good.top(2).iter().map(|r| r.probability.expect("a sigmoid's")).collect();
        assert!((probabilities[0] - 1.0 / (1.0 + (-0.5f64).exp())).abs() < 1e-12, "{probabilities:?}");
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{probabilities:?}");
        let bad = of(-0.03);
        assert_eq!((bad.class, bad.margin, bad.too_close), (0, Some(0.03), true));
        assert_eq!(bad.top(2).iter().map(|r| (r.class, r.score)).collect::<Vec<_>>(), [(0, 0.0), (1, -0.03)]);
        // Four deviations of one score are sure.
        assert!(!of(0.0401).too_close && of(0.0399).too_close);
        let Some(Warning::LargeScore { label, score, .. }) = of(-11.0).warnings.pop() else { panic!() };
        assert_eq!((label.as_str(), score), ("good", -11.0));
    }

    #[test]
    fn probabilities_are_those_of_the_scores_as_shown() {
        let labels = ["a", "b", "c"].map(String::from);
        let scores = vec![1.234_567, 2.5, -1.0];
        let exact = Classification::new(&labels, FinalActivation::Softmax, scores, ERROR, 10.0);
        let top = |answer: &Classification| -> Vec<f64> {
            answer.top(3).iter().map(|ranked| ranked.probability.expect("a softmax's")).collect()
        };
        let expected = 2.5f64.exp() / (1.23f64.exp() + 2.5f64.exp() + (-1.0f64).exp());
        assert!((top(&exact.clone().rounded(ERROR))[0] - expected).abs() < 1e-12);
        assert!((top(&exact)[0] - expected).abs() > 1e-5);
        assert!(of(&[1.0, 2.0]).top(1)[0].probability.is_none());
    }

    /// The decision is that of the exact scores, and no figure that is left is finer than the error.
    #[test]
    fn rounding_keeps_the_decision_and_hides_the_digits() {
        let exact = of(&[1.234_567, 1.179_012, 0.5, 11.111_111, 11.060_06]);
        let rounded = exact.clone().rounded(ERROR);
        assert!(exact.too_close && rounded.too_close);
        assert_eq!((rounded.class, rounded.margin), (3, Some(0.05)));
        let fine = |figure: f64| (figure / ERROR - (figure / ERROR).round()).abs() > 1e-6;
        assert!(!rounded.scores.iter().any(|&score| fine(score)), "{rounded:?}");
        assert_eq!(rounded.warnings.len(), 3);
        for warning in &rounded.warnings {
            match warning {
                Warning::LargeScore { score, .. } => assert!(!fine(*score)),
                Warning::TooClose { margin, .. } => assert_eq!(*margin, 0.05),
                other => panic!("{other:?}"),
            }
        }
        // A margin above the threshold stays sure, even where it is rounded below it.
        assert!(!of(&[0.0, 0.0575]).rounded(0.05).too_close);
    }

    /// The order of scores that look the same would be a comparison of exact ones.
    #[test]
    fn the_ranking_tells_no_more_than_the_rounded_scores() {
        let rounded = of(&[0.001, 0.003, 3.001, 3.002, 0.004]).rounded(ERROR);
        let classes: Vec<usize> = rounded.top(5).iter().map(|ranked| ranked.class).collect();
        assert_eq!(classes, [3, 2, 0, 1, 4]);
        assert_eq!((rounded.label.as_str(), rounded.margin), ("class 3", Some(0.0)));
        let Some(Warning::TooClose { labels, .. }) = rounded.warnings.last() else { panic!("{rounded:?}") };
        assert_eq!(labels, &["class 3", "class 2"]);
    }

    #[test]
    fn names_are_fit_for_a_terminal() {
        let labels = ["\u{1b}[2Jcat", "dog"].map(String::from);
        let answer = Classification::new(&labels, FinalActivation::None, vec![1.0, 1.0], ERROR, 10.0);
        assert_eq!((answer.label.as_str(), &*answer.name()), ("\u{1b}[2Jcat", "\\u{1b}[2Jcat"));
        assert_eq!(answer.top(1)[0].name, answer.name());
        let said = answer.warnings[0].to_string();
        assert!(said.contains("too close to call: \\u{1b}[2Jcat or dog"), "{said}");
        assert!(said.contains("differ by 0.00") && said.contains("0.010"), "{said}");
    }
}
