// The request for the options that are set on the form, and the same request as code. Defaults are left out.

import { DEFAULTS } from "./defaults.js";

/** Sets the controls of the form to the server's defaults of the options. */
export function setDefaults(form) {
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const control = form.elements.namedItem(name);
    if (!control || value === null) continue;
    if (control.type === "checkbox") control.checked = value;
    else control.value = value;
  }
}

/**
 * Returns the chosen style, or the blend of the two chosen styles.
 *
 * @param {FormData} desk the values of the form
 */
export function styleOf(desk) {
  const style = desk.get("style");
  const second = desk.get("second");
  if (!second || second === style) return style;
  const share = Number(desk.get("share"));
  return `${style}:${round(1 - share)},${second}:${round(share)}`;
}

/** Returns the other options of painting that are not at their default. */
export function brushOf(desk) {
  const options = {};
  if (Number(desk.get("strength")) !== DEFAULTS.strength) options.strength = Number(desk.get("strength"));
  if (desk.has("preserve_color")) options.preserve_color = true;
  return options;
}

/**
 * Returns the request for the options that are set.
 *
 * @param {"paint"|"enlarge"} mode what to do with the picture
 * @param {FormData} desk the values of the form
 * @param {boolean} isFilm whether it is a film, which has one format
 */
export function requestOf(mode, desk, isFilm) {
  const options = mode === "paint" ? { style: styleOf(desk), ...brushOf(desk) } : enlargingOf(desk);
  if (mode === "paint" && desk.has("light")) options.light = true;
  if (mode === "paint" && desk.get("size")) options.size = Number(desk.get("size"));
  if (mode === "paint" && Number(desk.get("stroke")) !== DEFAULTS.stroke) options.stroke = Number(desk.get("stroke"));
  if (!isFilm && desk.get("format") !== DEFAULTS.format) options.format = desk.get("format");
  const parameters = Object.entries(options).map(([name, value]) => [name, String(value)]);
  return { path: mode === "paint" ? "stylize" : "super-resolve", options, parameters, isFilm };
}

function enlargingOf(desk) {
  const options = { scale: Number(desk.get("scale")) };
  const blurred = desk.has("blurred");
  const fidelity = Number(desk.get("fidelity"));
  if (!blurred && fidelity !== DEFAULTS.fidelity) options.fidelity = fidelity;
  for (const name of ["blurred", "self_ensemble", "match_histogram"]) if (desk.has(name)) options[name] = true;
  return options;
}

/** Returns the name of a file for the answer: `cat.jpg` becomes `cat-muse.jpg` or `cat-x4.jpg`. */
export function nameOf(fileName, { path, options }, mediaType) {
  const stem = fileName.replace(/\.[^.]*$/, "") || "picture";
  const what = path === "stylize" ? options.style.replace(/[^\w.-]+/g, "-") : `x${options.scale}`;
  const suffix = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "image/avif": "avif", "video/mp4": "mp4" }[mediaType];
  return `${stem}-${what}.${suffix ?? "jpg"}`;
}

export function asCurl(url, fileName, outputName) {
  return `curl -fsS -F ${quoted(`image=@${fileName}`)} \\\n  ${quoted(url)} \\\n  -o ${quoted(outputName)}`;
}

export function asPython(base, { path, options, isFilm }, fileName, outputName) {
  const call = path.replace("-", "_") + (isFilm ? "_video" : "");
  const given = Object.entries(options).map(([name, value]) => `${name}=${literal(value)}`);
  return [
    "from impasto import Client",
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
