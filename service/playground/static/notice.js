// The notice that says what went wrong, in the server's words, and offers to try again.

export class Notice {
  #box = document.getElementById("notice");
  #title = document.getElementById("notice-title");
  #detail = document.getElementById("notice-detail");
  #countdown = document.getElementById("notice-countdown");
  #retryButton = document.getElementById("notice-retry");
  #retry = null;
  #timer = null;

  constructor() {
    this.#retryButton.addEventListener("click", () => this.#tryAgain());
    document.getElementById("notice-close").addEventListener("click", () => this.hide());
  }

  /**
   * Shows a problem.
   *
   * @param {{title: string, detail: string, retryAfter?: number|null}} problem the problem
   * @param {(() => void)|null} retry a function that tries again, after `retryAfter` seconds or at the visitor's click
   */
  show({ title, detail, retryAfter = null }, retry = null) {
    this.hide();
    this.#retry = retry;
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    this.#retryButton.hidden = !retry;
    this.#box.hidden = false;
    if (retry && retryAfter !== null) this.#count(retryAfter);
  }

  hide() {
    clearTimeout(this.#timer);
    this.#countdown.textContent = "";
    this.#box.hidden = true;
  }

  #count(seconds) {
    if (seconds <= 0) {
      this.#tryAgain();
      return;
    }
    this.#countdown.textContent = `Trying again in ${seconds} s`;
    this.#timer = setTimeout(() => this.#count(seconds - 1), 1000);
  }

  #tryAgain() {
    this.hide();
    this.#retry?.();
  }
}
