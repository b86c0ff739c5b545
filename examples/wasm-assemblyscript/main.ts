// Asks for the user's e-mail address.
// Build: npx -p assemblyscript asc main.ts -O --use abort=main/fail -o main.wasm --exportStart _start
@external("consentry", "request_user_email")
declare function request_user_email(reason: usize, reasonLen: usize, buf: usize, bufLen: usize, lenOut: usize): u32;
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: u32, iovs: usize, n: usize, written: usize): u32;
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: u32): void;

const EACCES: u32 = 2;
const EAGAIN: u32 = 6;

// fail is what AssemblyScript calls when an assertion does not hold.
export function fail(_message: usize, _file: usize, _line: u32, _column: u32): void {
  proc_exit(134);
}

function write(bytes: ArrayBuffer): void {
  const iov = memory.data(8);
  const written = memory.data(4);
  store<u32>(iov, changetype<usize>(bytes));
  store<u32>(iov, bytes.byteLength, 4);
  fd_write(1, iov, 1, written);
}

function greet(): u32 {
  const reason = String.UTF8.encode("to greet you by your address");
  const buf = new ArrayBuffer(320); // an address has at most 254 bytes
  const len = memory.data(4);
  const err = request_user_email(changetype<usize>(reason), reason.byteLength, changetype<usize>(buf), buf.byteLength, len);
  if (err == 0) {
    write(String.UTF8.encode("hello "));
    write(buf.slice(0, load<u32>(len)));
    write(String.UTF8.encode("\n"));
  }
  return err;
}

const err = greet();
// 2: the user said no; 75: try again later.
if (err != 0) proc_exit(err == EACCES ? 2 : err == EAGAIN ? 75 : 1);
