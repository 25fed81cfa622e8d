// The page: it sends the visitor's picture with the options that are set on the form, and shows the answer.

import { BASE, models, previewUrl, Problem, send, urlOf } from "./api.js";
import { showFacts } from "./facts.js";
import { isFilm, Reel, sendFilm } from "./film.js";
import { describe, fillSecondStyles, fillStyles } from "./gallery.js";
import { Live } from "./live.js";
import { Notice } from "./notice.js";
import { Progress } from "./progress.js";
import { asCurl, asPython, nameOf, requestOf, setDefaults } from "./request.js";
import { watchSources } from "./sources.js";
import { Viewer } from "./viewer.js";

const PAUSE_MS = 300; // time without a change after which a slider's value is sent
const MOST_ANSWERS = 16; // number of answers kept for one picture
const INVITATIONS = { paint: "Give it a photo, get a painting", enlarge: "Give it a small picture, get a large one" };

const $ = (id) => document.getElementById(id);
const form = $("desk");
const desk = () => new FormData(form);
const mode = () => desk().get("mode");

setDefaults(form);
const notice = new Notice();
const viewer = new Viewer();
const reel = new Reel();
const progress = new Progress(() => cancel());
const live = new Live(desk, notice, (message) => progress.say(message));

let styles = [];
let lightNets = new Set(); // the names of all light nets
let picture = null; // the visitor's picture, or film, as {file, url, isFilm}
let answers = new Map(); // the answers to the picture, as {answer, url}, by the URL of their request
let running = new AbortController();
let pause = null;

function open(file) {
  cancel();
  forgetAnswers();
  if (picture) URL.revokeObjectURL(picture.url);
  picture = { file, url: URL.createObjectURL(file), isFilm: isFilm(file) };
  viewer.open(picture.url, picture.isFilm);
  reel.show(false);
  if (mode() === "live") chooseMode("paint");
  arrange();
  run();
}

/** Sends a request with the options that are set on the form, and aborts the one before. */
async function run() {
  clearTimeout(pause);
  running.abort();
  running = new AbortController();
  const { signal } = running;
  notice.hide();
  if (!picture || mode() === "live" || (mode() === "paint" && !styles.length)) return;
  const { file } = picture;
  const request = requestOf(mode(), desk(), picture.isFilm);
  const url = urlOf(request);
  const known = answers.get(url);
  if (known) {
    progress.end("");
    show(file, request, known);
    return;
  }
  progress.start();
  try {
    const answer = await (picture.isFilm ? playing(request, file, signal) : sending(request, file, signal));
    const made = { answer, url: URL.createObjectURL(answer.blob) };
    remember(url, made);
    await show(file, request, made);
    progress.end(`Done: ${answer.model}`);
  } catch (error) {
    if (signal.aborted) return;
    progress.end("");
    if (!(error instanceof Problem)) throw error;
    notice.show(error, run);
  }
}

function sending(request, file, signal) {
  return send(request, file, signal, (phase, part) => signal.aborted || progress.to(phase, part));
}

/** Sends a film, which is played while it is made. */
async function playing(request, file, signal) {
  progress.to("wait", null);
  const watch = setInterval(() => signal.aborted || progress.to("wait", reel.share), 500);
  try {
    return await sendFilm(request, file, signal, (url, model) => {
      reel.begin(url);
      reel.show(true);
      viewer.compare(null, describeAnswer(request, model));
    });
  } finally {
    clearInterval(watch);
  }
}

function describeAnswer({ path }, model) {
  return path === "stylize" ? `Painted by ${model}` : `Enlarged by ${model}`;
}

function cancel() {
  clearTimeout(pause);
  running.abort();
  progress.end("");
}

async function show(file, request, { answer, url }) {
  const [before, after] = request.isFilm ? [$("before-film"), $("after-film")] : [$("before"), $("after")];
  if (request.isFilm) {
    reel.settle(url);
    reel.show(true);
  }
  viewer.compare(request.isFilm ? null : url, describeAnswer(request, answer.model));
  await (request.isFilm ? ready(after) : Promise.allSettled([before.decode(), after.decode()]));
  showFacts(answer, file, before, after);
  const name = nameOf(file.name, request, answer.blob.type);
  $("download").href = url;
  $("download").download = name;
  $("curl").textContent = asCurl(urlOf(request), file.name, name);
  $("python").textContent = asPython(BASE.href.replace(/\/$/, ""), request, file.name, name);
  $("facts").hidden = $("code").hidden = false;
}

function ready(film) {
  return new Promise((resolve) => film.readyState ? resolve() : film.addEventListener("loadedmetadata", resolve, { once: true }));
}

function remember(url, made) {
  answers.set(url, made);
  if (answers.size <= MOST_ANSWERS) return;
  const [oldest] = answers.keys();
  URL.revokeObjectURL(answers.get(oldest).url);
  answers.delete(oldest);
}

function forgetAnswers() {
  for (const { url } of answers.values()) URL.revokeObjectURL(url);
  answers = new Map();
}

/** Shows the parts of the page that belong to the mode and to the options that are set. */
function arrange() {
  const now = mode();
  const options = desk();
  const hasAnswer = $("view").classList.contains("both");
  document.body.dataset.mode = now;
  for (const part of document.querySelectorAll("[data-for]")) part.hidden = !part.dataset.for.includes(now);
  $("empty").hidden ||= picture !== null;
  $("viewer").hidden ||= picture === null;
  $("facts").hidden ||= !hasAnswer;
  $("code").hidden ||= !hasAnswer;
  $("invitation").textContent = INVITATIONS[now] ?? "";
  $("share-dial").hidden = !options.get("second") || options.get("second") === options.get("style");
  $("format").disabled = picture?.isFilm ?? false; // films are answered as MP4
  $("fidelity").disabled = options.has("blurred"); // the net for blurred pictures cannot be blended
  for (const name of ["share", "strength", "fidelity"]) {
    $(`${name}-output`).value = `${Math.round(Number($(name).value) * 100)} %`;
  }
  const chosen = ["style", "second"].map((which) => options.get(which)).filter(Boolean);
  $("light").disabled = !chosen.length || !chosen.every((name) => lightNets.has(`${name}-light`));
  $("light-choice").hidden ||= $("light").disabled;
  const [card, second] = ["style", "second"].map((which) => styles.find(({ name }) => name === options.get(which)));
  $("share-label").textContent = `Share of ${second?.title ?? "the second"}`;
  $("description").textContent = describe(card);
  $("taste").src = now === "paint" && card ? previewUrl(card) : `${BASE.pathname}playground/sample.jpg`;
}

function chooseMode(name) {
  for (const input of document.querySelectorAll("input[name=mode]")) input.checked = input.value === name;
}

// The listener is on the document, because the modes belong to the form but are outside it in the page.
document.addEventListener("input", ({ target }) => {
  if (target.form !== form || !target.name) return;
  if (target.name === "mode") {
    cancel();
    notice.hide();
    live.stop();
    viewer.forget();
    reel.show(false);
  }
  arrange();
  live.change();
  clearTimeout(pause);
  pause = setTimeout(run, target.type === "range" ? PAUSE_MS : 0);
});
form.addEventListener("submit", (event) => event.preventDefault());

for (const button of document.querySelectorAll("[data-copy]")) {
  const code = $(button.dataset.copy);
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await copy(code);
    button.textContent = "Copied";
    progress.say("Copied");
    setTimeout(() => (button.textContent = label), 1500);
  });
}

async function copy(code) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(code.textContent);
    return;
  }
  // Without a secure context there is no clipboard, but the selected text can still be copied.
  getSelection().selectAllChildren(code);
  document.execCommand("copy");
}

async function load() {
  try {
    const cards = (await models()).filter((card) => card.task === "stylize");
    styles = cards.filter((card) => !card.light_of);
    lightNets = new Set(cards.filter((card) => card.light_of).map((card) => card.name));
  } catch (error) {
    notice.show(error, load);
    return;
  }
  fillStyles($("styles"), styles);
  fillSecondStyles($("seconds"), styles);
  if (!styles.length) $("description").textContent = "This server has no styles yet: train one, or publish one to its store.";
  arrange();
  run();
}

watchSources(open, (message) => notice.show({ title: "No camera", detail: message }));
arrange();
load();
