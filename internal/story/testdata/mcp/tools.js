// Calls a tool with the TypeScript SDK of MCP: tools.js TOOL ARGUMENTS
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [name, args] = process.argv.slice(2);
const client = new Client({ name: "tools", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL("http://10.0.2.2:9999/mcp")));
const { tools } = await client.listTools();
console.log("tools", tools.length, tools.some((t) => t.name === name));
const progress = [];
const result = await client.callTool({ name, arguments: JSON.parse(args) }, undefined, { onprogress: (p) => progress.push(p.message) });
console.log(result.isError ?? false, JSON.stringify(result.structuredContent), progress.join(","));
await client.close();
