//! The pickle virtual machine: a stack with marks, and a memo. Opcodes follow CPython's `pickle.py`, protocols 0 to 5.

use super::super::reader::{Cursor, ParseResult};
use super::value::{Id, Pickle, Value};
use std::collections::HashMap;

/// Limit on values, steps and memo entries of a pickle in any file. A checkpoint of AlexNet with optimizer state has a few
/// hundred values; without a limit, each one-byte step could allocate a value of about 60 bytes.
const VALUES: usize = 1 << 15;
const STEPS: usize = 1 << 19;
/// A long file may have one per this many bytes: a checkpoint may hold the loss of every step along with 240 MB of weights. A
/// value takes up to 250 bytes while the lists that hold it grow, a step 12.
const BYTES_A_VALUE: u64 = 256;
const BYTES_A_STEP: u64 = 64;
/// Maximum number of open marks.
const MOST_MARKS: usize = 1 << 10;
/// Longest string that is kept as a name, in bytes.
const LONGEST_NAME: u64 = 1 << 12;

/// Allowed globals, and advice for files that use others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) names: &'static [&'static str],
    pub(crate) advice: &'static str,
}

/// Reads the pickle at the cursor, which ends up after its last opcode. Globals that `allowed` does not list are refused.
///
/// # Errors
/// A disallowed opcode or global, a truncated pickle, or a stack underflow.
pub(crate) fn read(cursor: &mut Cursor<'_>, allowed: Allowed) -> ParseResult<Pickle> {
    let length = cursor.reader().length();
    let room = |bytes: u64| usize::try_from(length / bytes).unwrap_or(usize::MAX);
    let (most_steps, most_values) = (STEPS.max(room(BYTES_A_STEP)), VALUES.max(room(BYTES_A_VALUE)));
    let mut vm = Vm {
        cursor,
        allowed,
        most_values,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memory: HashMap::new(),
        copied: 0,
    };
    for _ in 0..most_steps {
        let opcode = vm.cursor.byte()?;
        if opcode == b'.' {
            let root = vm.pop()?;
            return Ok(Pickle { values: vm.values, root });
        }
        vm.step(opcode)?;
    }
    Err(format!("a pickle with more than {most_steps} steps; a model has far fewer"))
}

struct Vm<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    allowed: Allowed,
    most_values: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Stack heights at the marks.
    marks: Vec<usize>,
    memory: HashMap<u32, Id>,
    /// Items copied between values; a memoised value could be copied at every step.
    copied: usize,
}

impl Vm<'_, '_> {
    fn step(&mut self, opcode: u8) -> ParseResult<()> {
        match opcode {
            0x80 => {
                let protocol = self.cursor.byte()?;
                if protocol > 5 {
                    return Err(format!("unsupported pickle protocol {protocol}, expected 0 to 5"));
                }
            }
            0x95 => {
                self.cursor.array::<8>()?; // FRAME: a prefetch hint
            }
            b'(' if self.marks.len() == MOST_MARKS => {
                return Err(format!("a pickle with more than {MOST_MARKS} open lists at once"));
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.above_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let number = self.cursor.byte()?.into();
                self.push(Value::Int(number))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.cursor.array()?).into();
                self.push(Value::Int(number))?;
            }
            b'J' => {
                let number = i32::from_le_bytes(self.cursor.array()?).into();
                self.push(Value::Int(number))?;
            }
            0x8A => {
                let length = self.cursor.byte()?.into();
                self.long(length)?;
            }
            0x8B => {
                let length = u32::from_le_bytes(self.cursor.array()?).into();
                self.long(length)?;
            }
            b'I' | b'L' => {
                let line = self.cursor.line()?;
                let value = match line.trim_end_matches('L') {
                    "00" if opcode == b'I' => Value::Bool(false),
                    "01" if opcode == b'I' => Value::Bool(true),
                    digits => digits.parse().map_or(Value::None, Value::Int),
                };
                self.push(value)?;
            }
            b'F' => {
                let number = self.cursor.line()?.parse().map_err(|_| "damaged: invalid number".to_string())?;
                self.push(Value::Float(number))?;
            }
            b'G' => {
                let number = f64::from_be_bytes(self.cursor.array()?);
                self.push(Value::Float(number))?;
            }
            b'U' | 0x8C => {
                let length = self.cursor.byte()?.into();
                self.string(length)?;
            }
            b'T' | b'X' => {
                let length = u32::from_le_bytes(self.cursor.array()?).into();
                self.string(length)?;
            }
            0x8D => {
                let length = u64::from_le_bytes(self.cursor.array()?);
                self.string(length)?;
            }
            b'S' | b'V' => {
                let start = self.cursor.at();
                let line = self.cursor.line()?;
                let text = if opcode == b'S' { line.trim_matches(['\'', '"']) } else { &line };
                self.push(Value::Text { text: text.into(), start })?;
            }
            b'C' => {
                let length = self.cursor.byte()?.into();
                self.binary(length)?;
            }
            b'B' => {
                let length = u32::from_le_bytes(self.cursor.array()?).into();
                self.binary(length)?;
            }
            0x8E | 0x96 => {
                let length = u64::from_le_bytes(self.cursor.array()?);
                self.binary(length)?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' | 0x8F => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' => {
                let items = self.above_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or_else(empty)?;
                self.check_mark(start)?;
                let items = self.stack.split_off(start);
                self.push(Value::Tuple(items))?;
            }
            b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = self.above_mark()?;
                let entries = pairs(&items)?;
                self.push(Value::Dict(entries))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend_list(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.extend_dict(&items)?;
            }
            b'q' => {
                let at = self.cursor.byte()?.into();
                self.remember(at)?;
            }
            b'r' => {
                let at = u32::from_le_bytes(self.cursor.array()?);
                self.remember(at)?;
            }
            b'p' => {
                let at = self.number_line()?;
                self.remember(at)?;
            }
            0x94 => self.remember(self.memory.len() as u32)?,
            b'h' => {
                let at = self.cursor.byte()?.into();
                self.recall(at)?;
            }
            b'j' => {
                let at = u32::from_le_bytes(self.cursor.array()?);
                self.recall(at)?;
            }
            b'g' => {
                let at = self.number_line()?;
                self.recall(at)?;
            }
            b'c' => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                self.global(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module as usize], &self.values[name as usize]) {
                    (Value::Text { text: module, .. }, Value::Text { text: name, .. }) => {
                        let (module, name) = (module.clone(), name.clone());
                        self.global(&module, &name)?;
                    }
                    _ => return Err("damaged: the name of a global is not a string".into()),
                }
            }
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            b'Q' => {
                let what = self.pop()?;
                self.push(Value::Persistent(what))?;
            }
            other => return Err(refusal(other)),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> ParseResult<()> {
        if self.values.len() == self.most_values {
            return Err(format!("a pickle with more than {} values; a model has far fewer", self.most_values));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn top(&self) -> ParseResult<Id> {
        self.check_mark(self.stack.len().checked_sub(1).ok_or_else(empty)?)?;
        self.stack.last().copied().ok_or_else(empty)
    }

    fn pop(&mut self) -> ParseResult<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Nothing below the last mark may be popped.
    fn check_mark(&self, height: usize) -> ParseResult<()> {
        if self.marks.last().is_some_and(|&mark| height < mark) { Err(empty()) } else { Ok(()) }
    }

    fn above_mark(&mut self) -> ParseResult<Vec<Id>> {
        let mark = self.marks.pop().ok_or("damaged: an opcode of a pickle lacks its mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn long(&mut self, length: u64) -> ParseResult<()> {
        if length > 8 {
            // PyTorch's magic number has ten bytes; no count is that long.
            let start = self.cursor.skip(length)?;
            return self.push(Value::Bytes { start, length });
        }
        let bytes = self.cursor.bytes(length)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut all = if negative { [0xFF; 8] } else { [0; 8] };
        all[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    fn string(&mut self, length: u64) -> ParseResult<()> {
        if length > LONGEST_NAME {
            let start = self.cursor.skip(length)?;
            return self.push(Value::LongText { start, length });
        }
        let at = self.cursor.at();
        match self.cursor.text(length) {
            Ok(text) => self.push(Value::Text { text: text.into(), start: at }),
            // Python 2 wrote bytes and text the same way.
            Err(_) if self.cursor.at() == at + length => self.push(Value::Bytes { start: at, length }),
            Err(why) => Err(why),
        }
    }

    fn binary(&mut self, length: u64) -> ParseResult<()> {
        let start = self.cursor.skip(length)?;
        self.push(Value::Bytes { start, length })
    }

    fn number_line(&mut self) -> ParseResult<u32> {
        self.cursor.line()?.parse().map_err(|_| "damaged: invalid memo index".into())
    }

    fn remember(&mut self, at: u32) -> ParseResult<()> {
        let top = self.top()?;
        if self.memory.len() == self.most_values {
            return Err(format!("a pickle that memoises more than {} values; a model has far fewer", self.most_values));
        }
        self.memory.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> ParseResult<()> {
        let id = self.memory.get(&at).ok_or_else(|| format!("damaged: no memo entry at {at}"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn extend_list(&mut self, items: &[Id]) -> ParseResult<()> {
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::List(list) => list.extend_from_slice(items),
            other => return Err(format!("damaged: items for {}", other.kind())),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> ParseResult<()> {
        let (top, entries) = (self.top()?, pairs(items)?);
        match &mut self.values[top as usize] {
            Value::Dict(dict) => dict.extend(entries),
            other => return Err(format!("damaged: entries for {}", other.kind())),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> ParseResult<()> {
        let full = format!("{module}.{name}");
        if !self.allowed.names.contains(&full.as_str()) {
            let advice = self.allowed.advice;
            return Err(format!("its pickle refers to `{full}`, which weights do not need and is not run; {advice}"));
        }
        self.push(Value::Global(full.into()))
    }

    /// REDUCE and NEWOBJ: records the call. Containers are created immediately, since entries may be added to them.
    fn call(&mut self) -> ParseResult<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(name) = &self.values[function as usize] else {
            return Err(format!("damaged: a call of {}", self.values[function as usize].kind()));
        };
        let Value::Tuple(arguments) = &self.values[arguments as usize] else {
            return Err(format!("damaged: `{name}` is called with {}", self.values[arguments as usize].kind()));
        };
        let first = arguments.first().map(|&id| &self.values[id as usize]);
        let inner = match first {
            Some(Value::Dict(entries)) => entries.len(),
            Some(Value::List(items) | Value::Tuple(items)) => items.len(),
            _ => 0,
        };
        self.copied += arguments.len() + inner;
        if self.copied > STEPS {
            return Err(format!("a pickle that copies more than {STEPS} items; a model has far fewer"));
        }
        let value = match &**name {
            "collections.OrderedDict" | "collections.Counter" | "builtins.dict" => match first {
                None => Value::Dict(Vec::new()),
                Some(Value::Dict(entries)) => Value::Dict(entries.clone()),
                Some(Value::List(items)) => Value::Dict(self.pairs_of(items)?),
                Some(other) => return Err(format!("damaged: `{name}` of {}", other.kind())),
            },
            "collections.defaultdict" => Value::Dict(Vec::new()),
            "builtins.set" | "__builtin__.set" | "builtins.tuple" | "__builtin__.tuple" => match first {
                Some(Value::List(items) | Value::Tuple(items)) => Value::Tuple(items.clone()),
                _ => return Err(format!("damaged: `{name}` of a value that is not a list")),
            },
            "_codecs.encode" => match first {
                Some(Value::LongText { start, length }) => Value::Latin1 { start: *start, length: *length },
                Some(Value::Text { text, start }) => Value::Latin1 { start: *start, length: text.len() as u64 },
                _ => return Err("damaged: `_codecs.encode` of a value that is not a string".into()),
            },
            _ => Value::Call { name: name.clone(), arguments: arguments.clone(), state: None },
        };
        self.push(value)
    }

    fn pairs_of(&self, items: &[Id]) -> ParseResult<Vec<(Id, Id)>> {
        let pair = |&id: &Id| match &self.values[id as usize] {
            Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            other => Err(format!("damaged: expected a pair, got {}", other.kind())),
        };
        items.iter().map(pair).collect()
    }

    /// BUILD: stores the state with the call; attributes of a dictionary are dropped.
    fn build(&mut self) -> ParseResult<()> {
        let given = self.pop()?;
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::Call { state, .. } => *state = Some(given),
            Value::Dict(_) => {}
            other => return Err(format!("damaged: a state for {}", other.kind())),
        }
        Ok(())
    }
}

fn empty() -> String {
    "damaged: pickle stack underflow".into()
}

fn pairs(items: &[Id]) -> ParseResult<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() { Ok(pairs.iter().map(|p| (p[0], p[1])).collect()) } else { Err("damaged: a key without a value".into()) }
}

fn refusal(opcode: u8) -> String {
    let name = match opcode {
        b'i' => "INST",
        b'o' => "OBJ",
        b'P' => "PERSID",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x92 => "NEWOBJ_EX",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return format!("damaged, or not a pickle: {opcode:#04x} is not an opcode"),
    };
    format!("its pickle uses the opcode {name} ({opcode:#04x}), which weights do not need and is not run")
}
