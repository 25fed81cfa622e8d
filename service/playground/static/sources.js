// Where pictures come from: dropped, pasted, picked, photographed, or the one that is here.

import { BASE } from "./api.js";
import { hasCamera, showCamera, snapshot } from "./camera.js";

const LONGEST_PHOTO = 1920;

/**
 * @param {(file: File) => void} onPicture
 * @param {(message: string) => void} onFailure
 */
export function watchSources(onPicture, onFailure) {
  watchDrops(onPicture);
  watchPastes(onPicture);
  watchInput("file", "[data-pick]", onPicture);
  watchPhotographs(onPicture, onFailure);
  document.getElementById("sample").addEventListener("click", async () => {
    const response = await fetch(new URL("playground/sample.jpg", BASE));
    onPicture(new File([await response.blob()], "cat.jpg", { type: "image/jpeg" }));
  });
}

function watchDrops(onPicture) {
  let depth = 0; // of elements that the pointer entered and has not left
  const show = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("is-dropping", depth > 0);
  };
  addEventListener("dragenter", () => show(1));
  addEventListener("dragleave", () => show(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(-depth);
    const file = event.dataTransfer.files[0];
    if (file) onPicture(file);
  });
}

function watchPastes(onPicture) {
  addEventListener("paste", (event) => {
    const file = event.clipboardData.files[0];
    if (file) onPicture(file);
  });
}

function watchInput(id, buttons, onPicture) {
  const input = document.getElementById(id);
  for (const button of document.querySelectorAll(buttons)) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) onPicture(input.files[0]);
    input.value = ""; // so that the same can be picked again
  });
}

function watchPhotographs(onPicture, onFailure) {
  const dialog = document.getElementById("camera-dialog");
  const video = document.getElementById("camera-video");
  let turnOff = () => {};
  watchInput("capture", "[data-no-button]", onPicture);

  async function open() {
    if (!hasCamera()) {
      document.getElementById("capture").click(); // phones take a photo for it, others pick a file
      return;
    }
    dialog.showModal();
    try {
      turnOff = await showCamera(video, "environment");
      if (!dialog.open) turnOff(); // closed meanwhile
    } catch (error) {
      dialog.close();
      onFailure(error.message);
    }
  }

  for (const button of document.querySelectorAll("[data-photograph]")) button.addEventListener("click", open);
  dialog.addEventListener("close", () => turnOff());
  document.getElementById("camera-close").addEventListener("click", () => dialog.close());
  document.getElementById("shutter").addEventListener("click", async () => {
    if (!video.videoWidth) return;
    const blob = await snapshot(video, LONGEST_PHOTO, 0.92);
    dialog.close();
    onPicture(new File([blob], "photo.jpg", { type: "image/jpeg" }));
  });
}
