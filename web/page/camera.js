// A picture from the camera, where there is one and the visitor allows it.

import { InputError } from './client/errors.js';
import { element } from './view.js';

const ELSE = 'Choose an image file instead.';
/** Why there is no picture, by the browser's name for it. */
const REFUSALS = {
  NotAllowedError: ['The camera may not be used here.', 'permission', 'a refusal', `Allow the camera in this page\u2019s settings, or choose an image file instead.`],
  NotFoundError: ['There is no camera.', 'a camera', 'none', ELSE],
  NotReadableError: ['The camera gives no picture.', 'a free camera', 'one that something else uses', `Close what uses it. ${ELSE}`],
  none: ['This browser gives no camera to this page.', 'HTTPS, or this machine\u2019s own server', 'neither', ELSE],
};

/** Shows what the camera sees. */
export async function openCamera() {
  const video = element('camera');
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'none');
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    await video.play();
  } catch (cause) {
    closeCamera();
    const [what, expected, found, remedy] = REFUSALS[cause.name] ?? REFUSALS.NotReadableError;
    throw new InputError('unreadable_image', { what, expected, found, remedy, cause });
  }
  toggle(true);
}

/** What the camera sees now, as something to draw; the camera is off after that. */
export async function takePicture() {
  try {
    return await createImageBitmap(element('camera'));
  } finally {
    closeCamera();
  }
}

export function closeCamera() {
  const video = element('camera');
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  toggle(false);
}

function toggle(on) {
  for (const id of ['camera', 'shoot', 'camera-off']) element(id).hidden = !on;
  for (const id of ['ask', 'camera-on', 'clear']) element(id).hidden = on;
}
