// Counts visits in a file. Express is a tree of packages in JavaScript, argon2
// brings native code.
import { appendFileSync, readFileSync } from "node:fs";
import { hash, verify } from "@node-rs/argon2";
import express from "express";

const file = "/srv/data/visits";
const app = express();
app.get("/", async (_, res) => {
  appendFileSync(file, "x");
  const secret = await hash("visit");
  res.json({ visits: readFileSync(file).length, verified: await verify(secret, "visit") });
});
const server = app.listen(8080, "0.0.0.0", () => console.log("serves"));
process.on("SIGTERM", () => server.close(() => console.log("all visits are over")));
