// What is told of an answer: model, sizes, time per stage.

const STAGES = {
  decode: "decode",
  queue: "wait",
  net: "net",
  encode: "encode",
  way: "way",
};

/**
 * @param {{model: string, timing: [string, number][], seconds: number, blob: Blob}} answer
 * @param {Blob} file
 * @param {HTMLImageElement} before decoded, as is
 * @param {HTMLImageElement} after
 */
export function showFacts(answer, file, before, after) {
  document.getElementById("fact-model").textContent = answer.model.replaceAll(",", ", ");
  document.getElementById("fact-before").textContent = sizeOf(before, file);
  document.getElementById("fact-after").textContent = sizeOf(after, answer.blob);

  const onServer = answer.timing.reduce((sum, [, duration]) => sum + duration, 0);
  const stages = [...answer.timing, ["way", Math.max(0, answer.seconds * 1000 - onServer)]];
  document.getElementById("timing-bar").replaceChildren(...stages.map(part));
  document.getElementById("timing-list").replaceChildren(...stages.map(entry));
}

export function sizeOf(image, blob) {
  const pixels = image.naturalWidth ? `${image.naturalWidth} × ${image.naturalHeight}, ` : "";
  return pixels + bytes(blob.size);
}

export function milliseconds(duration) {
  return duration < 10 ? `${duration.toFixed(1)} ms` : duration < 9950 ? `${Math.round(duration)} ms` : `${(duration / 1000).toFixed(1)} s`;
}

function part([stage, duration]) {
  const span = document.createElement("span");
  span.dataset.stage = stage;
  span.style.flexGrow = duration;
  return span;
}

function entry([stage, duration]) {
  const item = document.createElement("li");
  item.dataset.stage = stage;
  item.textContent = `${STAGES[stage] ?? stage} ${milliseconds(duration)}`;
  return item;
}

function bytes(size) {
  return size < 1e6 ? `${Math.max(1, Math.round(size / 1000))} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
