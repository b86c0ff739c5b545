//! Ask the user of a Consentry app for data: from a WebAssembly module (target
//! `wasm32-wasip1`) through host functions, from a program in an image over HTTP.
//! The calls are the same, and there are no dependencies.
//!
//! ```no_run
//! use consentry::{request, Item, Question};
//! let answer = request(&Question::new("to invite people to your party")
//!     .item(Item::new("contacts").fields(&["name", "email", "phone?"]).max(20)))?;
//! for person in &answer.items[0].records {
//!     println!("{}", person.text("name").unwrap_or("?"));
//! }
//! # Ok::<(), consentry::Error>(())
//! ```
//!
//! A call waits while the user decides. Nothing is given without a yes, and a yes
//! may give less than was asked for: [`Given::withheld`] names what is missing.
//! What there is to ask for is in docs/data.md.

mod json;
#[cfg_attr(target_os = "wasi", path = "module.rs")]
#[cfg_attr(not(target_os = "wasi"), path = "image.rs")]
mod way;

pub use json::Value;
use std::fmt;
use std::time::Duration;

/// A call that got nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `denied`, `blocked`, `undeclared`, `timeout`, `busy`, `unavailable`,
    /// `invalid`, `unknown-kind`, `not-found` or `unreachable`.
    pub code: String,
    pub detail: String,
}

impl Error {
    pub(crate) fn new(code: &str, detail: impl Into<String>) -> Self {
        Error { code: code.into(), detail: detail.into() }
    }

    /// The user said no, or nobody is asked.
    pub fn denied(&self) -> bool {
        matches!(self.code.as_str(), "denied" | "blocked" | "undeclared")
    }

    /// There is no answer yet: the same call may be made again later.
    pub fn again(&self) -> bool {
        matches!(self.code.as_str(), "timeout" | "busy" | "unavailable")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {}

/// One thing to ask for. Which members go with a type, [`kinds`] tells.
#[derive(Debug, Clone)]
pub struct Item {
    kind: String,
    members: Vec<(String, Value)>,
}

impl Item {
    pub fn new(kind: &str) -> Self {
        Item { kind: kind.into(), members: Vec::new() }
    }

    /// Fields: `"email"`, or `"email?"` for one that can be done without.
    pub fn fields(self, names: &[&str]) -> Self {
        self.with("fields", Value::List(names.iter().map(|n| Value::Text(n.to_string())).collect()))
    }

    /// At most so many records.
    pub fn max(self, records: u32) -> Self {
        self.with("max", Value::Number(records.into()))
    }

    /// A member that is text: `from`, `to` (RFC 3339), `name`, `url`, `title`, `body`.
    pub fn text(self, member: &str, value: &str) -> Self {
        self.with(member, Value::Text(value.into()))
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.members.push((member.into(), value));
        self
    }
}

/// What [`request`] asks.
#[derive(Debug, Clone)]
pub struct Question {
    purpose: String,
    items: Vec<Item>,
    retain: bool,
    wait: Option<Duration>,
}

impl Question {
    /// The purpose is one sentence that the user reads, of at most 500 bytes.
    pub fn new(purpose: &str) -> Self {
        Question { purpose: purpose.into(), items: Vec::new(), retain: false, wait: None }
    }

    pub fn item(mut self, item: Item) -> Self {
        self.items.push(item);
        self
    }

    /// Keeps the answer for the same question until the app ends or the user
    /// takes it back.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Bounds the time for an answer; a module waits as long as the user may
    /// take in any case.
    pub fn wait(mut self, most: Duration) -> Self {
        self.wait = Some(most);
        self
    }

    fn rest(&self) -> Vec<(String, Value)> {
        let mut rest = vec![("purpose".to_string(), Value::Text(self.purpose.clone()))];
        if self.retain {
            rest.push(("retain".into(), Value::Text("run".into())));
        }
        rest
    }
}

/// What the user gave: something at least.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `granted` or `partial`.
    pub status: String,
    /// As they were asked for.
    pub items: Vec<Given>,
}

/// What was given of one item.
#[derive(Debug, Clone)]
pub struct Given {
    pub kind: String,
    /// `granted`, `partial`, or the code of an [`Error`].
    pub status: String,
    /// For [`give_back`].
    pub grant: Option<String>,
    pub values: Value,
    pub records: Vec<Value>,
    /// Fields that were not given.
    pub withheld: Vec<String>,
}

impl Given {
    fn of(kind: &str, status: &str, answer: &Value) -> Self {
        let withheld: Vec<String> = answer.get("withheld").items().iter().filter_map(|v| v.as_str().map(String::from)).collect();
        Given {
            kind: kind.into(),
            status: status.into(),
            grant: answer.text("grant").map(String::from),
            values: answer.get("values").clone(),
            records: answer.get("records").items().to_vec(),
            withheld,
        }
    }
}

/// Asks the user. An error says that nothing was given.
pub fn request(question: &Question) -> Result<Answer, Error> {
    way::request(question)
}

/// What there is to ask for. Asks the user nothing.
pub fn kinds() -> Result<Vec<Value>, Error> {
    Ok(way::kinds()?.get("kinds").items().to_vec())
}

/// What this run was given.
pub fn grants() -> Result<Vec<Value>, Error> {
    Ok(way::grants()?.get("grants").items().to_vec())
}

/// Ends a grant.
pub fn give_back(grant: &str) -> Result<(), Error> {
    way::give_back(grant)
}

/// A file that the user picked: `content` of a record of type `files`.
pub fn read_file(handle: &str) -> Result<Vec<u8>, Error> {
    way::read_file(handle)
}
