// From what is set on the desk to a request, and to the same as code. Defaults are left out.

import { DEFAULTS } from "./defaults.js";

/** Sets the controls of options to what the server takes where an option is left out. */
export function setDefaults(form) {
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const control = form.elements.namedItem(name);
    if (!control || value === null) continue;
    if (control.type === "checkbox") control.checked = value;
    else control.value = value;
  }
}

/** @param {FormData} desk */
export function styleOf(desk) {
  const style = desk.get("style");
  const second = desk.get("second");
  if (!second || second === style) return style;
  const share = Number(desk.get("share"));
  return `${style}:${round(1 - share)},${second}:${round(share)}`;
}

/** The options that say how to paint, apart from the style. */
export function brushOf(desk) {
  const options = {};
  if (Number(desk.get("strength")) !== DEFAULTS.strength) options.strength = Number(desk.get("strength"));
  if (desk.has("preserve_color")) options.preserve_color = true;
  return options;
}

/**
 * @param {"paint"|"enlarge"} mode
 * @param {FormData} desk
 */
export function requestOf(mode, desk) {
  const options = mode === "paint" ? { style: styleOf(desk), ...brushOf(desk) } : enlargingOf(desk);
  if (mode === "paint" && desk.get("size")) options.size = Number(desk.get("size"));
  if (desk.get("format") !== DEFAULTS.format) options.format = desk.get("format");
  const parameters = Object.entries(options).map(([name, value]) => [name, String(value)]);
  return { path: mode === "paint" ? "stylize" : "super-resolve", options, parameters };
}

function enlargingOf(desk) {
  const options = { factor: Number(desk.get("factor")) };
  const blurred = desk.has("blurred");
  const fidelity = Number(desk.get("fidelity"));
  if (!blurred && fidelity !== DEFAULTS.fidelity) options.fidelity = fidelity;
  for (const name of ["blurred", "self_ensemble", "match_histogram"]) if (desk.has(name)) options[name] = true;
  return options;
}

/** The name of a file for the answer: `cat.jpg` becomes `cat-muse.jpg` or `cat-x4.jpg`. */
export function nameOf(fileName, { path, options }, mediaType) {
  const stem = fileName.replace(/\.[^.]*$/, "") || "picture";
  const what = path === "stylize" ? options.style.replace(/[^\w.-]+/g, "-") : `x${options.factor}`;
  const suffix = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif" }[mediaType];
  return `${stem}-${what}.${suffix ?? "jpg"}`;
}

export function asCurl(url, fileName, outputName) {
  return `curl -fsS -F ${quoted(`image=@${fileName}`)} \\\n  ${quoted(url)} \\\n  -o ${quoted(outputName)}`;
}

export function asPython(base, { path, options }, fileName, outputName) {
  const call = path === "stylize" ? "stylize" : "super_resolve";
  const given = Object.entries(options).map(([name, value]) => `${name}=${literal(value)}`);
  return [
    "from service.client import Client",
    "",
    `with Client(${literal(base)}) as client:`,
    `    answer = client.${call}(${[literal(fileName), ...given].join(", ")})`,
    `    answer.save(${literal(outputName)})`,
  ].join("\n");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function literal(value) {
  if (value === true) return "True";
  return JSON.stringify(value);
}

function round(share) {
  return Math.round(share * 100) / 100;
}
