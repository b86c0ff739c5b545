//! Through the host functions of a module; sdk/README.md describes them.

use crate::{Answer, Error, Given, Question, Value};

#[link(wasm_import_module = "consentry")]
extern "C" {
    #[link_name = "request"]
    fn host_request(kind: *const u8, kind_len: usize, json: *const u8, json_len: usize, handle: *mut u32) -> u32;
    #[link_name = "kinds"]
    fn host_kinds(handle: *mut u32) -> u32;
    #[link_name = "grants"]
    fn host_grants(handle: *mut u32) -> u32;
    #[link_name = "give_back"]
    fn host_give_back(grant: *const u8, grant_len: usize) -> u32;
    #[link_name = "file_open"]
    fn host_file_open(file: *const u8, file_len: usize, handle: *mut u32) -> u32;
    #[link_name = "read"]
    fn host_read(handle: u32, buf: *mut u8, len: usize, n: *mut usize) -> u32;
    #[link_name = "close"]
    fn host_close(handle: u32) -> u32;
}

fn check(call: &str, errno: u32) -> Result<(), Error> {
    let code = match errno {
        0 => return Ok(()),
        2 => "denied",
        6 => "timeout",
        28 => "invalid",
        44 => "not-found",
        58 => "unknown-kind",
        _ => "unavailable",
    };
    Err(Error::new(code, format!("{}: error {}", call, errno)))
}

/// One item after the other: each is a call of its own.
pub fn request(question: &Question) -> Result<Answer, Error> {
    let mut items = Vec::new();
    let mut first = None;
    let mut whole = true;
    for item in &question.items {
        let mut body = item.members.clone();
        body.extend(question.rest());
        let given = match ask(&item.kind, body) {
            Ok(answer) => {
                let partial = !answer.get("withheld").items().is_empty();
                Given::of(&item.kind, if partial { "partial" } else { "granted" }, &answer)
            }
            Err(e) => {
                let given = Given::of(&item.kind, &e.code, &Value::Null);
                first = first.or(Some(e));
                given
            }
        };
        whole = whole && given.status == "granted";
        items.push(given);
    }
    if !items.iter().any(|i| i.status == "granted" || i.status == "partial") {
        return Err(first.unwrap_or_else(|| Error::new("invalid", "a request has 1 to 8 items")));
    }
    Ok(Answer { status: if whole { "granted" } else { "partial" }.into(), items })
}

fn ask(kind: &str, body: Vec<(String, Value)>) -> Result<Value, Error> {
    let mut text = String::new();
    Value::Object(body).write(&mut text);
    let mut handle = 0;
    check("request", unsafe { host_request(kind.as_ptr(), kind.len(), text.as_ptr(), text.len(), &mut handle) })?;
    Value::parse(&read_all(handle)?)
}

pub fn kinds() -> Result<Value, Error> {
    let mut handle = 0;
    check("kinds", unsafe { host_kinds(&mut handle) })?;
    Value::parse(&read_all(handle)?)
}

pub fn grants() -> Result<Value, Error> {
    let mut handle = 0;
    check("grants", unsafe { host_grants(&mut handle) })?;
    Value::parse(&read_all(handle)?)
}

pub fn give_back(grant: &str) -> Result<(), Error> {
    check("give_back", unsafe { host_give_back(grant.as_ptr(), grant.len()) })
}

pub fn read_file(file: &str) -> Result<Vec<u8>, Error> {
    let mut handle = 0;
    check("file_open", unsafe { host_file_open(file.as_ptr(), file.len(), &mut handle) })?;
    read_all(handle)
}

/// Reads a handle to its end and closes it.
fn read_all(handle: u32) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut buf = [0; 4096];
    let result = loop {
        let mut n = 0;
        if let Err(e) = check("read", unsafe { host_read(handle, buf.as_mut_ptr(), buf.len(), &mut n) }) {
            break Err(e);
        }
        if n == 0 {
            break Ok(all);
        }
        all.extend_from_slice(&buf[..n]);
    };
    unsafe { host_close(handle) };
    result
}
