use super::answer::Seen;
use super::report::summarise;
use super::*;

#[test]
fn one_crop_gives_log_softmax_exactly_and_without_overflow() {
    let got = log_probabilities(&[1000.0, 0.0], 2);
    assert_eq!(got, [0.0, -1000.0]);
    let got = log_probabilities(&[0.5, 0.5, 0.5, 0.5], 4);
    assert!(got.iter().all(|p| (p + 4.0f64.ln()).abs() < 1e-12));
}

#[test]
fn crops_average_probabilities_not_logits() {
    // 0.9, 0.1 and 0.2, 0.8: mean 0.55, 0.45. The mean logits would select the same class by another margin.
    let crop = |p: f32| [p.ln(), (1.0 - p).ln()];
    let got = log_probabilities(&[crop(0.9), crop(0.2)].concat(), 2);
    assert!((got[0].exp() - 0.55).abs() < 1e-6 && (got[1].exp() - 0.45).abs() < 1e-6, "{got:?}");
}

#[test]
fn a_constant_prediction_is_correct_for_one_class_only() {
    let classes: Vec<String> = (0..10).map(|c| c.to_string()).collect();
    let seen: Vec<Seen> = (0..10).map(|label| Seen::new(&[-(10.0f64.ln()); 10], label, label, None)).collect();
    let again: Vec<Seen> = seen.iter().map(|seen| Seen::of_numbers(&seen.to_numbers())).collect();
    let report = summarise(&again, &classes, Options::default(), Vec::new());
    assert_eq!((report.top1, report.top5, report.images), (0.1, 0.5, 10));
    assert!((report.loss - 10.0f64.ln()).abs() < 1e-12);
    assert_eq!(report.per_class[0].top1, Some(1.0));
    assert_eq!(report.confusion[3], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Confidence equals accuracy: a tenth.
    assert!(report.calibration.ece < 1e-6, "{}", report.calibration.ece);
    let answer = report.answers[3];
    assert!((answer.image, answer.label, answer.class) == (3, 3, 0) && !answer.is_right());
}

/// Results for (true class, predicted class, probability) of four classes, `a` to `d`.
fn of_predictions(predictions: &[(u32, u32, f64)], options: Options) -> Report {
    let classes = ["a", "b", "c", "d"].map(String::from);
    let seen = predictions.iter().enumerate().map(|(i, &(label, class, probability))| {
        let mut scores = [((1.0 - probability) / 3.0).ln(); 4];
        scores[class as usize] = probability.ln();
        Seen::new(&scores, i as u32, label, options.threshold)
    });
    let again: Vec<Seen> = seen.map(|seen| Seen::of_numbers(&seen.to_numbers())).collect();
    summarise(&again, &classes, options, Vec::new())
}

/// Of 6 images of three classes, c is never predicted, and d neither occurs nor is predicted.
const PREDICTIONS: [(u32, u32, f64); 6] = [(0, 0, 0.9), (0, 0, 0.6), (0, 1, 0.5), (1, 1, 0.8), (1, 0, 0.7), (2, 0, 0.4)];

#[test]
fn precision_recall_and_f1_are_those_computed_by_hand() {
    let report = of_predictions(&PREDICTIONS, Options::default());
    let found: Vec<_> =
        report.per_class.iter().map(|class| (class.predictions, class.precision, class.recall, class.f1)).collect();
    assert_eq!(
        found,
        [
            (4, Some(2.0 / 4.0), Some(2.0 / 3.0), Some(4.0 / 7.0)),
            (2, Some(1.0 / 2.0), Some(1.0 / 2.0), Some(1.0 / 2.0)),
            (0, None, Some(0.0), Some(0.0)),
            (0, None, None, None),
        ]
    );
    // scikit-learn's precision_recall_fscore_support(..., average="macro", zero_division=0).
    let Averages { precision, recall, f1, classes } = report.macro_average;
    assert_eq!(classes, 3);
    for (found, expected) in [(precision, 1.0 / 3.0), (recall, 7.0 / 18.0), (f1, 5.0 / 14.0)] {
        assert!((found - expected).abs() < 1e-15, "{found}, not {expected}");
    }
}

#[test]
fn top_k_counts_the_rank_of_the_true_class() {
    let top = |top| of_predictions(&PREDICTIONS, Options { top, ..Default::default() }).top_k;
    // Classes of equal probability rank in class order: of the wrong ones, b behind a, a behind b, and c third.
    assert_eq!([1, 2, 3, 4, 9].map(top), [0.5, 5.0 / 6.0, 1.0, 1.0, 1.0]);
    let report = of_predictions(&PREDICTIONS, Options { top: 2, ..Default::default() });
    assert_eq!((report.top1, report.top5, report.k), (0.5, 1.0, 2));
}

#[test]
fn below_the_threshold_nothing_is_answered() {
    let selective =
        |threshold| of_predictions(&PREDICTIONS, Options { threshold: Some(threshold), ..Default::default() }).selective.unwrap();
    let Selective { answered, coverage, accuracy, wrong, .. } = selective(0.65);
    assert_eq!((answered, coverage, accuracy, wrong), (3, 0.5, Some(2.0 / 3.0), 1));
    let Selective { answered, coverage, accuracy, wrong, .. } = selective(0.95);
    assert_eq!((answered, coverage, accuracy, wrong), (0, 0.0, None, 0));
    assert_eq!((selective(0.0).answered, selective(0.0).accuracy), (6, Some(0.5)));
    assert_eq!(of_predictions(&PREDICTIONS, Options::default()).selective, None);
}

#[test]
fn an_answers_row_has_a_cell_per_column() {
    let classes = ["a", "b", "c"].map(String::from);
    let options = Options { top: 2, threshold: Some(0.65), ..Default::default() };
    let scores = [0.3f64, 0.6, 0.1].map(f64::ln);
    let rows = AnswerRows { classes: &classes, top: 2, threshold: true };
    let names: Vec<String> = rows.columns().into_iter().map(|column| column.name).collect();
    assert_eq!(
        names.join(","),
        "name,label,predicted,probability,label_probability,label_rank,correct,answered,predicted_2,probability_2,error"
    );
    let row = rows.row("a/1.jpg", 0, &Answer::new(&scores, 7, 0, options));
    let shown: Vec<String> = row.cells.iter().map(|cell| format!("{cell:?}")).collect();
    assert_eq!(shown.len(), names.len());
    assert!(shown[5..8] == ["Integer(2)", "Flag(false)", "Flag(false)"] && shown[8] == "Text(\"a\")", "{shown:?}");
    assert_eq!((&row.json["top"][1]["label"], &row.json["answered"]), (&"a".into(), &false.into()));
    let broken = rows.row("a/2.jpg", 0, &Answer::unreadable(8, "empty file"));
    assert_eq!(broken.cells.len(), names.len());
    assert_eq!(broken.json, serde_json::json!({"name": "a/2.jpg", "label": "a", "error": "empty file"}));
}
