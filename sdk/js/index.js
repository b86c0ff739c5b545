// Ask the user of a Consentry app for data. Node 18 or newer, no dependencies.
//
//   import { request } from "@consentry/sdk";
//   const answer = await request(
//     [{ type: "contacts", fields: ["name", "email", "phone?"], max: 20 }],
//     { purpose: "to invite people to your party" });
//   answer.items[0].records; answer.items[0].withheld;
//
// A call waits while the user decides. Nothing is given without a yes, and a yes
// may give less than was asked for. What there is to ask for is in docs/data.md.
import http from "node:http";

const problems = "https://consentry.dev/problems/";
const agent = new http.Agent({ keepAlive: false });

/** Nothing was given. code is the end of the problem's type, such as "denied". */
export class ConsentryError extends Error {
  constructor(code, detail, cause) {
    super(`${code}: ${detail}`, { cause });
    this.name = "ConsentryError";
    this.code = code;
    this.detail = detail;
  }
  /** The user said no, or nobody is asked. */
  get denied() {
    return ["denied", "blocked", "undeclared"].includes(this.code);
  }
  /** There is no answer yet: the same call may be made again later. */
  get again() {
    return ["timeout", "busy", "unavailable"].includes(this.code);
  }
}

/** Asks the user. wait is in seconds; without it, as long as the user may take. */
export async function request(items, { purpose, wait, retain = false } = {}) {
  const body = { items, purpose };
  if (retain) body.retain = "run";
  const answer = await json("POST", "/v1/requests", body, wait);
  for (const item of answer.items) {
    item.values ??= {};
    item.records ??= [];
    item.withheld ??= [];
  }
  return answer;
}

/** What there is to ask for. Asks the user nothing. */
export const kinds = async () => (await json("GET", "/v1/kinds")).kinds;

/** What this run was given. */
export const grants = async () => (await json("GET", "/v1/grants")).grants;

/** Ends a grant. */
export async function giveBack(grant) {
  (await send("DELETE", "/v1/grants/" + encodeURIComponent(grant))).resume();
}

/** A stream of a file that the user picked: "content" of a record of type "files". */
export const openFile = (handle) => send("GET", "/v1/files/" + encodeURIComponent(handle));

async function json(method, path, body, wait) {
  return read(await send(method, path, body, wait));
}

async function read(answer) {
  const parts = [];
  for await (const part of answer) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}

// send uses node:http: fetch gives up after five minutes without a head.
function send(method, path, body, wait) {
  const headers = { "Consentry-Request": "1" };
  const text = body === undefined ? undefined : JSON.stringify(body);
  if (text !== undefined) headers["Content-Type"] = "application/json";
  const signal = wait === undefined ? undefined : AbortSignal.timeout(wait * 1000);
  return new Promise((resolve, reject) => {
    const call = http.request({ host: "10.0.2.2", port: 9999, method, path, headers, signal, agent }, (answer) => {
      if (answer.statusCode < 300) return resolve(answer);
      read(answer).then(({ type, detail }) => {
        reject(new ConsentryError(type.startsWith(problems) ? type.slice(problems.length) : type, detail));
      }, reject);
    });
    call.on("error", (e) => {
      if (signal?.aborted) return reject(new ConsentryError("timeout", "no answer in the time that was given"));
      reject(new ConsentryError("unreachable", "the data API does not answer; does this program run under Consentry?", e));
    });
    call.end(text);
  });
}
