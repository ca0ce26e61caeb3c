//! Reader of the pickles in which CIFAR is published: dictionaries, lists, integers, strings, and arrays of bytes.
//!
//! A pickle is a program that may call any function of any module. This reader calls nothing: it knows the few opcodes that such data
//! need, and records a call of numpy's functions as a value. Everything else is an error that names it. The reader of weights in
//! `alexnet-formats` knows more of Python, and depends on a file of its own; here a pickle is a part of a file.

use crate::read_at::{Window, read_exact_at};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};

/// Index of a value.
pub(super) type Id = u32;

/// A value; others are referred to by index, so that nothing recurses.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    /// A number; booleans are 0 and 1.
    Int(i64),
    /// Bytes, or a string of Python 2: its place in the file.
    Bytes {
        start: u64,
        length: u64,
    },
    /// A string of Python 3, or a short one of either: its place in the file.
    Text {
        start: u64,
        length: u64,
    },
    /// Bytes written as text.
    Latin1 {
        start: u64,
        length: u64,
    },
    /// A list or tuple.
    Items(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// One of numpy's functions.
    Function(&'static str),
    /// A call of it, and what is set on the result.
    Call {
        function: &'static str,
        arguments: Vec<Id>,
        state: Option<Id>,
    },
}

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    pub(super) root: Id,
}

/// Functions that may be recorded: module, name, and the name used here.
const FUNCTIONS: [(&str, &str, &str); 7] = [
    ("numpy.core.multiarray", "_reconstruct", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer", "_frombuffer"),
    ("numpy", "ndarray", "ndarray"),
    ("numpy", "dtype", "dtype"),
    ("_codecs", "encode", "encode"),
];

/// Limits: the training file of CIFAR-100 has 150,000 values and 300,000 steps.
const VALUES: usize = 1 << 21;
const STEPS: usize = 1 << 23;
/// Longest string that may be a name.
const NAME: u64 = 1 << 12;

impl Pickle {
    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        if let Value::Items(items) = self.get(id) { Some(items) } else { None }
    }

    /// A string of up to [`NAME`] bytes.
    pub(super) fn text(&self, file: &File, id: Id) -> Option<String> {
        let (Value::Text { start, length } | Value::Bytes { start, length }) = *self.get(id) else { return None };
        if length > NAME {
            return None;
        }
        let mut bytes = vec![0; length as usize];
        read_exact_at(file, &mut bytes, start).ok()?;
        String::from_utf8(bytes).ok()
    }
}

/// Reads the pickle in a part of a file.
///
/// # Errors
/// It is damaged, truncated, or needs anything that data do not.
pub(super) fn read(file: &File, start: u64, size: u64) -> Result<Pickle, String> {
    let input = BufReader::with_capacity(1 << 16, Window { file, start, size, at: 0 });
    let mut vm =
        Vm { input, start, size, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memory: HashMap::new() };
    for _ in 0..STEPS {
        let opcode = vm.byte()?;
        if opcode == b'.' {
            let root = vm.pop()?;
            return Ok(Pickle { values: vm.values, root });
        }
        vm.step(opcode)?;
    }
    Err("damaged: a pickle with far more steps than such a file".into())
}

struct Vm<'a> {
    input: BufReader<Window<'a>>,
    /// Start of the part, its size, and the position within.
    start: u64,
    size: u64,
    at: u64,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memory: HashMap<u32, Id>,
}

impl Vm<'_> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            0x80 => match self.byte()? {
                2..=5 => Ok(()),
                protocol => Err(format!("unsupported pickle protocol {protocol}")),
            },
            // FRAME: a hint.
            0x95 => self.array::<8>().map(|_| ()),
            b'(' => {
                self.marks.push(self.stack.len());
                if self.marks.len() > 64 { Err("damaged: lists nested too deep".into()) } else { Ok(()) }
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'K' => {
                let number = self.byte()?.into();
                self.push(Value::Int(number))
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?).into();
                self.push(Value::Int(number))
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?).into();
                self.push(Value::Int(number))
            }
            0x8A => {
                let length = self.byte()?;
                let mut bytes = [0; 8];
                let part = bytes.get_mut(..length.into()).ok_or("damaged: a number of more than 8 bytes")?;
                self.fill(part)?;
                let unused = 64 - 8 * u32::from(length);
                let number = if length == 0 { 0 } else { (i64::from_le_bytes(bytes) << unused) >> unused };
                self.push(Value::Int(number))
            }
            b'U' | b'T' | b'C' | b'B' | 0x8E | 0x96 => {
                let length = self.length(opcode)?;
                let start = self.skip(length)?;
                self.push(Value::Bytes { start, length })
            }
            0x8C | b'X' | 0x8D => {
                let length = self.length(opcode)?;
                let start = self.skip(length)?;
                self.push(Value::Text { start, length })
            }
            b')' | b']' => self.push(Value::Items(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.above_mark()?;
                self.push(Value::Items(items))
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let at = self.stack.len().checked_sub(count).filter(|at| *at >= self.floor()).ok_or_else(empty)?;
                let items = self.stack.split_off(at);
                self.push(Value::Items(items))
            }
            b'a' | b'e' => {
                let items = if opcode == b'a' { vec![self.pop()?] } else { self.above_mark()? };
                match self.top()? {
                    Value::Items(list) => list.extend(items),
                    _ => return Err("damaged: items of something that is no list".into()),
                }
                Ok(())
            }
            b's' | b'u' => {
                let items = if opcode == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.above_mark()?
                };
                let (pairs, rest) = items.as_chunks::<2>();
                match self.top()? {
                    Value::Dict(dict) if rest.is_empty() => dict.extend(pairs.iter().map(|pair| (pair[0], pair[1]))),
                    _ => return Err("damaged: entries of something that is no dictionary".into()),
                }
                Ok(())
            }
            b'q' | b'r' | 0x94 => {
                let at = match opcode {
                    b'q' => self.byte()?.into(),
                    b'r' => u32::from_le_bytes(self.array()?),
                    _ => self.memory.len() as u32,
                };
                let top = *self.stack.last().ok_or_else(empty)?;
                if self.memory.len() > VALUES {
                    return Err(too_many());
                }
                self.memory.insert(at, top);
                Ok(())
            }
            b'h' | b'j' => {
                let at = if opcode == b'h' { self.byte()?.into() } else { u32::from_le_bytes(self.array()?) };
                let id = *self.memory.get(&at).ok_or("damaged: it refers to a value that is not there")?;
                self.push_id(id)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.function(&module, &name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.name(module)?, self.name(name)?);
                self.function(&module, &name)
            }
            b'R' => self.call(),
            b'b' => {
                let given = self.pop()?;
                match self.top()? {
                    Value::Call { state, .. } => *state = Some(given),
                    _ => return Err("damaged: a state of something that has none".into()),
                }
                Ok(())
            }
            other => Err(format!("its pickle uses the opcode {other:#04x}, which such data do not need and is not run")),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() >= VALUES {
            return Err(too_many());
        }
        self.values.push(value);
        self.push_id(self.values.len() as Id - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), String> {
        if self.stack.len() >= VALUES {
            return Err(too_many());
        }
        self.stack.push(id);
        Ok(())
    }

    /// Height of the last mark, below which nothing may be popped.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return Err(empty());
        }
        self.stack.pop().ok_or_else(empty)
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let id = *self.stack.last().ok_or_else(empty)?;
        Ok(&mut self.values[id as usize])
    }

    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("damaged: a list without a start")?;
        Ok(self.stack.split_off(mark))
    }

    fn function(&mut self, module: &str, name: &str) -> Result<(), String> {
        match FUNCTIONS.iter().find(|(of, known, _)| (*of, *known) == (module, name)) {
            Some((.., function)) => self.push(Value::Function(function)),
            None => {
                let full = format!("{module}.{name}");
                let full = crate::escape::printable(&full);
                Err(format!("its pickle refers to {full}, which such data do not need and is not run"))
            }
        }
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Function(function), Value::Items(arguments)) =
            (&self.values[function as usize], &self.values[arguments as usize])
        else {
            return Err("damaged: a call of something that is no function".into());
        };
        // Seven at most in what numpy writes; memoised arguments could be copied at every step.
        if arguments.len() > 8 {
            return Err("damaged: a call with too many arguments".into());
        }
        let (function, arguments) = (*function, arguments.clone());
        if function == "encode" {
            let text = arguments.first().map(|&id| &self.values[id as usize]);
            let Some(&Value::Text { start, length }) = text else { return Err("damaged: bytes that are no text".into()) };
            return self.push(Value::Latin1 { start, length });
        }
        self.push(Value::Call { function, arguments, state: None })
    }

    /// A name, read again from the file.
    fn name(&self, id: Id) -> Result<String, String> {
        let (Value::Text { start, length } | Value::Bytes { start, length }) = self.values[id as usize] else {
            return Err("damaged: a name that is no string".into());
        };
        if length > NAME {
            return Err("damaged: a name that is too long".into());
        }
        let mut bytes = vec![0; length as usize];
        read_exact_at(self.input.get_ref().file, &mut bytes, start).map_err(|error| format!("cannot be read: {error}"))?;
        String::from_utf8(bytes).map_err(|_| "damaged: a name that is not UTF-8".into())
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), String> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "truncated; download it again".to_string(),
            _ => format!("cannot be read: {error}"),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Length of a string or bytes after its opcode.
    fn length(&mut self, opcode: u8) -> Result<u64, String> {
        Ok(match opcode {
            b'U' | b'C' | 0x8C => self.byte()?.into(),
            b'T' | b'B' | b'X' => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        })
    }

    /// Passes over bytes, and returns their offset in the file.
    fn skip(&mut self, length: u64) -> Result<u64, String> {
        if length > self.size - self.at {
            return Err("truncated; download it again".into());
        }
        self.input.seek_relative(length as i64).map_err(|error| format!("cannot be read: {error}"))?;
        let start = self.start + self.at;
        self.at += length;
        Ok(start)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if line.len() as u64 == NAME => return Err("damaged: a name that does not end".into()),
                byte => line.push(byte),
            }
        }
        String::from_utf8(line).map_err(|_| "damaged: a name that is not UTF-8".into())
    }
}

fn empty() -> String {
    "damaged: its pickle takes a value from an empty stack".into()
}

fn too_many() -> String {
    "damaged: a pickle with far more values than such a file".into()
}
