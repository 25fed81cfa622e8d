// The progress of a request.

const PHASES = { upload: "Uploading", wait: "Painting", download: "Receiving" };

export class Progress {
  #box = document.getElementById("progress");
  #bar = document.getElementById("progress-bar");
  #text = document.getElementById("progress-text");
  #status = document.getElementById("status");
  #timer = null;
  #phase = "";

  constructor(onCancel) {
    document.getElementById("cancel").addEventListener("click", onCancel);
  }

  start() {
    const started = performance.now();
    clearInterval(this.#timer);
    this.#phase = "";
    this.#box.hidden = false;
    this.to("upload", 0);
    this.#timer = setInterval(() => {
      const seconds = (performance.now() - started) / 1000;
      if (this.#phase === "wait" && seconds >= 1) this.#text.textContent = `${PHASES.wait} · ${Math.floor(seconds)} s`;
    }, 250);
  }

  /**
   * Shows the phase of a request.
   *
   * @param {"upload"|"wait"|"download"} phase the phase
   * @param {number|null} part the part of the phase that is done, from 0 to 1, or null if that is unknown
   */
  to(phase, part) {
    if (part === null) this.#bar.removeAttribute("value");
    else this.#bar.value = part;
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#text.textContent = PHASES[phase];
    this.say(PHASES[phase]);
  }

  end(message) {
    clearInterval(this.#timer);
    this.#box.hidden = true;
    this.say(message);
  }

  /** Tells screen readers a message. */
  say(message) {
    this.#status.textContent = message;
  }
}
