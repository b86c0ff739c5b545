//! As much JSON (RFC 8259) as the data API speaks.

use crate::Error;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// Deeper values are refused.
const MAX_DEPTH: u32 = 32;

impl Value {
    /// A member; null if there is none.
    pub fn get(&self, name: &str) -> &Value {
        match self {
            Value::Object(members) => members.iter().find(|(n, _)| n == name).map_or(&Value::Null, |(_, v)| v),
            _ => &Value::Null,
        }
    }

    /// The text of a member.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).as_str()
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; none of anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Number(n) => out.push_str(&n.to_string()),
            Value::Text(text) => write_text(text, out),
            Value::List(list) => {
                out.push('[');
                for (i, v) in list.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    v.write(out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (i, (name, v)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    v.write(out);
                }
                out.push('}');
            }
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Value, Error> {
        let mut p = Parser { text, at: 0 };
        let value = p.value(0)?;
        p.space();
        if p.at < text.len() {
            return Err(wrong());
        }
        Ok(value)
    }
}

fn wrong() -> Error {
    Error::new("unavailable", "the answer is not JSON")
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes one byte if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.text.get(self.at) == Some(&byte);
        self.at += is as usize;
        is
    }

    fn want(&mut self, byte: u8) -> Result<(), Error> {
        if self.take(byte) { Ok(()) } else { Err(wrong()) }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Error> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(wrong());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: u32) -> Result<Value, Error> {
        self.space();
        if depth > MAX_DEPTH {
            return Err(wrong());
        }
        match self.text.get(self.at) {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Value, Error> {
        let mut members = Vec::new();
        self.want(b'{')?;
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.want(b':')?;
            members.push((name, self.value(depth + 1)?));
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            self.want(b',')?;
        }
    }

    fn list(&mut self, depth: u32) -> Result<Value, Error> {
        let mut list = Vec::new();
        self.want(b'[')?;
        if self.take(b']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.take(b']') {
                return Ok(Value::List(list));
            }
            self.want(b',')?;
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let from = self.at;
        while matches!(self.text.get(self.at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[from..self.at]).map_err(|_| wrong())?;
        text.parse().map(Value::Number).map_err(|_| wrong())
    }

    fn string(&mut self) -> Result<String, Error> {
        self.want(b'"')?;
        let mut out = Vec::new();
        loop {
            let byte = *self.text.get(self.at).ok_or_else(wrong)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(out).map_err(|_| wrong()),
                b'\\' => {
                    let mut buf = [0; 4];
                    out.extend_from_slice(self.escape()?.encode_utf8(&mut buf).as_bytes());
                }
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let byte = *self.text.get(self.at).ok_or_else(wrong)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(wrong()),
        })
    }

    /// One or, for what is beyond 16 bits, two groups of four digits.
    fn unicode(&mut self) -> Result<char, Error> {
        let high = self.digits()?;
        if !(0xd800..0xdc00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or('\u{fffd}'));
        }
        if !self.text[self.at..].starts_with(b"\\u") {
            return Ok('\u{fffd}');
        }
        self.at += 2;
        let low = self.digits()?;
        let joined = 0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00);
        Ok(if (0xdc00..0xe000).contains(&low) { char::from_u32(joined).unwrap_or('\u{fffd}') } else { '\u{fffd}' })
    }

    fn digits(&mut self) -> Result<u32, Error> {
        let text = self.text.get(self.at..self.at + 4).ok_or_else(wrong)?;
        self.at += 4;
        let text = std::str::from_utf8(text).map_err(|_| wrong())?;
        u32::from_str_radix(text, 16).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let value = Value::Object(vec![
            ("a \"\\\n".into(), Value::Text("é😀\u{1}".into())),
            ("list".into(), Value::List(vec![Value::Number(-1.5), Value::Null, Value::Bool(true)])),
        ]);
        let mut text = String::new();
        value.write(&mut text);
        assert_eq!(Value::parse(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn escapes() {
        let got = Value::parse(br#" "\u00e9\ud83d\ude00\n\/\ud800x" "#).unwrap();
        assert_eq!(got.as_str(), Some("é😀\n/\u{fffd}x"));
    }

    #[test]
    fn what_is_no_json() {
        for text in ["", "{", "[1,]", "\"", "{\"a\"}", "tru", "1 2", "\"\\u12\"", "\"\\x\"", "-"] {
            assert!(Value::parse(text.as_bytes()).is_err(), "{}", text);
        }
        assert!(Value::parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
