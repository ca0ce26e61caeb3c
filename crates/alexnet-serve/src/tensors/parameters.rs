//! Repeated parts of a request, deserialized without keeping unused content in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A list of at most `N` entries.
pub(super) struct Few<T, const N: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Few<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
            type Value = Few<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of up to {N} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(entry) = list.next_element()? {
                    if few.len() == N {
                        return Err(A::Error::custom(format!("a list of more than {N} entries")));
                    }
                    few.push(entry);
                }
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Recognised parameters of a request, tensor or output. Others are ignored, as the protocol requires.
const KNOWN: [&str; 4] = ["binary_data_output", "binary_data", "binary_data_size", "classification"];

/// Parameters by name.
#[derive(Default)]
pub(super) struct Parameters(BTreeMap<&'static str, Scalar>);

impl Parameters {
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Scalar::Flag(value)) => Ok(Some(*value)),
            Some(other) => Err(format!("the parameter {name} is {other}; expected true or false")),
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value {
                Scalar::Count(n) if usize::try_from(*n).is_ok() => Ok(Some(*n as usize)),
                other => Err(format!("the parameter {name} is {other}; expected a whole number")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parameters = BTreeMap::new();
                while let Some(name) = map.next_key::<Cow<'_, str>>()? {
                    let Some(known) = KNOWN.iter().find(|known| **known == name) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if parameters.insert(*known, map.next_value()?).is_some() {
                        return Err(A::Error::custom(format!("the parameter {known} is given twice")));
                    }
                }
                Ok(Parameters(parameters))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Value of a parameter.
enum Scalar {
    Flag(bool),
    Count(u64),
    /// Any other value, described for a message.
    Other(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Flag(value) => value.fmt(f),
            Scalar::Count(value) => value.fmt(f),
            Scalar::Other(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Count(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Other(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Other(value.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Other(format!("{:?}", super::short(value))))
            }

            fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
                Ok(Scalar::Other("null".into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other("a list".into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other("an object".into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
