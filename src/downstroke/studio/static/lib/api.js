// The one place that speaks HTTP: the token goes along, an error is its one line.

const KEY = "downstroke-token";
const meta = document.querySelector('meta[name="downstroke-token"]');

const memory = () => {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
};

let token = meta?.content || memory()?.getItem(KEY) || "";

export function setToken(value) {
  token = value;
  memory()?.setItem(KEY, value);
}

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

const GONE = "The studio does not answer. Start it again with “downstroke studio”; no training is lost.";

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    document.dispatchEvent(new CustomEvent("connection", { detail: GONE }));
    throw new ApiError(0, GONE);
  }
  document.dispatchEvent(new CustomEvent("connection", { detail: null }));
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) document.dispatchEvent(new Event("tokenneeded"));
  throw new ApiError(response.status, body.error ?? `the studio answered ${response.status}; try again`);
}

export const get = async (path, signal) => (await ask(path, { signal })).json();

export const post = async (path, body = {}, signal) =>
  (
    await ask(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    })
  ).json();

export const upload = async (path, form, signal) => (await ask(path, { method: "POST", body: form, signal })).json();

export const runPath = (name, rest = "") => `/api/runs/${encodeURIComponent(name)}${rest}`;

// Server-sent events by fetch, as EventSource can send no token. Connects again, to what `path()` then is, until `signal`
// says enough.
export async function follow(path, onEvent, signal) {
  while (!signal.aborted) {
    try {
      await stream(path(), onEvent, signal);
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return;
      if (error.status >= 400 && error.status < 500) return;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function stream(path, onEvent, signal) {
  const response = await ask(path, { signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) dispatch(event, onEvent);
  }
}

function dispatch(event, onEvent) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trim());
  }
  if (data.length) onEvent(name, JSON.parse(data.join("\n")));
}
