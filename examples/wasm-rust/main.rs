//! Asks for the user's e-mail address and fetches the URLs it was given.
//! Build: rustc --target wasm32-wasip1 -O -o wasm-rust.wasm main.rs
//! (the target's name was wasm32-wasi before Rust 1.78).
use std::io::Write;
use std::process::exit;

const EACCES: u32 = 2;
const EAGAIN: u32 = 6;
const EINVAL: u32 = 28;
const ENOBUFS: u32 = 42;

// The host functions, as sdk/README.md describes them.
#[link(wasm_import_module = "consentry")]
extern "C" {
    fn request_user_email(reason: *const u8, reason_len: usize, buf: *mut u8, buf_len: usize, len: *mut usize) -> u32;
    fn http_fetch(json: *const u8, json_len: usize, handle: *mut u32) -> u32;
    fn http_status(handle: u32, status: *mut u32) -> u32;
    fn read(handle: u32, buf: *mut u8, len: usize, n: *mut usize) -> u32;
    fn close(handle: u32) -> u32;
}

fn email(reason: &str) -> Result<String, u32> {
    let mut buf = vec![0; 8]; // short on purpose: the host tells the length
    loop {
        let mut len = 0;
        let err = unsafe { request_user_email(reason.as_ptr(), reason.len(), buf.as_mut_ptr(), buf.len(), &mut len) };
        match err {
            0 => return String::from_utf8(buf[..len].to_vec()).map_err(|_| EINVAL),
            ENOBUFS => buf.resize(len, 0),
            _ => return Err(err),
        }
    }
}

fn fetch(url: &str) -> Result<(), u32> {
    // A URL holds no quotation marks or backslashes that JSON would mind.
    if url.contains(['"', '\\']) {
        return Err(EINVAL);
    }
    let request = format!(r#"{{"url":"{}","reason":"to show you the page you named"}}"#, url);
    let mut handle = 0;
    check(unsafe { http_fetch(request.as_ptr(), request.len(), &mut handle) })?;
    let mut status = 0;
    check(unsafe { http_status(handle, &mut status) })?;
    println!("status {}", status);
    let mut buf = [0; 4096];
    loop {
        let mut n = 0;
        check(unsafe { read(handle, buf.as_mut_ptr(), buf.len(), &mut n) })?;
        if n == 0 {
            break;
        }
        std::io::stdout().write_all(&buf[..n]).map_err(|_| 29u32)?;
    }
    check(unsafe { close(handle) })
}

fn check(err: u32) -> Result<(), u32> {
    if err == 0 { Ok(()) } else { Err(err) }
}

fn run() -> Result<(), u32> {
    println!("hello {}", email("to greet you by your address")?);
    std::env::args().skip(1).try_for_each(|url| fetch(&url))
}

fn main() {
    if let Err(err) = run() {
        eprintln!("error {}", err);
        // 2: the user said no; 75: try again later.
        exit(match err {
            EACCES => 2,
            EAGAIN => 75,
            _ => 1,
        });
    }
}
