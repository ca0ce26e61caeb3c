//! Deserialization of recipes, including those stored by earlier versions.

use super::Recipe;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Recipe::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        upgrade(&mut fields);
        Recipe::deserialize(Value::Object(fields)).map_err(D::Error::custom)
    }
}

/// Upgrades fields of earlier versions, which supported only SGD, to the current names and structure.
fn upgrade(fields: &mut Map<String, Value>) {
    for (old, new) in [("decay", "weight_decay"), ("bias_decay", "bias_weight_decay")] {
        if let Some(value) = fields.remove(old) {
            fields.entry(new).or_insert(value);
        }
    }
    let mut sgd = Map::new();
    for (old, new) in [("momentum", "momentum"), ("form", "form"), ("trust", "lars_trust")] {
        if let Some(value) = fields.remove(old) {
            sgd.insert(new.into(), value);
        }
    }
    if !sgd.is_empty() {
        sgd.insert("kind".into(), "sgd".into());
        fields.entry("optimizer").or_insert(Value::Object(sgd));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NAMES, by_name};
    use super::*;

    /// A recipe as stored by the version before other optimizers.
    fn earlier(recipe: &Recipe) -> Value {
        let Value::Object(mut fields) = serde_json::to_value(recipe).unwrap() else { panic!("not an object") };
        let optimizer = fields.remove("optimizer").unwrap();
        for (new, old) in [("weight_decay", "decay"), ("bias_weight_decay", "bias_decay")] {
            let value = fields.remove(new).unwrap();
            fields.insert(old.into(), value);
        }
        for (new, old) in [("momentum", "momentum"), ("form", "form"), ("lars_trust", "trust")] {
            if let Some(value) = optimizer.get(new) {
                fields.insert(old.into(), value.clone());
            }
        }
        Value::Object(fields)
    }

    #[test]
    fn recipes_of_earlier_versions_are_read() {
        for name in NAMES {
            let recipe = by_name(name).unwrap();
            assert_eq!(serde_json::from_value::<Recipe>(earlier(&recipe)).unwrap(), recipe, "{name}");
        }
        let mut unknown = earlier(&by_name("paper").unwrap());
        unknown["momenta"] = 0.5.into();
        assert!(serde_json::from_value::<Recipe>(unknown).unwrap_err().to_string().contains("momenta"));
    }
}
