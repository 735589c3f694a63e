// Drives a server with the vendor's JavaScript client, unchanged but for the host that its requests go to.
// node drive.cjs PACKAGE SERVER APP_KEY REDIRECT_URI: prints one JSON document.
const [, , packageFolder, server, appKey, redirectUri] = process.argv;
const { Dropbox, DropboxAuth } = require(packageFolder);

const here = (url) => url.replace(/^https:\/\/([a-z]+\.)?dropbox(api)?\.com/, server);
// The client's own fetch, of its own dependency.
const nodeFetch = require(require.resolve('node-fetch', { paths: [packageFolder] }));
const fetchHere = (url, options) => nodeFetch(here(url), options);

async function press(url, button) {
  const page = await (await fetch(here(url))).text();
  const question = page.match(/name="question" value="([^"]+)"/)[1];
  const answer = await fetch(`${server}/oauth2/authorize`, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ question, answer: button }),
  });
  return new URL(answer.headers.get('location')).searchParams;
}

async function refused(action) {
  try {
    await action();
  } catch (error) {
    return { status: error.status, error: error.error };
  }
  return null;
}

async function main() {
  const said = {};
  const auth = new DropboxAuth({ clientId: appKey, fetch: fetchHere });
  const url = await auth.getAuthenticationUrl(redirectUri, 'the state', 'code', 'offline', undefined, undefined, true);
  const denied = await press(url, 'deny');
  said.denied = [denied.get('error'), denied.get('state')];
  const allowed = await press(url, 'allow');
  said.state = allowed.get('state');
  const tokens = (await auth.getAccessTokenFromCode(redirectUri, allowed.get('code'))).result;
  said.tokens = Object.keys(tokens).sort();
  auth.setRefreshToken(tokens.refresh_token);

  const dbx = new Dropbox({ auth, fetch: fetchHere });
  const first = tokens.access_token;
  auth.setAccessToken(undefined);
  auth.setAccessTokenExpiresAt(new Date(0));
  said.account = (await dbx.usersGetCurrentAccount()).result.account_id;
  said.renewed = auth.getAccessToken() !== first;

  const name = '/JS/für \u{1F9B6} \u007f.txt';
  const up = (await dbx.filesUpload({ path: name, contents: 'hello', strict_conflict: true })).result;
  said.uploaded = [up.name, up.size, up.content_hash];
  said.conflict = await refused(() => dbx.filesUpload({ path: name, contents: 'other', strict_conflict: true }));
  for (let number = 0; number < 5; number += 1) {
    await dbx.filesUpload({ path: `/JS/${number}.txt`, contents: String(number) });
  }
  let page = (await dbx.filesListFolder({ path: '/js', limit: 2 })).result;
  const names = page.entries.map((entry) => entry.name);
  while (page.has_more) {
    page = (await dbx.filesListFolderContinue({ cursor: page.cursor })).result;
    names.push(...page.entries.map((entry) => entry.name));
  }
  said.listed = names;
  const down = (await dbx.filesDownload({ path: name })).result;
  said.downloaded = [down.name, down.rev === up.rev, down.fileBinary.toString()];
  const parts = (await dbx.filesUploadSessionStart({ contents: 'one ' })).result.session_id;
  const whole = (await dbx.filesUploadSessionFinish({
    cursor: { session_id: parts, offset: 4 }, commit: { path: '/JS/parts.txt' }, contents: 'two',
  })).result;
  said.parts = whole.size;
  said.pinned = await refused(() => dbx.filesDeleteV2({ path: name, parent_rev: whole.rev }));
  said.deleted = (await dbx.filesDeleteV2({ path: name, parent_rev: up.rev })).result.metadata.rev === up.rev;
  said.gone = await refused(() => dbx.filesDownload({ path: name }));
  said.news = (await dbx.filesListFolderContinue({ cursor: page.cursor })).result.entries
    .map((entry) => [entry['.tag'], entry.name]);
  await dbx.authTokenRevoke();
  said.revoked = await refused(() => dbx.filesListFolder({ path: '' }));
  console.log(JSON.stringify(said));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
