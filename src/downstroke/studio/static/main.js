// The shell. Which view is shown is in the address, so that a reload shows the same again. A view is a module that exports
//   mount(root, names, news, look)  fills `root`; `names` are the runs in the address, `news` is the answer of /api/runs,
//                                   `look` asks for it again at once
//   update(news)                    is called after mount, and then every few seconds
//   unmount()                       ends whatever the view has under way

import { get, setToken } from "./lib/api.js";
import { h, replace } from "./lib/dom.js";

const VIEWS = {
  learn: ["Learn", () => import("./views/learn.js")],
  compare: ["Compare", () => import("./views/compare.js")],
  inside: ["Look inside", () => import("./views/inside.js")],
  examine: ["Examine", () => import("./views/examine.js")],
  read: ["Draw and read", () => import("./views/read.js")],
};
const OF_ONE_RUN = ["learn", "inside", "examine"];
const EVERY_S = 2.5; // a terminal may train a run too, so the runs are asked for again

const main = document.getElementById("main");
const banner = document.getElementById("banner");
let view = null; // the module of the view that is shown, or is being mounted
let ready = false; // whether it is mounted
let turn = 0; // counts changes of the address: whatever was begun before the last one is dropped
let shown = null; // the name of the view
let timer = null;

// "#/examine/calm-otter" -> ["examine", ["calm-otter"]]
function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return VIEWS[name] ? [name, rest.map(decodeURIComponent)] : ["learn", []];
}

async function show() {
  const [name, names] = route();
  const [title, load] = VIEWS[name];
  const mine = (turn += 1);
  leave();
  document.title = names.length ? `${title}: ${names.join(", ")} · downstroke` : `${title} · downstroke`;
  markLinks(name, names);
  const root = h("div", { class: `view view-${name}` });
  main.setAttribute("aria-busy", "true");
  try {
    const [module, news] = await Promise.all([load(), get("/api/runs")]);
    if (mine !== turn) return;
    view = module;
    await module.mount(root, names, news, look);
    if (mine !== turn) return;
    ready = true;
    module.update(news);
    replace(main, root);
  } catch (error) {
    if (mine !== turn) return;
    leave();
    replace(main, h("div", { class: "view" }, h("h1", {}, title), problem(error.message)));
    if (error.name !== "ApiError") console.error(error);
  }
  main.removeAttribute("aria-busy");
  if (shown !== null && shown !== name) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = name;
}

function leave() {
  view?.unmount();
  view = null;
  ready = false;
}

function markLinks(name, names) {
  for (const link of document.querySelectorAll("nav a")) {
    const other = link.dataset.view;
    if (other === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    // The run that is looked at goes along to the other views of one run.
    const run = names.length === 1 ? `/${encodeURIComponent(names[0])}` : "";
    if (other !== name && OF_ONE_RUN.includes(other) && OF_ONE_RUN.includes(name))
      link.setAttribute("href", `#/${other}${run}`);
  }
}

// Tell the view how the runs are, now and every few seconds; not while nobody looks.
async function look() {
  clearTimeout(timer);
  const mine = turn;
  try {
    const news = document.hidden ? null : await get("/api/runs");
    if (news && ready && mine === turn) view.update(news);
  } catch (error) {
    if (error.name !== "ApiError") console.error(error); // else the banner has said that the studio does not answer
  }
  clearTimeout(timer);
  timer = setTimeout(look, 1000 * EVERY_S);
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
      h("p", {}, "The studio printed it when it started."),
      h("label", { for: "token" }, "Token"),
      input,
      h("div", { class: "buttons" }, h("button", { class: "primary" }, "Continue")),
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
document.addEventListener("visibilitychange", look);
addEventListener("hashchange", show);
show().then(look);
get("/healthz")
  .then(({ version }) => (document.getElementById("version").textContent = ` · version ${version}`))
  .catch(() => {});
