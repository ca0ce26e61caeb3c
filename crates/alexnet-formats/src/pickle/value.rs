//! What a pickle describes: values that refer to each other by number.

use super::super::reader::ParseResult;

/// Most axes of a tensor; PyTorch and numpy know 64.
const MOST_AXES: usize = 64;

/// Number of a value.
pub(crate) type Id = u32;

/// A value. Values lie side by side and refer to each other by number, so that however deeply a file nests them,
/// nothing here recurses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A text, and where it begins in the file.
    Text {
        text: Box<str>,
        start: u64,
    },
    /// Text too long to be a name: where its UTF-8 lies in the file.
    LongText {
        start: u64,
        length: u64,
    },
    /// Where bytes lie in the file.
    Bytes {
        start: u64,
        length: u64,
    },
    /// Bytes written as text (Python 2's way): `_codecs.encode(text, 'latin1')`.
    Latin1 {
        start: u64,
        length: u64,
    },
    Tuple(Vec<Id>),
    /// Lists and sets.
    List(Vec<Id>),
    /// Dictionaries of every kind, in their order.
    Dict(Vec<(Id, Id)>),
    /// A name from the reader's list.
    Global(Box<str>),
    /// A call of such a name that was not made: its name, what it would have been given, and the state set afterwards.
    Call {
        name: Box<str>,
        arguments: Vec<Id>,
        state: Option<Id>,
    },
    /// Something kept outside of the pickle.
    Persistent(Id),
}

/// A pickle read: its values, and which of them it stands for.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(crate) root: Id,
}

impl Pickle {
    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        if let Value::Text { text, .. } = self.get(id) { Some(text) } else { None }
    }

    /// What every reference to the outside carries, in the order of reading.
    pub(crate) fn persistent(&self) -> impl Iterator<Item = Id> + '_ {
        self.values.iter().filter_map(|value| if let Value::Persistent(what) = value { Some(*what) } else { None })
    }

    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        if let Value::Tuple(items) | Value::List(items) = self.get(id) { Some(items) } else { None }
    }

    /// A number that counts something.
    pub(crate) fn count(&self, id: Id) -> ParseResult<u64> {
        match self.get(id) {
            Value::Int(number) => u64::try_from(*number).map_err(|_| format!("{number} where a count belongs")),
            other => Err(format!("{} where a count belongs", other.kind())),
        }
    }

    /// A tuple or list of counts: a shape, or strides.
    pub(crate) fn counts(&self, id: Id) -> ParseResult<Vec<usize>> {
        let id = match self.get(id) {
            // torch.Size((3, 4))
            Value::Call { arguments, .. } if arguments.len() == 1 => arguments[0],
            _ => id,
        };
        let items = self.items(id).ok_or_else(|| format!("{} where a shape belongs", self.get(id).kind()))?;
        // Many tensors may share one.
        if items.len() > MOST_AXES {
            return Err(format!("damaged: a shape of {} axes", items.len()));
        }
        items.iter().map(|&item| self.count(item).map(|n| n as usize)).collect()
    }
}

impl Value {
    /// What it is, in a word or two.
    pub(crate) fn kind(&self) -> String {
        match self {
            Value::None => "None".into(),
            Value::Bool(_) => "a truth value".into(),
            Value::Int(_) => "a whole number".into(),
            Value::Float(_) => "a number".into(),
            Value::Text { .. } | Value::LongText { .. } => "a text".into(),
            Value::Bytes { .. } | Value::Latin1 { .. } => "bytes".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::List(_) => "a list".into(),
            Value::Dict(_) => "a dictionary".into(),
            Value::Global(name) => format!("`{name}`"),
            Value::Call { name, .. } => format!("a `{name}`"),
            Value::Persistent(_) => "a reference to a storage".into(),
        }
    }
}
