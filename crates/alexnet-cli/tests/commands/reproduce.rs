//! Studies of the paper's claims: the list, and what is refused.

use super::*;

#[test]
fn studies_are_listed_and_mistakes_are_named() {
    let list: serde_json::Value = serde_json::from_str(&done(&["reproduce", "list", "--json"])).expect("JSON");
    let names: Vec<&str> = list.as_array().expect("studies").iter().filter_map(|study| study["name"].as_str()).collect();
    assert_eq!(names.len(), 13);
    assert!(names.contains(&"figure-1") && names.contains(&"ablation"), "{names:?}");
    assert!(done(&["reproduce"]).contains("6 times"));
    fails(1, &["reproduce", "figure1"], &["unknown study `figure1`; did you mean figure-1?"]);
    fails(1, &["reproduce", "lrn", "--val", "somewhere"], &["--val needs --data"]);
    fails(1, &["reproduce", "figure-3", "--model", "no/such.safetensors"], &["no/such.safetensors: no such model file"]);
    fails(2, &["reproduce", "lrn", "--seeds", "0"], &["--seeds"]);
}
