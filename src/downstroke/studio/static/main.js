// The shell: which view is shown is in the address, so that a reload shows the same again.

import { get, setToken } from "./api.js";
import { h, replace } from "./dom.js";

const VIEWS = {
  learn: ["Learn", () => import("./learn.js")],
  compare: ["Compare", () => import("./compare.js")],
  inside: ["Look inside", () => import("./inside.js")],
  examine: ["Examine", () => import("./examine.js")],
  read: ["Draw and read", () => import("./read.js")],
};

const main = document.getElementById("main");
const banner = document.getElementById("banner");
let leaving = new AbortController();
let shown = null;

// "#/examine/calm-otter" -> ["examine", "calm-otter"]
function route() {
  const [view, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return VIEWS[view] ? [view, rest.map(decodeURIComponent)] : ["learn", []];
}

async function show() {
  const [view, names] = route();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [title, load] = VIEWS[view];
  document.title = names.length ? `${title}: ${names.join(", ")} · downstroke` : `${title} · downstroke`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === view;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // The run that is looked at goes along to the other views of one run.
    const name = names.length === 1 ? `/${encodeURIComponent(names[0])}` : "";
    if (!here && ["learn", "inside", "examine"].includes(link.dataset.view) && view !== "read" && view !== "compare")
      link.setAttribute("href", `#/${link.dataset.view}${name}`);
  }
  const root = h("div", { class: `view view-${view}` });
  main.setAttribute("aria-busy", "true");
  try {
    const module = await load();
    if (signal.aborted) return;
    await module.show(root, names, signal);
    if (signal.aborted) return;
    replace(main, root);
  } catch (error) {
    if (signal.aborted) return;
    replace(main, h("div", { class: "view" }, h("h1", {}, title), problem(error.message)));
    if (!error.status && error.name !== "ApiError") console.error(error);
  }
  main.removeAttribute("aria-busy");
  if (shown !== null && shown !== view) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = view;
}

const problem = (text) =>
  h(
    "div",
    { class: "empty", role: "alert" },
    h("p", {}, text),
    h("p", {}, h("button", { type: "button", onclick: show }, "Try again")),
  );

// Off loopback the page has no token of its own: it asks once.
function askToken() {
  if (document.querySelector("dialog")) return;
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "token-title" },
    h(
      "form",
      { method: "dialog", onsubmit: () => (setToken(input.value.trim()), location.reload()) },
      h("h2", { id: "token-title" }, "A token is needed"),
      h("p", {}, "The studio printed it when it was started."),
      h("label", { for: "token" }, "Token"),
      input,
      h("div", { class: "buttons" }, h("button", { class: "primary" }, "Go on")),
    ),
  );
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

document.addEventListener("tokenneeded", askToken);
document.addEventListener("connection", ({ detail }) => {
  banner.hidden = detail === null;
  if (detail !== null && banner.textContent !== detail) banner.textContent = detail;
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address belongs to the views
  main.focus();
});
addEventListener("hashchange", show);
show();
get("/healthz")
  .then(({ version }) => (document.getElementById("version").textContent = ` · version ${version}`))
  .catch(() => {});
