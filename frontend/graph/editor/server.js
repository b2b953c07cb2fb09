/**
 * What is said between the canvas and the server. Every answer is one of: saved, conflict, refused, forbidden, ended
 * (the session), unreachable. Nothing is thrown.
 */
export function serverOf(element) {
  async function get(url) {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return { kind: "ended" };
    if (!answer.ok) return { kind: "unreachable" };
    return { kind: "loaded", json: await answer.json() };
  }

  async function post(body) {
    const headers = {
      "Content-Type": "application/json",
      Accept: "application/json",
      "X-CSRFToken": element.dataset.csrf,
    };
    const answer = await fetch(element.dataset.url, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      keepalive: operationsAreFew(body), // so that what is sent while the page is left arrives
      redirect: "manual",
    });
    if (answer.type === "opaqueredirect" || answer.status === 401) return { kind: "ended" };
    const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
    if (answer.status === 403 && !isJson) return { kind: "ended", staleToken: true };
    if (!isJson) return { kind: "unreachable" };
    const json = await answer.json();
    if (answer.ok) return { kind: "saved", canvas: json };
    const kind = { 403: "forbidden", 409: "conflict", 422: "refused" }[answer.status] ?? "unreachable";
    return { kind, ...json };
  }

  // Who logs in again gets another token; the page as it is now carries it.
  async function freshToken() {
    const page = await fetch(location.href, { redirect: "manual" });
    if (!page.ok) return false;
    const html = new DOMParser().parseFromString(await page.text(), "text/html");
    const found = html.getElementById(element.id)?.dataset.csrf;
    if (found) element.dataset.csrf = found;
    return Boolean(found);
  }

  const orUnreachable = (asking) => asking.catch(() => ({ kind: "unreachable" }));

  return {
    load: () => orUnreachable(get(element.dataset.url)),
    states: () => orUnreachable(get(element.dataset.statesUrl)),
    send: (body) => orUnreachable(post(body)),
    freshToken: () => freshToken().catch(() => false),
  };
}

// Browsers let 64 KB outlive a page.
const operationsAreFew = ({ operations }) => operations.length < 500;
