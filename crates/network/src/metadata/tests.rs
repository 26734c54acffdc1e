use super::*;

const INPUT: Shape = Shape::new(2, 1, 2);

fn parsed(entries: &[(&str, &str)]) -> Metadata {
    let labels = Metadata::new(INPUT, 3).labels;
    Metadata::parse(INPUT, 3, labels, entries.iter().copied()).unwrap()
}

#[test]
fn defaults() {
    let metadata = parsed(&[("author", "someone"), ("blindsight.future", "?")]);
    assert_eq!(metadata, Metadata::new(INPUT, 3));
    assert_eq!(metadata.labels, ["0", "1", "2"]);
    assert_eq!(metadata.input_range, (0.0, 1.0));
    assert!(!metadata.is_normalised);
    assert!(parsed(&[("blindsight.std", "1,1")]).is_normalised);
}

#[test]
fn ranges_name_what_is_there() {
    let metadata =
        parsed(&[("blindsight.ranges", r#"{"a": {"max": 5, "rms": 1}, "b": {"max": 1, "rms": 1}}"#)]);
    assert!(metadata.check_ranges(|name| ["a", "b"].contains(&name)).is_ok());
    let message = metadata.check_ranges(|name| name == "a").unwrap_err().to_string();
    assert!(message.contains("blindsight.ranges = \"b\""), "{message}");
}

#[test]
fn every_entry() {
    let metadata = parsed(&[
        ("blindsight.dataset", "mnist"),
        ("blindsight.description", "digits, small"),
        ("blindsight.accuracy", "0.9932"),
        ("blindsight.mean", "0.5, 0.25"),
        ("blindsight.std", "0.5,2"),
        ("blindsight.labels", "cat, dog,eel"),
        ("blindsight.score_bound", "38"),
        ("blindsight.ranges", r#"{"conv1": {"max": 5.0, "rms": 1.25}}"#),
    ]);
    assert_eq!((metadata.dataset.as_deref(), metadata.accuracy), (Some("mnist"), Some(0.9932)));
    assert_eq!(metadata.labels, ["cat", "dog", "eel"]);
    assert_eq!(metadata.score_bound, Some(38.0));
    assert_eq!(metadata.ranges["conv1"], ValueRange { max: 5.0, rms: 1.25 });
    // From pixels 0 and 255: channel 0 gives -1 and 1, channel 1 gives -0.125 and 0.375.
    assert_eq!(metadata.input_range, (-1.0, 1.0));
    let again: Metadata = serde_json::from_str(&serde_json::to_string(&metadata).unwrap()).unwrap();
    assert_eq!(again, metadata);
}

#[test]
fn entries_say_the_same() {
    let mut metadata = parsed(&[
        ("blindsight.dataset", "mnist"),
        ("blindsight.accuracy", "0.9932"),
        ("blindsight.labels", "cat, dog,eel"),
        ("blindsight.score_bound", "38.125"),
        ("blindsight.ranges", r#"{"conv \"1\"": {"max": 5.0, "rms": 1.25}}"#),
        ("blindsight.usual_input", "0.5,-1,2,3"),
        ("blindsight.error_ratio", "1.6"),
        ("blindsight.features", r#"["age, in years", "height", "", "weight"]"#),
        ("blindsight.samples", r#"[{"name": "an adult", "values": [39, 1.75, 0, -1e3]}]"#),
    ]);
    assert_eq!(metadata.features.as_ref().unwrap()[0], "age, in years");
    assert_eq!(metadata.samples[0].values, [39.0, 1.75, 0.0, -1e3]);
    metadata = metadata.with_normalisation(vec![0.1307, 0.1], vec![0.3081, 3.0]).unwrap();
    let entries = metadata.entries().unwrap();
    let read = Metadata::parse(INPUT, 3, vec![], entries.iter().map(|(k, v)| (*k, v.as_str()))).unwrap();
    assert_eq!(read, metadata);
    assert!((metadata.input_range.1 - (1.0 - 0.1307) / 0.3081).abs() < 1e-12);
}

fn labels_again(labels: [&str; 3]) -> (String, Vec<String>) {
    let metadata = Metadata { labels: labels.map(String::from).to_vec(), ..Metadata::new(INPUT, 3) };
    let entries = metadata.entries().unwrap();
    let entry = entries.iter().find(|(key, _)| *key == "blindsight.labels").unwrap().1.clone();
    let read = Metadata::parse(INPUT, 3, vec![], entries.iter().map(|(k, v)| (*k, v.as_str()))).unwrap();
    (entry, read.labels)
}

#[test]
fn labels_of_any_form_are_kept() {
    for labels in [
        ["cat", "dog, large", "eel"],
        ["", " ", ","],
        ["[1]", "[2]", "[3]"],
        ["[\"a\"", "b", "c]"],
        ["[\"a\"", "\"b\"", "\"c\"]"],
        ["\\", "\"", "\u{1b}[31m"],
    ] {
        assert_eq!(labels_again(labels).1, labels, "{labels:?}");
    }
    assert_eq!(labels_again(["cat", "dog", "eel"]).0, "cat,dog,eel");
    let listed = parsed(&[("blindsight.labels", r#"["dog, large", "b", "c"]"#)]);
    assert_eq!(listed.labels, ["dog, large", "b", "c"]);
}

#[test]
fn normalisation_that_is_none() {
    let metadata = || Metadata::new(INPUT, 3);
    for (mean, std) in [
        (vec![0.0], vec![1.0, 1.0]),
        (vec![0.0, f64::NAN], vec![1.0, 1.0]),
        (vec![0.0, 0.0], vec![1.0, 0.0]),
        (vec![0.0, 0.0], vec![1.0, -1.0]),
        (vec![0.0, 0.0], vec![1.0, f64::INFINITY]),
    ] {
        assert!(metadata().with_normalisation(mean, std).is_err());
    }
}

#[test]
fn normalisation() {
    let metadata = parsed(&[("blindsight.mean", "0.5,0"), ("blindsight.std", "0.5,2")]);
    let image = Image::new(INPUT, vec![0, 255, 51, 0]).unwrap();
    assert_eq!(metadata.normalise(&image).unwrap(), [-1.0, 1.0, 0.1, 0.0]);
    let grey = Image::new(Shape::new(1, 2, 2), vec![0; 4]).unwrap();
    let message = metadata.normalise(&grey).unwrap_err().to_string();
    assert!(message.contains("2 channels") && message.contains("2x2 8-bit grey"), "{message}");
}
