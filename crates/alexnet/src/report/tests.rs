//! Complete pages, and unusual runs.

use super::*;
use crate::Result;
use crate::data::Dataset;
use crate::eval::{Averages, Calibration, PerClass, Report, Scored};
use crate::image::Image;
use crate::train::config::Config;
use crate::train::recipe;

pub(super) fn config() -> Config {
    Config {
        net: "slim".into(),
        image_size: 96,
        activation: None,
        data: None,
        data_root: None,
        data_classes: None,
        val: None,
        val_share: 0.1,
        from: None,
        labels: None,
        label_order: None,
        seed: 7,
        precision: "f32".into(),
        device: "cpu".into(),
        blocks: None,
        snapshots: Default::default(),
        time: None,
        lr_changes: Vec::new(),
        recipe: recipe::by_name("quick").unwrap(),
    }
}

/// A data set with markup in its class names, and an image for each answer.
struct Hostile(Vec<String>, Vec<String>);

const NAMES: [&str; 3] = ["<script>alert(1)</script>", "a\"b' & c", "tëst\u{0}"];

impl Hostile {
    fn new() -> Hostile {
        Hostile(NAMES.map(String::from).to_vec(), (0..9).map(|i| format!("{}/{i}.png", NAMES[i % 3])).collect())
    }
}

impl Dataset for Hostile {
    fn classes(&self) -> &[String] {
        &self.0
    }
    fn len(&self) -> usize {
        self.1.len()
    }
    fn label(&self, i: usize) -> u32 {
        (i % 3) as u32
    }
    fn name(&self, i: usize) -> &str {
        &self.1[i]
    }
    fn image(&self, i: usize) -> Result<Image> {
        match i {
            8 => Err("<b>gone</b>".into()),
            _ => Ok(Image { width: 2, height: 1, rgb: vec![9, 8, 7, 6, 5, 4] }),
        }
    }
}

/// An evaluation that answers each image `i` with `answer(i)`.
fn report(classes: &[String], n: usize, answer: impl Fn(usize) -> (u32, f32)) -> Report {
    let c = classes.len();
    let mut confusion = vec![vec![0u64; c]; c];
    let mut answers = Vec::new();
    for i in 0..n {
        let (label, (class, probability)) = ((i % c) as u32, answer(i));
        confusion[label as usize][class as usize] += 1;
        let of_label = if class == label { probability } else { 1.0 - probability };
        answers.push(Scored { image: i as u32, label, class, probability, of_label });
    }
    let per_class = classes.iter().enumerate().map(|(k, class)| {
        let images = confusion[k].iter().sum::<u64>();
        let top1 = (images > 0).then(|| confusion[k][k] as f64 / images as f64);
        PerClass { class: class.clone(), images, top1, predictions: 0, precision: None, recall: top1, f1: None }
    });
    Report {
        images: n,
        top1: answers.iter().filter(|a| a.is_right()).count() as f64 / n as f64,
        top5: 1.0,
        k: 5,
        top_k: 1.0,
        loss: 0.5,
        crops: 1,
        macro_average: Averages { precision: 0.0, recall: 0.0, f1: 0.0, classes: c },
        per_class: per_class.collect(),
        confusion,
        calibration: Calibration::of(answers.iter().map(|a| (f64::from(a.probability), a.is_right()))),
        selective: None,
        answers,
        broken: Vec::new(),
    }
}

/// Asserts that every tag is closed in order, attributes are quoted, and nothing is fetched.
fn assert_sound(html: &str) {
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url(") && !html.contains("@import"));
    const VOID: [&str; 6] = ["meta", "link", "img", "input", "br", "hr"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        // No `>` occurs within an attribute: it is escaped there.
        let end = rest.find('>').unwrap_or_else(|| panic!("a tag without end: {}", &rest[..rest.len().min(80)]));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order: </{name}>");
            continue;
        }
        let name = tag.split([' ', '\n', '/']).next().unwrap();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()) && !name.is_empty(), "an odd tag: <{tag}>");
        // Name, then `key` or `key="value"`, separated by spaces.
        let mut left = tag[name.len()..].trim_end_matches('/');
        while !left.trim_start().is_empty() {
            assert!(left.starts_with([' ', '\n']), "no space before an attribute: <{tag}>");
            left = left.trim_start();
            let key = left.len() - left.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-').len();
            assert!(key > 0, "an odd attribute: <{tag}>");
            left = &left[key..];
            if let Some(value) = left.strip_prefix("=\"") {
                left = &value[value.find('"').expect("the end of a value") + 1..];
            }
        }
        for source in ["src=\"", "href=\""] {
            if let Some(at) = tag.find(source) {
                assert!(tag[at + source.len()..].starts_with("data:"), "fetched: <{tag}>");
            }
        }
        if name == "script" || name == "style" {
            rest = &rest[rest.find(&format!("</{name}>")).expect("an end")..];
        }
        if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert_eq!(html.matches("<script").count(), 1);
}

/// Writes a run folder with these metrics and log.
fn folder(metrics: &str, log: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    config().write(&folder.path().join("config.toml")).unwrap();
    std::fs::write(folder.path().join("metrics.csv"), metrics).unwrap();
    std::fs::write(folder.path().join("log.jsonl"), log).unwrap();
    folder
}

fn page(folder: &tempfile::TempDir, evaluated: Option<&Evaluated>) -> String {
    let run = Run::read(folder.path()).unwrap();
    let net = config().net().unwrap();
    let html = Page { run: &run, net: Some(&net), evaluated, before: None, after: None, live: false }.html();
    assert_sound(&html);
    html
}

/// Extracts the chart data of a page.
fn charts(html: &str) -> Vec<serde_json::Value> {
    let attribute = |part: &str| part.split('"').next().unwrap().replace("&quot;", "\"").replace("&amp;", "&");
    html.split("data-chart=\"").skip(1).map(|part| serde_json::from_str(&attribute(part)).unwrap()).collect()
}

const METRICS: &str = "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,broken\n\
    1,4,3e-3,2.345678,0.123457,1.987654,0.333333,0.9,0\n2,8,1.5e-3,1.25,0.5,1.5,0.625,1.000000,2\n";

#[test]
fn the_initial_model_is_a_row_but_not_an_epoch() {
    let folder = folder(
        "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,broken\n\
         0,0,,,,0.9,0.75,1.0,0\n1,4,1e-4,1.25,0.5,1.0,0.625,1.0,0\n",
        "",
    );
    let html = page(&folder, None);
    for part in [
        "<b>75.00 %</b><span>best validation top-1, before the first epoch</span>",
        "<b>1 of 30</b>",
        "<td>0</td><td>0</td><td>–</td><td>–</td><td>–</td><td>0.9000</td><td>75.00 %</td><td>100.00 %</td>",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    let charts = charts(&html);
    assert_eq!(charts[0]["series"][0]["points"], serde_json::json!([[1.0, 1.25]]));
    assert_eq!(charts[0]["series"][1]["points"], serde_json::json!([[0.0, 0.9], [1.0, 1.0]]));
}

#[test]
fn macro_f1_is_beside_top_1_and_selects_the_best_if_monitored() {
    let metrics = "epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,val_macro_f1,broken\n\
        1,4,3e-3,2.345678,0.123457,1.987654,0.75,0.9,0.25,0\n2,8,1.5e-3,1.25,0.5,1.5,0.625,1.000000,0.5,2\n";
    let folder = folder(metrics, "");
    let html = page(&folder, None);
    for part in [
        "<td>1.5000</td><td>62.50 %</td><td>50.00 %</td><td>100.00 %</td>",
        "<th>top-1</th><th>macro-F1</th><th>top-5</th>",
        "<b>75.00 %</b><span>best validation top-1, epoch 1</span>",
        "<b>25.00 %</b><span>macro-F1 of that epoch</span>",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(charts(&html)[1]["series"].as_array().unwrap().iter().any(|series| series["name"] == "validation, macro-F1"));
    let mut config = config();
    config.recipe.monitor = recipe::Monitor::MacroF1;
    config.write(&folder.path().join("config.toml")).unwrap();
    let html = page(&folder, None);
    assert!(html.contains("<b>62.50 %</b><span>validation top-1 of the best epoch, epoch 2</span>"));
    let runs = [Run::read(folder.path()).unwrap()];
    assert!(compare::table(&runs).iter().any(|(name, values)| name == "its macro-F1" && values[..] == ["50.00 %".to_string()]));
}

#[test]
fn a_page_shows_the_metrics_and_escapes_names() {
    let source = Hostile::new();
    // Every fourth answer is wrong.
    let report = report(&source.0, 9, |i| (((i + usize::from(i % 4 == 3)) % 3) as u32, 0.5 + i as f32 * 0.05));
    let evaluated = Evaluated::new("Epoch 2 <best>", &report, &source);
    let folder = folder(METRICS, "");
    let html = page(&folder, Some(&evaluated));
    let charts = charts(&html);
    let loss = &charts[0]["series"];
    assert_eq!(loss[0]["points"], serde_json::json!([[1.0, 2.345678], [2.0, 1.25]]));
    assert_eq!(loss[1]["points"], serde_json::json!([[1.0, 1.987654], [2.0, 1.5]]));
    assert_eq!(charts[1]["series"][1]["points"], serde_json::json!([[1.0, 0.333333], [2.0, 0.625]]));
    assert_eq!(charts[2]["series"][0]["points"], serde_json::json!([[1.0, 0.003], [2.0, 0.0015]]));
    for part in [
        "<td>2</td><td>8</td><td>1.5e-3</td><td>1.2500</td><td>50.00 %</td><td>1.5000</td><td>62.50 %</td><td>100.00 %</td>",
        "<b>62.50 %</b><span>best validation top-1, epoch 2</span>",
        "<b>2 of 30</b>",
        "images could not be read",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "a&quot;b&#39; &amp; c",
        "Epoch 2 &lt;best&gt;: 9 images, top-1 77.78 %",
        "&lt;b&gt;gone&lt;/b&gt;",
        "<tr><th scope=\"row\">recipe.lr</th><td>0.04</td></tr>",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.contains(&format!("<b>{:.2} %</b> (15 bins)", report.calibration.ece * 100.0)));
    assert!(html.contains("true tëst , predicted &lt;script&gt;alert(1)&lt;/script&gt;: 0 of 3 (0.00 %)"));
    // A run with markup in its name, which appears in title and heading.
    let odd = folder.path().join("<i>&run");
    std::fs::create_dir(&odd).unwrap();
    std::fs::copy(folder.path().join("config.toml"), odd.join("config.toml")).unwrap();
    let run = Run::read(&odd).unwrap();
    let html = Page { run: &run, net: None, evaluated: None, before: None, after: None, live: true }.html();
    assert_sound(&html);
    assert!(
        html.contains("<h1>&lt;i&gt;&amp;run</h1>") && html.contains("data-live") && html.contains("first epoch is in progress")
    );
}

#[test]
fn unusual_runs_and_evaluations_have_a_page() {
    let source = Hostile::new();
    // An empty run; a non-finite loss; an error message with markup.
    let nothing = page(&folder("", "not JSON\n"), None);
    assert!(
        nothing.contains("No epoch is complete") && nothing.contains("not recorded") && nothing.contains("no end was recorded")
    );
    let wild = folder("epoch,step,lr,train_loss,train_top1\n1,1,NaN,NaN,0\n2,2,inf,inf,NaN\n", {
        "{\"kind\":\"end\",\"at\":5,\"step\":2,\"ending\":{\"failed\":\"the <loss> is not finite\"}}\n"
    });
    let html = page(&wild, None);
    assert!(html.contains("failed: the &lt;loss&gt; is not finite") && html.contains("<td>not finite</td>"));
    // One class and one image, correct or wrong; no correct prediction; a thousand classes.
    let one = vec!["only".to_string()];
    for probability in [1.0, f32::NAN] {
        let html = page(&wild, Some(&Evaluated::new("x", &report(&one, 1, |_| (0, probability)), &source)));
        assert!(html.contains("There are no mistakes") && !html.contains("NaN"));
    }
    let html = page(&wild, Some(&Evaluated::new("x", &report(&source.0, 9, |i| ((i as u32 + 1) % 3, 0.9)), &source)));
    assert!(html.contains("There are no correct predictions") && html.contains("Most frequent confusions"));
    let many: Vec<String> = (0..1000).map(|i| format!("class {i}")).collect();
    let html = page(&wild, Some(&Evaluated::new("x", &report(&many, 9, |i| (i as u32 / 2, 0.9)), &source)));
    assert!(html.contains("991 classes have no images") && html.contains("1000 classes, one pixel per cell"));
    assert!(html.len() < 300_000, "{}", html.len());
}

#[test]
fn runs_are_compared_side_by_side_with_differing_settings() {
    let (a, b) = (folder(METRICS, ""), folder(&METRICS.split_inclusive('\n').take(2).collect::<String>(), ""));
    let mut other = config();
    other.recipe.lr = 0.25;
    other.val = Some("<b>".into());
    other.write(&b.path().join("config.toml")).unwrap();
    let runs = [&a, &b].map(|folder| Run::read(folder.path()).unwrap());
    let differing = compare::differing(&runs);
    assert_eq!(differing[0], ("recipe.lr".into(), vec![Some("0.04".into()), Some("0.25".into())]));
    assert_eq!(differing[1], ("val".into(), vec![None, Some("<b>".into())]));
    assert_eq!(differing.len(), 2);
    let table = compare::table(&runs);
    assert_eq!(table[0], ("best top-1".into(), vec!["62.50 %".into(), "33.33 %".into()]));
    assert_eq!(table[5].1, ["2 of 30", "1 of 30"]);
    let html = compare::page(&runs);
    assert_sound(&html);
    assert!(html.contains("<td>&lt;b&gt;</td>"));
    assert_eq!(charts(&html)[0]["series"][0]["points"], serde_json::json!([[1.0, 0.333333], [2.0, 0.625]]));
    // Equal names: whole paths.
    let [run, again] = [0, 0].map(|_| Run::read(&runs[0].folder).unwrap());
    assert_eq!(compare::names(&[run, again])[0], runs[0].folder.display().to_string());
}

#[test]
fn top_5_is_omitted_with_five_classes_or_fewer() {
    let source = Hostile::new();
    let run = Run::read(folder(METRICS, "").path()).unwrap();
    let html = |classes: usize| {
        let names: Vec<String> = (0..classes).map(|i| format!("class {i}")).collect();
        let evaluated = Evaluated::new("x", &report(&names, 9, |i| ((i % classes) as u32, 0.9)), &source);
        let net = config().net().unwrap().with_classes(classes);
        let html =
            Page { run: &run, net: Some(&net), evaluated: Some(&evaluated), before: None, after: None, live: false }.html();
        assert_sound(&html);
        html
    };
    assert!(!html(5).contains("top-5") && !html(2).contains("top-5"));
    // In text, as a curve and in the table.
    assert!(html(6).matches("top-5").count() >= 3);
    let [a, b] = [0, 0].map(|_| folder("epoch,step,lr,val_loss,val_top1,val_top5\n1,4,3e-3,1,0.5,1.0\n", ""));
    let table = compare::table(&[&a, &b].map(|folder| Run::read(folder.path()).unwrap()));
    assert!(table.iter().all(|(name, _)| name != "its top-5"));
}

#[test]
fn the_network_is_drawn_at_the_size_of_the_page() {
    let net = config().net().unwrap();
    let drawing = crate::net::diagram::compact_svg(&net).unwrap();
    let html = page(&folder(METRICS, ""), None);
    assert!(html.contains(&html::data_uri("image/svg+xml", drawing.as_bytes())));
}
