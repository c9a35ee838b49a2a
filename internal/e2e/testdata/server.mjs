// An MCP server made with the TypeScript SDK. Its argument is a folder in
// whose node_modules the SDK is installed.
import { createRequire } from "node:module";

const require = createRequire(process.argv[2] + "/");
const { McpServer } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { z } = require("zod");

const server = new McpServer({ name: "typescript-sdk", version: "1.0.0" });

server.registerTool(
  "greet",
  { description: "Greet somebody.", inputSchema: { name: z.string(), loud: z.boolean().default(false) } },
  async ({ name, loud }) => ({ content: [{ type: "text", text: loud ? `HELLO ${name.toUpperCase()}` : `hello ${name}` }] }),
);

server.registerTool(
  "total",
  {
    description: "Sum up numbers.",
    inputSchema: { numbers: z.array(z.number()) },
    outputSchema: { total: z.number() },
  },
  async ({ numbers }) => {
    const structuredContent = { total: numbers.reduce((a, b) => a + b, 0) };
    return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
  },
);

server.registerTool("fail", { description: "Fail for a reason.", inputSchema: { reason: z.string() } }, async ({ reason }) => {
  throw new Error(reason);
});

await server.connect(new StdioServerTransport());
