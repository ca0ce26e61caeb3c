//! Values in a pickle, which refer to each other by index.

use super::super::reader::ParseResult;

/// Maximum number of tensor axes; PyTorch and numpy support 64.
const MOST_AXES: usize = 64;

/// Index of a value.
pub(crate) type Id = u32;

/// A value. Values are stored in an array and refer to each other by index, so nothing recurses, however deep the nesting in a
/// file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A string, and its start in the file.
    Text {
        text: Box<str>,
        start: u64,
    },
    /// A string too long to be a name: the location of its UTF-8 in the file.
    LongText {
        start: u64,
        length: u64,
    },
    /// Location of a byte string in the file.
    Bytes {
        start: u64,
        length: u64,
    },
    /// Bytes encoded as text (Python 2's way): `_codecs.encode(text, 'latin1')`.
    Latin1 {
        start: u64,
        length: u64,
    },
    Tuple(Vec<Id>),
    /// Lists and sets.
    List(Vec<Id>),
    /// Dictionaries of every kind, in insertion order.
    Dict(Vec<(Id, Id)>),
    /// A global on the allow-list.
    Global(Box<str>),
    /// A recorded call of such a global: its name, its arguments, and the state set afterwards.
    Call {
        name: Box<str>,
        arguments: Vec<Id>,
        state: Option<Id>,
    },
    /// A reference to data outside the pickle.
    Persistent(Id),
}

/// A parsed pickle: its values, and the root among them.
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

    /// The payload of every persistent reference, in file order.
    pub(crate) fn persistent(&self) -> impl Iterator<Item = Id> + '_ {
        self.values.iter().filter_map(|value| if let Value::Persistent(what) = value { Some(*what) } else { None })
    }

    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        if let Value::Tuple(items) | Value::List(items) = self.get(id) { Some(items) } else { None }
    }

    /// A non-negative integer.
    pub(crate) fn count(&self, id: Id) -> ParseResult<u64> {
        match self.get(id) {
            Value::Int(number) => u64::try_from(*number).map_err(|_| format!("expected a count, got {number}")),
            other => Err(format!("expected a count, got {}", other.kind())),
        }
    }

    /// A tuple or list of counts: a shape, or strides.
    pub(crate) fn counts(&self, id: Id) -> ParseResult<Vec<usize>> {
        let id = match self.get(id) {
            // torch.Size((3, 4))
            Value::Call { arguments, .. } if arguments.len() == 1 => arguments[0],
            _ => id,
        };
        let items = self.items(id).ok_or_else(|| format!("expected a shape, got {}", self.get(id).kind()))?;
        // Many tensors may share one shape.
        if items.len() > MOST_AXES {
            return Err(format!("damaged: a shape of {} axes", items.len()));
        }
        items.iter().map(|&item| self.count(item).map(|n| n as usize)).collect()
    }
}

impl Value {
    /// Short description of its type.
    pub(crate) fn kind(&self) -> String {
        match self {
            Value::None => "None".into(),
            Value::Bool(_) => "a boolean".into(),
            Value::Int(_) => "an integer".into(),
            Value::Float(_) => "a number".into(),
            Value::Text { .. } | Value::LongText { .. } => "a string".into(),
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
