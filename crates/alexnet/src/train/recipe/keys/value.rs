//! Kinds of values that a recipe's keys have: what they accept, in words and as a check.

use toml::Value;

/// Largest number that a recipe counts to: epochs, patience.
const MOST: i64 = 1_000_000_000;

/// A range of numbers, possibly without its ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end.
    pub min: f64,
    /// Upper end.
    pub max: f64,
    /// Whether the lower end itself is excluded.
    pub above_min: bool,
    /// Whether the upper end itself is excluded.
    pub below_max: bool,
}

impl Range {
    /// From 0 to 1.
    pub const SHARE: Range = Range { min: 0.0, max: 1.0, above_min: false, below_max: false };
    /// From 0, below 1.
    pub const BELOW_ONE: Range = Range { below_max: true, ..Range::SHARE };
    /// Above 0.
    pub const POSITIVE: Range = Range { min: 0.0, max: f64::MAX, above_min: true, below_max: false };
    /// At least 0.
    pub const FROM_ZERO: Range = Range { above_min: false, ..Range::POSITIVE };

    /// From `min` to `max`, both included.
    pub const fn of(min: f64, max: f64) -> Range {
        Range { min, max, above_min: false, below_max: false }
    }

    /// Whether the range contains a number, which training rounds to 32 bits.
    fn contains(&self, x: f64) -> bool {
        let rounded = f64::from(x as f32);
        let at_excluded_end = (self.above_min && rounded == self.min) || (self.below_max && rounded == self.max);
        rounded.is_finite()
            && !at_excluded_end
            && (x > self.min || (x == self.min && !self.above_min))
            && (x < self.max || (x == self.max && !self.below_max))
    }

    fn words(&self) -> String {
        let (from, above) = if self.above_min { ("above", "above") } else { ("from", "of at least") };
        match (self.max == f64::MAX, self.below_max) {
            (true, _) => format!("{above} {}", self.min),
            (false, true) => format!("{from} {} to below {}", self.min, self.max),
            (false, false) => format!("{from} {} to {}", self.min, self.max),
        }
    }
}

/// Kind of a key's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text on one line.
    Text,
    /// true or false.
    Switch,
    /// A whole number of at least this.
    Count(i64),
    /// A whole number from the first to the second.
    Between(i64, i64),
    /// A number.
    Number(Range),
    /// Two numbers, of which the first is not larger.
    Pair(Range),
    /// A list of numbers.
    Numbers(Range),
    /// A list of fractions `[n, d]` of the run.
    Fractions,
    /// A list of plans `[step, share, until]`.
    Legs,
    /// A list of changes `[n, d, layer, times]`.
    RateChanges,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of words.
    Words(&'static [&'static str]),
    /// A table of other keys; `true` stands for their defaults, `none` or `false` for its absence.
    Table,
}

impl Kind {
    /// A number from 0 to 1.
    pub const SHARE: Kind = Kind::Number(Range::SHARE);
    /// A number from 0, below 1.
    pub const BELOW_ONE: Kind = Kind::Number(Range::BELOW_ONE);
    /// A number above 0.
    pub const POSITIVE: Kind = Kind::Number(Range::POSITIVE);
    /// A number of at least 0.
    pub const FROM_ZERO: Kind = Kind::Number(Range::FROM_ZERO);

    /// What the kind accepts, as in "expected a number above 0".
    pub fn words(&self) -> String {
        match self {
            Kind::Text => "text".into(),
            Kind::Switch => "true or false".into(),
            Kind::Count(min) => format!("a whole number from {min} to {MOST}"),
            Kind::Between(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Number(range) => format!("a number {}", range.words()),
            Kind::Pair(range) => format!("two numbers {}, the smaller one first, such as [0.5, 1]", range.words()),
            Kind::Numbers(range) => format!("a list of numbers {}", range.words()),
            Kind::Fractions => "a list of fractions of the run, such as [[1, 2], [3, 4]]".into(),
            Kind::Legs => "a list of [step, share, until]".into(),
            Kind::RateChanges => "a list of [n, d, layer, times], such as [[67, 91, \"conv1\", 0.1]]".into(),
            Kind::Word(words) => match words {
                [only] => (*only).into(),
                [first, second] => format!("{first} or {second}"),
                _ => format!("one of {}", words.join(", ")),
            },
            Kind::Words(words) => format!("a list of {}", words.join(", ")),
            Kind::Table => "true or none".into(),
        }
    }

    /// The value as a recipe stores it; `None` if the kind does not accept it.
    pub fn accept(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Kind::Text, Value::String(text)) => (!text.is_empty() && !text.chars().any(char::is_control)).then(|| value.clone()),
            (Kind::Switch, Value::Boolean(_)) => Some(value.clone()),
            (Kind::Between(min, max), Value::Integer(n)) => (*min..=*max).contains(n).then(|| value.clone()),
            (Kind::Count(min), Value::Integer(n)) => (*min..=MOST).contains(n).then(|| value.clone()),
            (Kind::Number(range), _) => number(value).filter(|x| range.contains(*x)).map(Value::Float),
            (Kind::Pair(_), Value::Array(parts)) if parts.len() != 2 => None,
            (Kind::Pair(range), Value::Array(_)) => {
                let pair = Kind::Numbers(*range).accept(value)?;
                let [a, b] = [0, 1].map(|i| pair.get(i).and_then(Value::as_float));
                (a <= b).then_some(pair)
            }
            (Kind::Numbers(range), Value::Array(parts)) => {
                parts.iter().map(|part| Kind::Number(*range).accept(part)).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Kind::Fractions, Value::Array(parts)) => {
                let fraction = |part: &Value| {
                    let [n, d] = <&[Value; 2]>::try_from(part.as_array()?.as_slice()).ok()?;
                    let (n, d) = (n.as_integer()?, d.as_integer()?);
                    (0 <= n && n <= d && (1..=MOST).contains(&d)).then_some(())
                };
                parts.iter().all(|part| fraction(part).is_some()).then(|| value.clone())
            }
            (Kind::Legs, Value::Array(parts)) => parts.iter().map(leg).collect::<Option<Vec<_>>>().map(Value::Array),
            (Kind::RateChanges, Value::Array(parts)) => {
                parts.iter().map(rate_change).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Kind::Word(words), Value::String(word)) => words.contains(&word.as_str()).then(|| value.clone()),
            (Kind::Words(_), Value::Array(parts)) => parts.iter().all(|part| self.has(part)).then(|| value.clone()),
            _ => None,
        }
    }

    /// Whether a list of words may contain `part`.
    fn has(&self, part: &Value) -> bool {
        matches!((self, part), (Kind::Words(words), Value::String(word)) if words.contains(&word.as_str()))
    }

    /// Reads a value written on the command line: TOML, in which words need no quotes.
    pub fn parse(&self, text: &str) -> Value {
        let text = text.trim();
        let bare = || Value::String(text.into());
        match self {
            Kind::Text | Kind::Word(_) if !text.starts_with(['"', '\'']) => bare(),
            _ => text.parse::<Value>().unwrap_or_else(|_| bare()),
        }
    }
}

/// A plan `[step, share, until]`.
fn leg(value: &Value) -> Option<Value> {
    let [step, share, until] = <&[Value; 3]>::try_from(value.as_array()?.as_slice()).ok()?;
    let (share, count) = (Kind::SHARE.accept(share)?, |n: &Value| Kind::Count(0).accept(n));
    Some(Value::Array(vec![count(step)?, share, count(until)?]))
}

/// A change `[n, d, layer, times]`.
fn rate_change(value: &Value) -> Option<Value> {
    let [n, d, layer, times] = <&[Value; 4]>::try_from(value.as_array()?.as_slice()).ok()?;
    Kind::Fractions.accept(&Value::Array(vec![Value::Array(vec![n.clone(), d.clone()])]))?;
    Some(Value::Array(vec![n.clone(), d.clone(), Kind::Text.accept(layer)?, Kind::FROM_ZERO.accept(times)?]))
}

/// A number, written as an integer or a float.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_or_exclude_their_ends() {
        let accepts = |kind: Kind, text: &str| kind.accept(&kind.parse(text)).is_some();
        for (kind, good, bad) in [
            (Kind::Number(Range::SHARE), &["0", "1", "0.5", "5e-1"][..], &["-0.1", "1.1", "nan", "inf", "x", "\"1\"", ""][..]),
            (Kind::Number(Range::BELOW_ONE), &["0", "0.999"], &["1", "0.99999999999"]),
            (Kind::Number(Range::POSITIVE), &["1e-9", "3", "1e38"], &["0", "-1", "inf", "nan", "1e39", "1e-60"]),
            (Kind::Count(1), &["1", "1_000"], &["0", "1.5", "-1", "99999999999", "99999999999999999999"]),
            (Kind::Between(0, 30), &["0", "30"], &["31", "-1", "9.5"]),
            (Kind::Pair(Range::SHARE), &["[0.1, 1]", "[1, 1]"], &["[1, 0.5]", "[0.5]", "[0, 0.5, 1]", "0.5", "[0, 2]"]),
            (Kind::Numbers(Range::SHARE), &["[]", "[0.1, 1, 0]"], &["[2]", "0.1"]),
            (Kind::Fractions, &["[[2, 3]]", "[]"], &["[[3, 2]]", "[[1, 0]]", "[1, 2]", "[[-1, 2]]", "[[1]]"]),
            (
                Kind::RateChanges,
                &["[]", "[[67, 91, \"conv1\", 0.1], [1, 1, \"head\", 0]]"],
                &["[[2, 1, \"conv1\", 0]]", "[[1, 2, \"conv1\", -1]]", "[[1, 2, 3, 4]]", "[[1, 2, \"fc6\"]]", "conv1"],
            ),
            (Kind::Word(&["sgd", "adamw"]), &["sgd", "\"sgd\"", "'adamw'"], &["adam", ""]),
            (Kind::Words(&["a", "b"]), &["[]", "[\"a\", \"b\"]"], &["[\"c\"]", "a"]),
            (Kind::Switch, &["true", "false"], &["yes", "1"]),
            (Kind::Text, &["a name", "\"quoted\""], &["", "\"\\u0007\""]),
        ] {
            for text in good {
                assert!(accepts(kind, text), "{kind:?}: {text}");
            }
            for text in bad {
                assert!(!accepts(kind, text), "{kind:?}: {text}");
            }
        }
        assert_eq!(Kind::Number(Range::BELOW_ONE).words(), "a number from 0 to below 1");
        assert_eq!(Kind::Number(Range::POSITIVE).words(), "a number above 0");
    }
}
