// The styles to choose from, shown by their previews.

import { previewUrl } from "./api.js";

const FIRST = "muse";

/** Fills the strip of styles, in which exactly one is chosen. */
export function fillStyles(strip, cards) {
  const first = cards.some((card) => card.name === FIRST) ? FIRST : cards[0]?.name;
  strip.replaceChildren(...cards.map((card) => choice("style", card, card.name === first)));
  const chosen = strip.querySelector("label:has(:checked)");
  if (chosen) strip.scrollLeft = chosen.offsetLeft - strip.offsetLeft - (strip.clientWidth - chosen.offsetWidth) / 2;
}

/** Fills the strip of second styles for a blend, which also offers to have none. */
export function fillSecondStyles(strip, cards) {
  const none = document.createElement("label");
  none.append(radio("second", "", true), box("none", "–"), text("unseen", "No second style"));
  strip.replaceChildren(none, ...cards.map((card) => choice("second", card, false)));
}

/** Returns the title of a card and the first sentence of its description. */
export function describe(card) {
  return card ? `${card.title}. ${card.description.split(/(?<=[^.]{12}\.) /)[0]}` : "";
}

function choice(name, card, isChosen) {
  const label = document.createElement("label");
  label.title = card.title;
  const image = document.createElement("img");
  image.alt = "";
  image.loading = "lazy";
  image.addEventListener("error", () => image.replaceWith(box("none", card.title.slice(0, 1))));
  image.src = previewUrl(card);
  label.append(radio(name, card.name, isChosen), image, text("name", card.title));
  return label;
}

function radio(name, value, isChosen) {
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name, value, checked: isChosen, defaultChecked: isChosen });
  return input;
}

function text(className, content) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = content;
  return span;
}

function box(className, content) {
  const span = text(className, content);
  span.setAttribute("aria-hidden", "true");
  return span;
}
