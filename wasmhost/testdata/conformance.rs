// Prints "name errno" for what Rust's own library does with preview 1; the
// mounts are those of conformance.c: /data to write, /ro to read, /two to write.
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime};

fn say<T>(name: &str, result: io::Result<T>) {
    let number = match result {
        Ok(_) => 0,
        Err(e) => e.raw_os_error().unwrap_or(-1),
    };
    println!("rust {} {}", name, number);
}

fn value(name: &str, v: impl Display) {
    println!("rust {} ={}", name, v);
}

fn writing() -> OpenOptions {
    let mut o = OpenOptions::new();
    o.write(true);
    o
}

fn paths() {
    say("open", File::open("/data/file.txt"));
    say("open missing", File::open("/data/missing"));
    say("open dotdot", File::open("/data/../outside/secret"));
    say("open dir dotdot", File::open("/data/dir/../file.txt"));
    say("open out", File::open("/data/out/secret"));
    say("open absolute link", File::open("/data/abs"));
    say("open link", File::open("/data/in"));
    say("open loop", File::open("/data/loop"));
    say("open below file", File::open("/data/file.txt/x"));
    say("open dir for writing", writing().open("/data/dir"));
    say("create", File::create("/data/new"));
    say("create exclusive", writing().create_new(true).open("/data/new"));
    say("create out", File::create("/data/out/new"));
    say("ro open", File::open("/ro/ro.txt"));
    say("ro write", writing().open("/ro/ro.txt"));
    say("ro append", OpenOptions::new().append(true).open("/ro/ro.txt"));
    say("ro create", File::create("/ro/new"));
    say("ro remove", fs::remove_file("/ro/ro.txt"));
    say("ro mkdir", fs::create_dir("/ro/d"));
    say("mkdir", fs::create_dir("/data/made"));
    say("mkdir existing", fs::create_dir("/data/made"));
    say("mkdir out", fs::create_dir("/data/out/made"));
    say("rmdir full", fs::remove_dir("/data/dir"));
    say("rmdir file", fs::remove_dir("/data/file.txt"));
    say("rmdir", fs::remove_dir("/data/made"));
    let target = fs::read_link("/data/in");
    value("readlink", target.map(|p| p.display().to_string()).unwrap_or_default());
    say("readlink file", fs::read_link("/data/file.txt"));
    say("link", fs::hard_link("/data/file.txt", "/data/hard"));
    say("link existing", fs::hard_link("/data/file.txt", "/data/hard"));
    say("link out", fs::hard_link("/data/file.txt", "/data/out/hard"));
    say("rename", fs::rename("/data/hard", "/data/moved"));
    say("rename missing", fs::rename("/data/hard", "/data/moved"));
    say("rename out", fs::rename("/data/moved", "/data/out/moved"));
    say("rename to ro", fs::rename("/data/moved", "/ro/moved"));
    say("unlink dir", fs::remove_file("/data/dir"));
    say("unlink", fs::remove_file("/data/moved"));
    say("metadata out", fs::metadata("/data/out"));
    let link = fs::symlink_metadata("/data/out").map(|m| m.file_type().is_symlink());
    value("link itself", link.unwrap_or(false));
}

fn files() -> io::Result<()> {
    let mut f = OpenOptions::new().read(true).write(true).create(true).open("/two/rust")?;
    say("write", f.write_all(b"0123456789"));
    say("seek", f.seek(SeekFrom::End(-3)));
    let mut rest = String::new();
    say("read", f.read_to_string(&mut rest));
    value("rest", &rest);
    say("seek before start", f.seek(SeekFrom::Current(-100)));
    say("set length", f.set_len(20));
    value("size", f.metadata()?.len());
    say("sync", f.sync_all());
    say("sync data", f.sync_data());
    let now = SystemTime::now().duration_since(f.metadata()?.modified()?);
    value("modified just now", now.map(|d| d < Duration::from_secs(60)).unwrap_or(true));
    say("copy", fs::copy("/data/file.txt", "/two/copy"));
    value("copied", fs::read_to_string("/two/copy")?);
    say("read dir as text", fs::read_to_string("/two"));
    Ok(())
}

fn trees() -> io::Result<()> {
    say("mkdir all", fs::create_dir_all("/two/r/b/c"));
    for i in 0..300 {
        fs::write(format!("/two/r/b/f{:03}", i), [1])?;
    }
    value("entries", fs::read_dir("/two/r/b")?.count());
    say("readdir out", fs::read_dir("/data/out"));
    say("remove all", fs::remove_dir_all("/two/r"));
    say("gone", fs::metadata("/two/r"));
    Ok(())
}

fn main() {
    paths();
    say("files", files());
    say("trees", trees());
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    value("slept", start.elapsed() >= Duration::from_millis(20));
    std::process::exit(7);
}
