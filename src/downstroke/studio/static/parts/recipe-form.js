// Choose a recipe, change single fields, train.

import { post } from "../lib/api.js";
import { fresh, h, replace, write } from "../lib/dom.js";
import { several, words } from "../lib/format.js";
import { CHOICES, RECIPES } from "./recipe-notes.js";

const FIRST = ["model", "criterion", "optimizer", "lr", "schedule", "batch_size"];
const FEW = 3; // epochs to begin with: the curve then says whether to continue
let kept = null; // what was typed, while one looks at something else

// What may be typed into one field, as an element with a `value`.
function control(field, id) {
  const described = { id, "aria-describedby": `${id}-note` };
  const choices = field.kind === "flag" ? ["false", "true"] : field.choices;
  if (choices)
    return h(
      "select",
      described,
      choices.map((choice) => h("option", { value: choice }, choice)),
    );
  const numeric = field.kind === "number" || field.kind === "integer";
  return h("input", {
    ...described,
    type: "text",
    inputmode: field.kind === "integer" ? "numeric" : numeric ? "decimal" : "text",
    autocomplete: "off",
    spellcheck: "false",
  });
}

// The value as JSON wants it; an empty field is null. What is no number goes along as it is: the answer says why not.
function parsed(field, text) {
  const value = text.trim();
  if (value === "") return null;
  if (field.kind === "flag") return value === "true";
  if (field.kind !== "number" && field.kind !== "integer") return value;
  return Number.isNaN(Number(value)) ? value : Number(value);
}

export function recipeForm({ recipes, fields }, onMade) {
  const shown = fields.filter(({ name }) => name !== "name" && name !== "epochs");
  const inputs = new Map();
  const rows = new Map();
  const notes = new Map();
  let base = recipes[0];

  const about = h("p", { class: "note" });
  const choice = h(
    "select",
    { id: "recipe", "aria-describedby": "recipe-note", onchange: () => start(choice.value) },
    recipes.map(({ name }) => h("option", { value: name }, name)),
  );
  about.id = "recipe-note";

  for (const field of shown) {
    const id = fresh("field");
    const input = control(field, id);
    input.addEventListener("input", () => changed(field.name));
    inputs.set(field.name, input);
    notes.set(field.name, h("p", { class: "note", id: `${id}-note` }));
    rows.set(
      field.name,
      h("div", { class: "field" }, h("label", { for: id }, words(field.name)), input, notes.get(field.name)),
    );
  }
  const explain = ({ name: key, note: own }) =>
    replace(notes.get(key), code(CHOICES[key]?.[inputs.get(key).value] ?? own));

  const epochs = h("input", {
    id: "epochs",
    type: "number",
    min: "1",
    max: "10000",
    step: "1",
    required: true,
    "aria-describedby": "epochs-note",
  });
  const epochsNote = "Passes over the training images. Start with a few: the curve then tells you whether to continue.";
  const name = h("input", {
    id: "run-name",
    type: "text",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "64",
    placeholder: "two words at random",
    "aria-describedby": "run-name-note",
  });
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { class: "primary", type: "submit" });
  epochs.addEventListener("input", () => label());

  function label() {
    const n = Number(epochs.value);
    write(button, n >= 1 ? `Train ${several(n, "epoch")}` : "Train");
  }

  function start(recipe) {
    base = recipes.find((one) => one.name === recipe);
    write(about, RECIPES[recipe] ?? "");
    for (const field of shown) {
      inputs.get(field.name).value = base.fields[field.name] ?? "";
      rows.get(field.name).classList.remove("changed");
      explain(field);
    }
    inputs.get("lr").placeholder = "";
    epochs.value = Math.min(FEW, base.fields.epochs);
    label();
  }

  function mark(key) {
    const field = shown.find((one) => one.name === key);
    const same = parsed(field, inputs.get(key).value) === (base.fields[key] ?? null);
    rows.get(key).classList.toggle("changed", !same);
    explain(field);
  }

  // A new optimizer brings its own lr, and what goes with cross-entropy only goes with it: as the command line does it.
  function changed(key) {
    mark(key);
    if (key === "optimizer" && inputs.get("optimizer").value !== base.fields.optimizer) {
      inputs.get("lr").value = "";
      inputs.get("lr").placeholder = "the optimizer's own";
      mark("lr");
    }
    if (key === "criterion" && inputs.get("criterion").value !== "cross-entropy")
      for (const own of ["label_smoothing", "negatives"]) {
        inputs.get(own).value = 0;
        mark(own);
      }
  }

  function wanted() {
    const changes = {};
    for (const field of shown) {
      const value = parsed(field, inputs.get(field.name).value);
      if (value !== (base.fields[field.name] ?? null)) changes[field.name] = value;
    }
    return Object.keys(changes).length ? { base: base.name, name: base.name, ...changes } : base.name;
  }

  async function train(event) {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const asked = { recipe: wanted(), epochs: Number(epochs.value) };
      if (name.value.trim()) asked.name = name.value.trim();
      const run = await post("/api/runs", asked);
      name.value = "";
      onMade(run);
    } catch (error) {
      write(problem, error.message);
    } finally {
      button.disabled = false;
    }
  }

  const rest = shown.filter((field) => !FIRST.includes(field.name));
  const form = h(
    "form",
    { class: "fields", onsubmit: train, novalidate: true },
    h("div", { class: "field" }, h("label", { for: "recipe" }, "recipe"), choice, about),
    FIRST.map((key) => rows.get(key)),
    h(
      "div",
      { class: "field" },
      h("label", { for: "epochs" }, "epochs"),
      epochs,
      h("p", { class: "note", id: "epochs-note" }, epochsNote),
    ),
    h(
      "details",
      {},
      h("summary", {}, `More fields (${rest.length + 1})`),
      h(
        "div",
        { class: "fields" },
        h(
          "div",
          { class: "field" },
          h("label", { for: "run-name" }, "name"),
          name,
          h("p", { class: "note", id: "run-name-note" }, "the name of the run and of its folder"),
        ),
        rest.map(({ name: key }) => rows.get(key)),
      ),
    ),
    problem,
    button,
  );
  start(kept?.recipe ?? base.name);
  choice.value = base.name;
  if (kept) {
    for (const [key, value] of kept.values) {
      inputs.get(key).value = value;
      mark(key);
    }
    epochs.value = kept.epochs;
    label();
  }
  form.addEventListener("input", () => {
    kept = { recipe: base.name, values: [...inputs].map(([key, input]) => [key, input.value]), epochs: epochs.value };
  });
  return form;
}

// `mnist` in backquotes is code.
function code(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

export const readOnly = () =>
  h("p", { class: "muted" }, "This studio reads only: it shows the runs that exist, and trains none.");
