// human on TensorFlow's WASM backend.
const fs = require('fs');
const { inside, pixels, serve, version } = require('./lines.js');
const { Human } = require(inside('@vladmandic/human/dist/human.node-wasm.js'));

// Its WASM build fetches models, and Node fetches no files.
const fetchRemote = globalThis.fetch;
globalThis.fetch = async (url, options) => (String(url).startsWith('file://') ? new Response(fs.readFileSync(new URL(url))) : fetchRemote(url, options));

// What describes a face, as it comes; nothing else, and nothing of the picture before.
const off = { enabled: false };
const human = new Human({
  backend: 'wasm',
  wasmPath: inside('@tensorflow/tfjs-backend-wasm/dist/'),
  modelBasePath: `file://${inside('@vladmandic/human/models/')}`,
  cacheSensitivity: 0,
  warmup: 'none',
  debug: false,
  filter: off, gesture: off, body: off, hand: off, object: off, segmentation: off,
  face: { enabled: true, detector: { maxDetected: 10 }, iris: off, emotion: off, antispoof: off, liveness: off },
});

async function look(file) {
  const { data, shape } = await pixels(file);
  const picture = human.tf.tensor(data, [1, ...shape], 'float32');
  const { face, error } = await human.detect(picture);
  human.tf.dispose(picture);
  if (error) throw new Error(error);
  face.sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]);
  return face.length && face[0].embedding ? Array.from(face[0].embedding) : null;
}

serve(async () => {
  await human.load();
  return { version: `${version('@vladmandic/human')} (${human.tf.getBackend()})`, look };
});
