// Live painting: frames of the camera go to the server over a WebSocket, and paintings come back.

import { BASE, Problem } from "./api.js";
import { showCamera, snapshot } from "./camera.js";
import { milliseconds } from "./facts.js";
import { DEFAULTS } from "./defaults.js";
import { brushOf, styleOf } from "./request.js";

const MOST_UNANSWERED = 2; // frames at the server: while one is painted, the next is already there
const FRAME_QUALITY = 0.8;
const MEASURED_MS = 2000; // time over which the frames per second are measured
const GIVE_UP_MS = 10_000; // time after which an answer is not waited for any more
const RESTARTING = 1012;
const NORMAL = 1000;

export class Live {
  #desk;
  #notice;
  #say;
  #startButton = document.getElementById("live-start");
  #canvas = document.getElementById("live-canvas");
  #camera = document.getElementById("live-camera");
  #socket = null;
  #turnOff = () => {};
  #asked = {};
  #sent = []; // times when the frames were sent that have no answer yet
  #sentInAll = 0;
  #answers = []; // times when the answers of the last seconds came
  #problem = null;

  /**
   * @param {() => FormData} desk a function that returns the values of the form
   * @param {import("./notice.js").Notice} notice the notice that shows problems
   * @param {(message: string) => void} say a function that tells screen readers a message
   */
  constructor(desk, notice, say) {
    this.#desk = desk;
    this.#notice = notice;
    this.#say = say;
    this.#startButton.addEventListener("click", () => this.start());
    document.getElementById("live-stop").addEventListener("click", () => this.stop());
  }

  async start() {
    this.#notice.hide();
    this.#startButton.disabled = true;
    try {
      this.#turnOff = await showCamera(this.#camera, "user");
    } catch (error) {
      this.#notice.show({ title: "No camera", detail: error.message }, () => this.start());
      return;
    } finally {
      this.#startButton.disabled = false;
    }
    if (this.#desk().get("mode") !== "live") {
      this.#turnOff(); // the visitor changed the mode while the browser asked for permission
      return;
    }
    this.#asked = this.#options();
    const url = new URL(`stylize/live?${new URLSearchParams(this.#asked)}`, BASE);
    url.protocol = url.protocol.replace("http", "ws");
    this.#problem = null;
    this.#sent = [];
    this.#sentInAll = 0;
    this.#answers = [];
    const socket = new WebSocket(url);
    socket.binaryType = "blob";
    socket.onopen = () => {
      this.#show(true);
      this.#say("Painting the camera's picture");
      this.#pump(socket);
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#readReport(JSON.parse(data)) : this.#paint(data));
    socket.onclose = (event) => this.#closed(socket, event);
    this.#socket = socket;
  }

  stop() {
    if (!this.#socket) return;
    this.#socket.close(NORMAL);
    this.#end();
    this.#say("The camera is off");
  }

  /** Tells the server the options that are set on the form now. */
  change() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const options = this.#options();
    // The server keeps options that a message leaves out, so those that are at their default again have to be sent.
    if ("strength" in this.#asked) options.strength ??= DEFAULTS.strength;
    if ("preserve_color" in this.#asked) options.preserve_color ??= false;
    this.#asked = options;
    this.#socket.send(JSON.stringify(options));
  }

  #options() {
    const desk = this.#desk();
    return { style: styleOf(desk), ...brushOf(desk) };
  }

  /** Sends a frame whenever fewer than `MOST_UNANSWERED` wait for their answers. */
  async #pump(socket) {
    while (socket === this.#socket && socket.readyState === WebSocket.OPEN) {
      if (performance.now() - this.#sent[0] > GIVE_UP_MS) this.#sent.shift();
      if (this.#sent.length < MOST_UNANSWERED) {
        const frame = await snapshot(this.#camera, Number(this.#desk().get("live_size")), FRAME_QUALITY);
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(frame);
        this.#sent.push(performance.now());
        this.#sentInAll += 1;
      }
      await new Promise((resolve) => this.#camera.requestVideoFrameCallback?.(resolve) ?? setTimeout(resolve, 33));
    }
  }

  async #paint(blob) {
    const now = performance.now();
    const sent = this.#sent.shift();
    this.#answers = [...this.#answers.filter((then) => now - then < MEASURED_MS), now];
    const [first] = this.#answers;
    const perSecond = ((this.#answers.length - 1) * 1000) / (now - first);
    if (this.#answers.length > 2) document.getElementById("live-fps").textContent = perSecond.toFixed(1);
    if (sent) document.getElementById("live-latency").textContent = milliseconds(now - sent);

    const frame = await createImageBitmap(blob);
    if (!this.#socket) return;
    this.#canvas.width = frame.width;
    this.#canvas.height = frame.height;
    this.#canvas.getContext("2d").drawImage(frame, 0, 0);
    frame.close();
  }

  #readReport({ problem, painted, dropped, model, refused }) {
    if (problem) {
      this.#problem = Problem.of(problem);
      return;
    }
    // Frames that the server dropped get no answer.
    if (refused) while (this.#sent.length > this.#sentInAll - painted - dropped) this.#sent.shift();
    document.getElementById("live-dropped").textContent = dropped;
    document.getElementById("live-model").textContent = model?.replaceAll(",", ", ") ?? "–";
  }

  #closed(socket, { code }) {
    if (socket !== this.#socket) return;
    this.#end();
    const problem = this.#problem ?? (code === RESTARTING ? restarting() : Problem.unreachable());
    this.#notice.show(problem, () => this.start());
  }

  #end() {
    this.#socket = null;
    this.#turnOff();
    this.#show(false);
  }

  #show(isOn) {
    this.#canvas.hidden = this.#camera.hidden = !isOn;
    document.getElementById("live-empty").hidden = isOn;
    document.body.classList.toggle("is-live", isOn);
    if (!isOn) return;
    for (const id of ["live-fps", "live-latency", "live-model"]) document.getElementById(id).textContent = "–";
    document.getElementById("live-dropped").textContent = "0";
  }
}

function restarting() {
  return new Problem("The server is stopping", "It may be restarting: try again in a moment.");
}
