// Loaded before an example that is run as it was published, this prints what
// the tests count: registrations, and codes that became tokens.
import { subscribe } from "node:diagnostics_channel";

subscribe("http.server.response.finish", ({ request, response }) => {
  const done = `${request.method} ${request.originalUrl ?? request.url} ${response.statusCode}`;
  if (done === "POST /register 201") console.log("lab: registered");
  else if (done === "POST /token 200") console.log("lab: granted authorization_code");
  else if (response.statusCode >= 400) console.log(`lab: refused ${done}`);
});
