// What an app does in a OneDrive through Microsoft's own JavaScript client, told as one line of JSON.
// Standard input: {package, endpoint, content, token, folder}. The client believes that it talks to graph.microsoft.com.
"use strict";

const readInput = async () => {
  let text = "";
  for await (const piece of process.stdin) text += piece;
  return JSON.parse(text);
};

const bytesOf = async (stream) => Buffer.from(await new Response(stream).arrayBuffer());

// The client sends tokens to Microsoft's hosts alone. So only the wire is bent: the host in the address, with the
// name that the client meant left in the Host header.
const bend = (hosts) => {
  const http = require("node:http");
  const plain = globalThis.fetch;
  globalThis.fetch = async (input, options = {}) => {
    const address = new URL(typeof input === "string" ? input : input.url);
    const endpoint = hosts[address.hostname];
    if (endpoint === undefined) return plain(input, options);
    const headers = Object.fromEntries(new Headers(options.headers ?? input.headers).entries());
    const target = new URL(endpoint);
    const body = options.body == null ? undefined : Buffer.from(await new Response(options.body).arrayBuffer());
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: target.hostname,
          port: target.port,
          method: options.method ?? "GET",
          path: address.pathname + address.search,
          headers: { ...headers, host: address.hostname, ...(body && { "content-length": body.length }) },
        },
        (answer) => {
          const pieces = [];
          answer.on("data", (piece) => pieces.push(piece));
          answer.on("end", () => {
            const empty = [204, 304].includes(answer.statusCode);
            const response = new Response(empty ? null : Buffer.concat(pieces), {
              status: answer.statusCode,
              headers: answer.headers,
            });
            // The client drops the token on its way to another host, which it tells by this.
            Object.defineProperty(response, "url", { value: address.href });
            resolve(response);
          });
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  };
};

const refusalOf = async (promise) => {
  try {
    await promise;
    return null;
  } catch (error) {
    return { status: error.statusCode, code: error.code };
  }
};

const main = async () => {
  const { package: home, endpoint, content: bytes, token, folder } = await readInput();
  bend({ "graph.microsoft.com": endpoint, "content.1drv.com": bytes });
  const graph = require(home);
  const client = graph.Client.initWithMiddleware({ authProvider: { getAccessToken: async () => token } });
  const told = {};

  told.drive = (await client.api("/me/drive").get()).driveType;
  const parent = await client.api(`/me/drive/root:/${folder}`).get();
  told.parent = parent.name;

  const small = await client
    .api(`/me/drive/items/${parent.id}:/${encodeURIComponent("a#1%20.jpg")}:/content`)
    .put(Buffer.from("small"));
  told.small = [small.name, small.size];
  told.taken = await refusalOf(
    client
      .api(`/me/drive/items/${parent.id}:/${encodeURIComponent("a#1%20.jpg")}:/content`)
      .query({ "@microsoft.graph.conflictBehavior": "fail" })
      .put(Buffer.from("other")),
  );

  const before = await client.api("/me/drive/root/delta").query({ token: "latest" }).get();

  const content = Buffer.alloc(1_000_000, "large");
  const session = await graph.LargeFileUploadTask.createUploadSession(
    client,
    `/me/drive/items/${parent.id}:/large.mp4:/createUploadSession`,
    { item: { "@microsoft.graph.conflictBehavior": "fail" } },
  );
  const file = new graph.FileUpload(content, "large.mp4", content.length);
  const task = new graph.LargeFileUploadTask(client, file, session, { rangeSize: 320 * 1024 });
  const large = (await task.upload()).responseBody;
  told.large = [large.name, large.size];

  const names = [];
  const page = await client.api(`/me/drive/items/${parent.id}/children`).top(2).select("id,name,eTag,cTag").get();
  const pages = new graph.PageIterator(client, page, (item) => {
    names.push(item.name);
    return true;
  });
  await pages.iterate();
  told.names = names;

  told.bytes = (await bytesOf(await client.api(`/me/drive/items/${small.id}/content`).getStream())).toString();
  told.largeIsWhole = content.equals(await bytesOf(await client.api(`/me/drive/items/${large.id}/content`).getStream()));

  const quoted = (tag) => (tag.startsWith('"') ? tag : `"${tag}"`);
  told.stale = await refusalOf(
    client.api(`/me/drive/items/${small.id}`).header("If-Match", '"stale"').delete(),
  );
  await client.api(`/me/drive/items/${small.id}`).header("If-Match", quoted(small.eTag)).delete();
  told.gone = await refusalOf(client.api(`/me/drive/items/${small.id}`).get());
  told.nowhere = await refusalOf(client.api("/me/drive/root:/nowhere/x.jpg").get());

  const link = new URL(before["@odata.deltaLink"]);
  const after = await client.api(link.pathname.replace("/v1.0", "") + link.search).get();
  told.changes = after.value
    .filter((item) => !item.folder)
    .map((item) => [item.id === small.id ? "small" : "large", Boolean(item.deleted)])
    .sort();

  // The test has switched a refusal on: the client waits as it is told, and asks again.
  const startedMs = Date.now();
  await client.api("/me/drive").header("X-Fault", "now").get();
  told.waitedMs = Date.now() - startedMs;
  console.log(JSON.stringify(told));
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
