// The viewer: the pictures, or films, before and after, on top of each other with a divider between them, which zooms and pans.

const LARGEST_ZOOM = 16;
const LARGEST_FIT = 4; // the most that a small picture is enlarged to fill the view
const STEP = 2; // percent
const PAN_STEP = 60; // pixels

export class Viewer {
  #view = document.getElementById("view");
  #pictures = [document.getElementById("before"), document.getElementById("after")];
  #films = [document.getElementById("before-film"), document.getElementById("after-film")];
  #before = this.#pictures[0];
  #after = this.#pictures[1];
  #afterLayer = document.getElementById("after-layer");
  #divider = document.getElementById("divider");
  #fitButton = document.getElementById("zoom-fit");
  #split = 100; // percent of the pictures' width that shows the picture before
  #zoom = 1;
  #x = 0; // distance of the pictures' centre from the view's, in pixels
  #y = 0;
  #width = 1; // width of both pictures in pixels of the page at zoom 1
  #height = 1;
  #pointers = new Map();
  #movesDivider = false;

  constructor() {
    const view = this.#view;
    view.addEventListener("pointerdown", (event) => this.#press(event));
    view.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      view.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    document.getElementById("viewer").addEventListener("keydown", (event) => this.#key(event));
    document.getElementById("zoom-in").addEventListener("click", () => this.zoomBy(1.5));
    document.getElementById("zoom-out").addEventListener("click", () => this.zoomBy(1 / 1.5));
    this.#fitButton.addEventListener("click", () => this.reset());
    new ResizeObserver(() => this.#fit()).observe(view);
    for (const image of this.#pictures) image.addEventListener("load", () => this.#fit());
    for (const film of this.#films) film.addEventListener("resize", () => this.#fit());
  }

  /** Shows a picture or a film for which there is no answer yet. */
  open(url, isFilm) {
    for (const element of [...this.#pictures, ...this.#films]) element.removeAttribute("src");
    [this.#before, this.#after] = isFilm ? this.#films : this.#pictures;
    this.#before.src = url;
    this.#after.removeAttribute("src");
    this.#view.classList.remove("both");
    this.#splitAt(100);
    this.reset();
  }

  /**
   * Shows the answer to the picture; the divider stays where it is, unless this is the first answer.
   *
   * @param {string|null} url the address of the answer, or null if the element after has it already
   * @param {string} description what the answer is
   */
  compare(url, description) {
    const isFirst = !this.#view.classList.contains("both");
    if (url) this.#after.src = url;
    this.#after.alt = this.#after.ariaLabel = description;
    this.#view.classList.add("both");
    if (isFirst) this.#splitAt(40);
  }

  /** Removes the answer. */
  forget() {
    this.#after.removeAttribute("src");
    this.#view.classList.remove("both");
    this.#splitAt(100);
  }

  reset() {
    this.#zoom = 1;
    this.#x = this.#y = 0;
    this.#fit();
  }

  /** Zooms around a point, given in pixels from the view's centre, at which the pictures stay in place. */
  zoomBy(ratio, x = 0, y = 0) {
    const zoom = Math.min(Math.max(this.#zoom * ratio, 1), LARGEST_ZOOM);
    const by = zoom / this.#zoom;
    this.#zoom = zoom;
    this.#x = x - (x - this.#x) * by;
    this.#y = y - (y - this.#y) * by;
    this.#place();
  }

  #fit() {
    const [before, after] = [this.#before, this.#after].map(sizeOf);
    const shown = after.width ? after : before;
    const { clientWidth, clientHeight } = this.#view;
    if (!shown.width || !clientWidth) return;
    // The picture before gives the size, because the one after has the same shape but may have more pixels.
    const source = before.width ? before : shown;
    const most = Math.max(LARGEST_FIT, shown.width / source.width);
    const scale = Math.min(clientWidth / source.width, clientHeight / source.height, most);
    this.#width = source.width * scale;
    this.#height = source.height * scale;
    for (const { style } of [this.#before, this.#after]) {
      style.width = `${this.#width}px`;
      style.height = `${this.#height}px`;
    }
    this.#place();
  }

  #place() {
    const { clientWidth, clientHeight } = this.#view;
    const farX = Math.max(0, (this.#width * this.#zoom - clientWidth) / 2);
    const farY = Math.max(0, (this.#height * this.#zoom - clientHeight) / 2);
    this.#x = Math.min(Math.max(this.#x, -farX), farX);
    this.#y = Math.min(Math.max(this.#y, -farY), farY);
    const transform = `translate(-50%, -50%) translate(${this.#x}px, ${this.#y}px) scale(${this.#zoom})`;
    this.#before.style.transform = this.#after.style.transform = transform;
    this.#view.classList.toggle("zoomed", this.#zoom > 1);
    this.#fitButton.textContent = `${Math.round(this.#zoom * 100)} %`;
    this.#drawDivider();
  }

  #splitAt(percent) {
    this.#split = Math.min(Math.max(percent, 0), 100);
    const shown = Math.round(100 - this.#split);
    this.#divider.setAttribute("aria-valuenow", Math.round(this.#split));
    this.#divider.setAttribute("aria-valuetext", `${shown} % after`);
    this.#drawDivider();
  }

  /** Places the divider within the part of the view that the pictures take. */
  #drawDivider() {
    const width = this.#view.clientWidth;
    const shown = Math.min(this.#width * this.#zoom, width);
    const at = (width - shown) / 2 + (shown * this.#split) / 100;
    this.#view.style.setProperty("--split", `${at}px`);
    this.#view.style.setProperty("--edge", `${(width - shown) / 2}px`);
    this.#afterLayer.hidden = this.#split === 100;
  }

  #splitUnder(clientX) {
    const { left, width } = this.#view.getBoundingClientRect();
    const shown = Math.min(this.#width * this.#zoom, width);
    this.#splitAt(((clientX - left - (width - shown) / 2) / shown) * 100);
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#view.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size > 1) return;
    const isOnDivider = this.#divider.contains(event.target);
    this.#movesDivider = this.#view.classList.contains("both") && (isOnDivider || this.#zoom === 1);
    if (this.#movesDivider) this.#splitUnder(event.clientX);
    this.#divider.focus({ preventScroll: true });
    event.preventDefault();
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const others = [...this.#pointers.values()].filter((pointer) => pointer !== last);
    this.#pointers.set(event.pointerId, event);
    if (others.length) {
      const ratio = distance(event, others[0]) / Math.max(1, distance(last, others[0]));
      const { x, y } = this.#fromCentre((event.clientX + others[0].clientX) / 2, (event.clientY + others[0].clientY) / 2);
      this.zoomBy(ratio, x, y);
    } else if (this.#movesDivider) {
      this.#splitUnder(event.clientX);
    } else {
      this.#panBy(event.clientX - last.clientX, event.clientY - last.clientY);
    }
  }

  #panBy(x, y) {
    this.#x += x;
    this.#y += y;
    this.#place();
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#fromCentre(event.clientX, event.clientY);
    this.zoomBy(Math.exp(-event.deltaY / 400), x, y);
  }

  #fromCentre(clientX, clientY) {
    const { left, top, width, height } = this.#view.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const anywhere = { "+": () => this.zoomBy(1.5), "=": () => this.zoomBy(1.5), "-": () => this.zoomBy(1 / 1.5) };
    anywhere["0"] = () => this.reset();
    const divider = {
      ArrowLeft: () => this.#splitAt(this.#split - STEP),
      ArrowDown: () => this.#splitAt(this.#split - STEP),
      ArrowRight: () => this.#splitAt(this.#split + STEP),
      ArrowUp: () => this.#splitAt(this.#split + STEP),
      PageDown: () => this.#splitAt(this.#split - 5 * STEP),
      PageUp: () => this.#splitAt(this.#split + 5 * STEP),
      Home: () => this.#splitAt(0),
      End: () => this.#splitAt(100),
    };
    const pan = {
      ArrowLeft: () => this.#panBy(PAN_STEP, 0),
      ArrowRight: () => this.#panBy(-PAN_STEP, 0),
      ArrowUp: () => this.#panBy(0, PAN_STEP),
      ArrowDown: () => this.#panBy(0, -PAN_STEP),
    };
    const onDivider = event.target === this.#divider ? (event.shiftKey ? pan : divider) : {};
    const action = onDivider[event.key] ?? anywhere[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

function sizeOf(element) {
  if (element instanceof HTMLVideoElement) return { width: element.videoWidth, height: element.videoHeight };
  return { width: element.naturalWidth, height: element.naturalHeight };
}

function distance(a, b) {
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}
