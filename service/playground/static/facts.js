// The facts that are shown about an answer: the model, the sizes, and the time of each stage.

const STAGES = {
  decode: "decode",
  queue: "wait",
  net: "net",
  encode: "encode",
  transfer: "transfer",
  film: "made in",
};

/**
 * Shows the facts about an answer.
 *
 * @param {{model: string, timing: [string, number][], seconds: number, blob: Blob}} answer the answer
 * @param {Blob} file the picture that was sent
 * @param {HTMLImageElement|HTMLVideoElement} before the picture or film that was sent
 * @param {HTMLImageElement|HTMLVideoElement} after the answer's picture or film
 */
export function showFacts(answer, file, before, after) {
  document.getElementById("fact-model").textContent = answer.model.replaceAll(",", ", ");
  document.getElementById("fact-before").textContent = sizeOf(before, file);
  document.getElementById("fact-after").textContent = sizeOf(after, answer.blob);

  const onServer = answer.timing.reduce((sum, [, duration]) => sum + duration, 0);
  const rest = Math.max(0, answer.seconds * 1000 - onServer);
  const stages = [...answer.timing, [answer.timing.length ? "transfer" : "film", rest]]; // a film has no stages
  document.getElementById("timing-bar").replaceChildren(...stages.map(barOf));
  document.getElementById("timing-list").replaceChildren(...stages.map(itemOf));
}

export function sizeOf(image, blob) {
  const [width, height] = image.videoWidth === undefined ? [image.naturalWidth, image.naturalHeight] : [image.videoWidth, image.videoHeight];
  const pixels = width ? `${width} × ${height}, ` : "";
  return pixels + bytes(blob.size);
}

export function milliseconds(duration) {
  return duration < 10 ? `${duration.toFixed(1)} ms` : duration < 9950 ? `${Math.round(duration)} ms` : `${(duration / 1000).toFixed(1)} s`;
}

function barOf([stage, duration]) {
  const span = document.createElement("span");
  span.dataset.stage = stage;
  span.style.flexGrow = duration;
  return span;
}

function itemOf([stage, duration]) {
  const item = document.createElement("li");
  item.dataset.stage = stage;
  item.textContent = `${STAGES[stage] ?? stage} ${milliseconds(duration)}`;
  return item;
}

function bytes(size) {
  return size < 1e6 ? `${Math.max(1, Math.round(size / 1000))} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
