//! Over HTTP, from a program in an image. HTTP/1.0 has the server close the
//! connection after the answer, and send that in one piece.

use crate::{Answer, Error, Given, Question, Value};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const API: &str = "10.0.2.2:9999";
const PROBLEMS: &str = "https://consentry.dev/problems/";

/// Of an answer that is no file, in bytes.
const MAX_ANSWER: u64 = 32 << 20;

pub fn request(question: &Question) -> Result<Answer, Error> {
    let mut body = question.rest();
    let items = question.items.iter().map(|item| {
        let mut members = item.members.clone();
        members.push(("type".into(), Value::Text(item.kind.clone())));
        Value::Object(members)
    });
    body.push(("items".into(), Value::List(items.collect())));
    let mut text = String::new();
    Value::Object(body).write(&mut text);
    let answer = json("POST", "/v1/requests", &text, question.wait)?;
    let given = |item: &Value| Given::of(item.text("type").unwrap_or(""), item.text("status").unwrap_or(""), item);
    Ok(Answer {
        status: answer.text("status").unwrap_or("").into(),
        items: answer.get("items").items().iter().map(given).collect(),
    })
}

pub fn kinds() -> Result<Value, Error> {
    json("GET", "/v1/kinds", "", None)
}

pub fn grants() -> Result<Value, Error> {
    json("GET", "/v1/grants", "", None)
}

pub fn give_back(grant: &str) -> Result<(), Error> {
    send("DELETE", &format!("/v1/grants/{}", segment(grant)?), "", None, MAX_ANSWER).map(|_| ())
}

pub fn read_file(handle: &str) -> Result<Vec<u8>, Error> {
    send("GET", &format!("/v1/files/{}", segment(handle)?), "", None, u64::MAX)
}

/// Ids and handles are letters, digits and hyphens.
fn segment(id: &str) -> Result<&str, Error> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Error::new("not-found", "there is no such id"));
    }
    Ok(id)
}

fn json(method: &str, path: &str, body: &str, wait: Option<Duration>) -> Result<Value, Error> {
    Value::parse(&send(method, path, body, wait, MAX_ANSWER)?)
}

fn send(method: &str, path: &str, body: &str, wait: Option<Duration>, most: u64) -> Result<Vec<u8>, Error> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::new("timeout", "no answer in the time that was given"),
        _ => Error::new("unreachable", format!("the data API does not answer; does this program run under Consentry? {}", e)),
    };
    let mut stream = TcpStream::connect(API).map_err(failed)?;
    stream.set_read_timeout(wait).map_err(failed)?;
    let head = format!(
        "{} {} HTTP/1.0\r\nHost: {}\r\nConsentry-Request: 1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        method, path, API, body.len()
    );
    stream.write_all((head + body).as_bytes()).map_err(failed)?;
    let mut raw = Vec::new();
    stream.take(most).read_to_end(&mut raw).map_err(failed)?;
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| Error::new("unavailable", "half an answer"))?;
    let content = raw.split_off(end + 4);
    let head = String::from_utf8_lossy(&raw);
    if length(&head).map_or(false, |n| n != content.len() as u64) {
        return Err(Error::new("unavailable", "half an answer"));
    }
    let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    if (200..300).contains(&status) {
        return Ok(content);
    }
    let problem = Value::parse(&content)?;
    let code = problem.text("type").unwrap_or("").trim_start_matches(PROBLEMS);
    Err(Error::new(code, problem.text("detail").unwrap_or("")))
}

fn length(head: &str) -> Option<u64> {
    let is = |line: &&str| line.to_ascii_lowercase().starts_with("content-length:");
    head.lines().find(is)?.split(':').nth(1)?.trim().parse().ok()
}
