// The visitor's camera, and pictures from it.

const REASONS = {
  NotAllowedError: "The page may not use the camera: allow it in the browser's settings for this page, and try again.",
  NotFoundError: "There is no camera: connect one, or use a picture.",
  NotReadableError: "The camera is used by another program: close that, and try again.",
  OverconstrainedError: "There is no camera that fits: connect another, or use a picture.",
};

export function hasCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/**
 * Shows the camera's picture in a video element.
 *
 * @param {HTMLVideoElement} video the element
 * @param {"user"|"environment"} facing whether the camera should face the visitor or the surroundings
 * @returns {Promise<() => void>} a function that turns the camera off
 * @throws {Error} an error whose message says what to do
 */
export async function showCamera(video, facing) {
  if (!hasCamera()) {
    throw new Error("Browsers give the camera to pages from https:// or localhost only: open this page from there.");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1280 } } });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The camera cannot be used (${error.message}).`, { cause: error });
  }
  video.srcObject = stream;
  await video.play();
  return () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
}

/** Returns what the video shows now, as a JPEG whose longest side has at most `longestSide` pixels. */
export function snapshot(video, longestSide, quality) {
  const scale = Math.min(1, longestSide / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
