// Greets the user by name and counts the people they know. Run it in an image
// under Consentry.
import { request, grants, giveBack, kinds, ConsentryError } from "../index.js";

try {
  const answer = await request(
    [{ type: "identity", fields: ["name", "email?"] }, { type: "contacts", fields: ["name"], max: 100 }],
    { purpose: "to greet you and to count your friends" });
  const [me, people] = answer.items;
  console.log("hello", me.values.name ?? "stranger", "withheld", me.withheld.join(","));
  console.log(people.status, people.records.length);
  console.log("grants", (await grants()).map((g) => g.kind).sort().join(" "));
  for (const item of answer.items) if (item.grant) await giveBack(item.grant);
  console.log("after", (await grants()).length, "kinds", (await kinds()).length);
} catch (e) {
  if (!(e instanceof ConsentryError)) throw e;
  console.error(e.denied ? "no:" : "later:", e.code);
  process.exit(e.denied ? 1 : 75);
}
