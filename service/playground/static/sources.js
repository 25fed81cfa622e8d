// The ways in which a picture comes to the page: dropped, pasted, picked, photographed, or the sample of the server.

import { BASE } from "./api.js";
import { hasCamera, showCamera, snapshot } from "./camera.js";

const LONGEST_PHOTO = 1920;

/**
 * Watches all the ways in which a picture can come to the page.
 *
 * @param {(file: File) => void} onPicture a function that is called with each picture
 * @param {(message: string) => void} onFailure a function that is called with the reason if the camera cannot be used
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
  let depth = 0; // number of nested elements that the pointer has entered and not left
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
    input.value = ""; // otherwise picking the same file again would not be a change
  });
}

function watchPhotographs(onPicture, onFailure) {
  const dialog = document.getElementById("camera-dialog");
  const video = document.getElementById("camera-video");
  let turnOff = () => {};
  watchInput("capture", "[data-no-button]", onPicture);

  async function open() {
    if (!hasCamera()) {
      document.getElementById("capture").click(); // phones open their camera for it, other devices a file dialog
      return;
    }
    dialog.showModal();
    try {
      turnOff = await showCamera(video, "environment");
      if (!dialog.open) turnOff(); // the visitor closed the dialog while the camera started
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
