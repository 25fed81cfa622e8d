// Requests to the server and its answers.

export const BASE = new URL("../", import.meta.url);

/** The reason why there is no picture: the server's problem document (RFC 9457), or that the server did not answer. */
export class Problem extends Error {
  constructor(title, detail, retryAfter = null) {
    super(detail);
    this.title = title;
    this.detail = detail;
    this.retryAfter = retryAfter; // seconds
  }

  static of(document, retryAfter = null) {
    return new Problem(document.title ?? "Error", document.detail ?? "", retryAfter);
  }

  static unreachable() {
    return new Problem("No answer", "The server cannot be reached: see whether it runs, and try again.");
  }
}

/** Returns the cards of all models. */
export async function models() {
  let response;
  try {
    response = await fetch(new URL("models", BASE));
  } catch {
    throw Problem.unreachable();
  }
  if (!response.ok) throw await problemOf(response.status, await response.text(), response.headers.get("Retry-After"));
  return response.json();
}

export function previewUrl(card) {
  return new URL(`models/${card.task}/${encodeURIComponent(card.name)}/preview`, BASE).href;
}

/**
 * Sends a picture to the server and returns its answer.
 *
 * It uses XMLHttpRequest, because fetch does not report how much of an upload is sent.
 *
 * @param {{path: string, parameters: [string, string][]}} request the path and the query
 * @param {File} file the picture
 * @param {AbortSignal} signal a signal whose abort closes the connection, so that the server stops, too
 * @param {(phase: "upload"|"wait"|"download", part: number|null) => void} onProgress a function that is called with the
 *   phase and the part of it that is done, from 0 to 1, or null if that is unknown
 * @returns {Promise<{blob: Blob, model: string, timing: [string, number][], seconds: number}>} the picture, the model,
 *   the milliseconds of each stage on the server, and the seconds of the whole request
 * @throws {Problem} if the server refuses or does not answer
 * @throws {DOMException} an AbortError after an abort
 */
export function send(request, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const xhr = new XMLHttpRequest();
    xhr.open("POST", urlOf(request));
    xhr.responseType = "blob";
    xhr.upload.onprogress = (event) => onProgress("upload", event.loaded / event.total);
    xhr.upload.onload = () => onProgress("wait", null);
    xhr.onprogress = (event) => onProgress("download", event.lengthComputable ? event.loaded / event.total : null);
    xhr.onerror = () => reject(Problem.unreachable());
    xhr.onabort = () => reject(new DOMException("a newer request took its place", "AbortError"));
    xhr.onload = async () => {
      if (xhr.status !== 200) {
        reject(problemOf(xhr.status, await xhr.response.text(), xhr.getResponseHeader("Retry-After")));
        return;
      }
      resolve({
        blob: xhr.response,
        model: xhr.getResponseHeader("X-Model") ?? "",
        timing: timingOf(xhr.getResponseHeader("Server-Timing") ?? ""),
        seconds: (performance.now() - started) / 1000,
      });
    };
    signal.addEventListener("abort", () => xhr.abort());
    const body = new FormData();
    body.append("image", file, file.name);
    xhr.send(body);
  });
}

export function urlOf({ path, parameters }) {
  const url = new URL(path, BASE);
  // The colons and commas of a blend need no escaping, and copied commands are easier to read without it.
  url.search = new URLSearchParams(parameters).toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return url.href;
}

/** Returns the problem that the server's answer tells. */
export function problemOf(status, text, retryAfter) {
  const seconds = Number.parseInt(retryAfter, 10);
  try {
    return Problem.of(JSON.parse(text), Number.isNaN(seconds) ? null : seconds);
  } catch {
    return new Problem(`Status ${status}`, text.slice(0, 300));
  }
}

function timingOf(header) {
  return [...header.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, duration]) => [name, Number(duration)]);
}
