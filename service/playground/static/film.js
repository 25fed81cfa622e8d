// Films: sent to the server, and played while it paints them, in step with the film before.

import { Problem, problemOf, urlOf } from "./api.js";

const MOST_APART_S = 0.06; // seconds by which the two films may differ before the one before is moved
const NAMES = /\.(3gp|avi|m2ts|m4v|mkv|mov|mp4|mpe?g|ogv|ts|webm)$/i;

export function isFilm(file) {
  return file.type.startsWith("video/") || (!file.type && NAMES.test(file.name));
}

/**
 * Sends a film to the server and returns its answer once it is whole.
 *
 * @param {{path: string, parameters: [string, string][]}} request the path and the query
 * @param {File} file the film
 * @param {AbortSignal} signal a signal whose abort closes the connection, so that the server stops, too
 * @param {(url: string, model: string) => void} onBegin a function that is called with an address at which the painted
 *   film can be played from now on, and with the model; it is not called where this browser cannot do that
 * @returns {Promise<{blob: Blob, model: string, timing: [], seconds: number}>} the film, the model, and the seconds of
 *   the whole request
 * @throws {Problem} if the server refuses, does not answer, or breaks the film off
 * @throws {DOMException} an AbortError after an abort
 */
export async function sendFilm(request, file, signal, onBegin) {
  const started = performance.now();
  const body = new FormData();
  body.append("image", file, file.name);
  let response;
  try {
    response = await fetch(urlOf(request), { method: "POST", body, signal });
  } catch (error) {
    throw signal.aborted ? error : Problem.unreachable();
  }
  if (!response.ok) throw problemOf(response.status, await response.text(), response.headers.get("Retry-After"));
  if (!response.headers.get("Content-Type").startsWith("video/")) throw new Problem("Not a film", "The server sees no film in this file: give it its own suffix.");
  const model = response.headers.get("X-Model") ?? "";
  const stream = new GrowingFilm((url) => onBegin(url, model));
  const reader = response.body.getReader();
  const pieces = [];
  try {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      pieces.push(value);
      stream.append(value);
    }
  } catch (error) {
    throw signal.aborted ? error : new Problem("The film broke off", "What came of it is not whole. The server's log says why: try again.");
  }
  stream.end();
  return { blob: new Blob(pieces, { type: "video/mp4" }), model, timing: [], seconds: (performance.now() - started) / 1000 };
}

/** A film that is played while it grows. */
class GrowingFilm {
  #onBegin;
  #head = []; // the pieces before it is known which codecs the film has
  #source = null;
  #buffer = null;
  #waiting = [];
  #isWhole = false;
  #cannotBePlayed = !("MediaSource" in window);

  constructor(onBegin) {
    this.#onBegin = onBegin;
  }

  append(piece) {
    if (this.#cannotBePlayed) return;
    this.#waiting.push(piece);
    if (!this.#source) this.#begin(piece);
    else this.#feed();
  }

  end() {
    this.#isWhole = true;
    this.#feed();
  }

  #begin(piece) {
    this.#head.push(piece);
    const codecs = codecsOf(this.#head);
    if (!codecs) return;
    const type = `video/mp4; codecs="${codecs}"`;
    if (!MediaSource.isTypeSupported(type)) {
      this.#cannotBePlayed = true; // until it is whole
      return;
    }
    this.#source = new MediaSource();
    this.#source.addEventListener("sourceopen", () => {
      this.#buffer = this.#source.addSourceBuffer(type);
      this.#buffer.addEventListener("updateend", () => this.#feed());
      this.#feed();
    }, { once: true });
    this.#onBegin(URL.createObjectURL(this.#source));
  }

  #feed() {
    if (!this.#buffer || this.#buffer.updating || this.#source.readyState !== "open") return;
    if (this.#waiting.length) {
      try {
        this.#buffer.appendBuffer(this.#waiting[0]);
        this.#waiting.shift();
      } catch { // the browser keeps no more, and plays the rest when the film is whole
        this.#cannotBePlayed = true;
        this.#waiting = [];
      }
    } else if (this.#isWhole) {
      this.#source.endOfStream();
    }
  }
}

/** Returns the codecs of an MP4 (RFC 6381) once its index has come, else null. */
function codecsOf(pieces) {
  const text = pieces.map((piece) => Array.from(piece, (byte) => String.fromCharCode(byte)).join("")).join("");
  const at = text.indexOf("avcC");
  if (at < 0 || text.indexOf("mvex") < 0) return null;
  const profile = [...text.slice(at + 5, at + 8)].map((letter) => letter.charCodeAt(0).toString(16).padStart(2, "0"));
  const sounds = { mp4a: "mp4a.40.2", Opus: "opus", fLaC: "flac", "ac-3": "ac-3", "ec-3": "ec-3", "alac": "alac" };
  const sound = Object.keys(sounds).find((name) => text.includes(name));
  return [`avc1.${profile.join("")}`, ...(sound ? [sounds[sound]] : [])].join(",");
}

/** The two films of the viewer, which play in step, and their controls. */
export class Reel {
  #before = document.getElementById("before-film");
  #after = document.getElementById("after-film");
  #bar = document.getElementById("reel");
  #play = document.getElementById("film-play");
  #sound = document.getElementById("film-sound");
  #time = document.getElementById("film-time");
  #clock = document.getElementById("film-clock");

  constructor() {
    const after = this.#after;
    for (const name of ["playing", "pause", "waiting", "ended"]) after.addEventListener(name, () => this.#follow());
    for (const name of ["timeupdate", "seeked", "durationchange", "progress"]) after.addEventListener(name, () => this.#follow());
    this.#play.addEventListener("click", () => (after.paused ? after.play() : after.pause()));
    this.#sound.addEventListener("click", () => {
      after.muted = !after.muted;
      this.#sound.setAttribute("aria-pressed", !after.muted);
    });
    this.#time.addEventListener("input", () => (after.currentTime = Number(this.#time.value)));
  }

  /** Shows the controls for a film, or hides them. */
  show(isShown) {
    this.#bar.hidden = !isShown;
    if (!isShown) this.#after.pause();
  }

  /** Begins to play the painted film. */
  begin(url) {
    this.#after.loop = false;
    this.#after.src = url;
    this.#after.play().catch(() => {}); // another film has taken its place
  }

  /** Goes on with the whole film, where it is. */
  settle(url) {
    const { currentTime, paused, ended } = this.#after;
    const wasBegun = this.#after.readyState > 0;
    this.#after.src = url;
    this.#after.loop = true;
    this.#after.currentTime = ended ? 0 : currentTime;
    if (!wasBegun || !paused || ended) this.#after.play().catch(() => {});
  }

  /** Returns the share of the film that has come, from 0 to 1, or null if that is unknown. */
  get share() {
    const { buffered } = this.#after;
    const { duration } = this.#before;
    return buffered.length && duration ? Math.min(1, buffered.end(buffered.length - 1) / duration) : null;
  }

  #follow() {
    const before = this.#before;
    const after = this.#after;
    const isRunning = !after.paused && after.readyState > HTMLMediaElement.HAVE_CURRENT_DATA;
    if (Math.abs(before.currentTime - after.currentTime) > (isRunning ? MOST_APART_S : 0.001)) before.currentTime = after.currentTime;
    if (isRunning && before.paused) before.play().catch(() => {});
    if (!isRunning && !before.paused) before.pause();
    this.#play.textContent = after.paused ? "Play" : "Pause";
    this.#time.max = Number.isFinite(after.duration) ? after.duration : before.duration || 0;
    this.#time.value = after.currentTime;
    this.#clock.value = `${after.currentTime.toFixed(1)} s`;
  }
}
